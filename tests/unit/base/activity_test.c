/* What a thread is at is seen whole by another, or not at all; and by a name that is cut. */
#include <pthread.h>
#include <string.h>

#include "engine/base/activity.h"
#include "tests/suite.h"

static struct pst_activity activity;

static struct pst_activity_view look(void)
{
    struct pst_activity_view view;
    pst_activity_view(&activity, &view);
    return view;
}

static void steps_hide_the_order(void)
{
    memset(&activity, 0, sizeof(activity));
    pst_activity_bind(&activity);
    CU_ASSERT_PTR_NULL(look().what);
    pst_activity_order(&activity, "list", "source x", 17);
    struct pst_activity_view listing = look();
    CU_ASSERT_STRING_EQUAL(listing.what, "list");
    CU_ASSERT_STRING_EQUAL(listing.name, "source x");
    CU_ASSERT_EQUAL(listing.since_ns, 17);
    pst_activity_rest(true);
    CU_ASSERT_TRUE(look().is_resting);
    pst_activity_begin("look at", "a/b");
    struct pst_activity_view looking = look();
    CU_ASSERT_STRING_EQUAL(looking.what, "look at");
    CU_ASSERT_STRING_EQUAL(looking.name, "a/b");
    CU_ASSERT_FALSE(looking.is_resting); /* a call that blocks is no rest */
    CU_ASSERT_EQUAL(look().moves, looking.moves);
    pst_activity_end();
    pst_activity_rest(false);
    CU_ASSERT_NOT_EQUAL(look().moves, looking.moves);
    CU_ASSERT_STRING_EQUAL(look().what, "list");
    pst_activity_order(&activity, NULL, NULL, 0);
    CU_ASSERT_PTR_NULL(look().what);
    pst_activity_bind(NULL);
    pst_activity_begin("read", "x"); /* nobody's: nothing */
    CU_ASSERT_PTR_NULL(look().what);
}

static void of_a_long_name_the_end_is_kept(void)
{
    char name[1000];
    for (size_t bytes = 1; bytes < sizeof(name); bytes++) {
        memset(name, 'd', sizeof(name));
        name[bytes - 1] = 'e';
        name[bytes] = '\0';
        pst_activity_order(&activity, "read", name, 0);
        struct pst_activity_view view = look();
        size_t shown = strlen(view.name);
        bool is_cut = bytes >= PST_ACTIVITY_NAME_BYTES;
        CU_ASSERT_EQUAL(shown, is_cut ? PST_ACTIVITY_NAME_BYTES - 1 : bytes);
        CU_ASSERT_EQUAL(view.name[shown - 1], 'e');
        CU_ASSERT_EQUAL(strncmp(view.name, "...", 3) == 0, is_cut);
    }
}

static atomic_bool must_stop;

static void *change(void *argument)
{
    static const char *const names[] = {"a",
                                        "a name of some length, and so several words of memory"};
    pst_activity_bind(argument);
    for (unsigned i = 0; !atomic_load(&must_stop); i++) {
        pst_activity_begin(names[i % 2], names[i % 2]);
        if (i % 3 == 0)
            pst_activity_end();
    }
    pst_activity_end();
    return NULL;
}

static void nobody_sees_half_a_change(void)
{
    pthread_t thread;
    unsigned seen = 0;
    memset(&activity, 0, sizeof(activity));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, change, &activity), 0);
    while (seen < 20000) {
        struct pst_activity_view view = look();
        if (!view.what)
            continue;
        seen++;
        CU_ASSERT_STRING_EQUAL(view.name, view.what);
    }
    atomic_store(&must_stop, true);
    pthread_join(thread, NULL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"steps hide the order", steps_hide_the_order},
        {"of a long name the end is kept", of_a_long_name_the_end_is_kept},
        {"nobody sees half a change", nobody_sees_half_a_change},
        CU_TEST_INFO_NULL,
    };
    return suite_run("activity", tests);
}
