/* A thread that stands still is logged once, with what it is at, and when it goes on. */
#include <string.h>

#include "engine/base/log.h"
#include "engine/base/stall.h"
#include "tests/suite.h"

#define S UINT64_C(1000000000)

static struct pst_activity activity;
static char last[256];
static unsigned lines;

static void take(void *context, enum pst_log_level level, const char *line)
{
    (void)context, (void)level;
    snprintf(last, sizeof(last), "%s", line);
    lines++;
}

static struct pst_stall begin(void)
{
    memset(&activity, 0, sizeof(activity));
    pst_activity_bind(&activity);
    pst_log_set_hook(take, NULL);
    lines = 0;
    return (struct pst_stall){.activity = &activity, .thread = "LDM 7"};
}

static void who_stands_still_is_logged_once(void)
{
    struct pst_stall stall = begin();
    pst_activity_begin("read", "a part");
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 10 * S), 0);
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 14 * S), 4 * S);
    CU_ASSERT_EQUAL(lines, 0);
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 15 * S), 5 * S);
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 16 * S), 6 * S);
    CU_ASSERT_EQUAL(lines, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(last, "LDM 7: has waited 5 s to read a part"));
    pst_activity_end();
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 18 * S), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(last, "LDM 7: goes on after 8 s"));
    CU_ASSERT_EQUAL(lines, 2);
    pst_activity_bind(NULL);
}

static void who_moves_or_has_nothing_to_do_is_not(void)
{
    struct pst_stall stall = begin();
    for (uint64_t at = 10; at < 40; at += 5) { /* one call after the other to the same file */
        (void)PST_ACTIVITY_STEP("read", "a part", 0);
        pst_activity_begin("read", "a part");
        CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, at * S), 0);
    }
    pst_activity_end();
    for (uint64_t at = 40; at < 70; at += 10)
        CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, at * S), 0);
    CU_ASSERT_EQUAL(lines, 0);
    pst_activity_bind(NULL);
}

static void what_has_no_name_is_logged_without_one(void)
{
    struct pst_stall stall = begin();
    pst_activity_order(&activity, "end a slice of its work", "", 0);
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 10 * S), 0);
    CU_ASSERT_EQUAL(pst_stall_look(&stall, 5 * S, 15 * S), 5 * S);
    CU_ASSERT_STRING_EQUAL(last, "LDM 7: has waited 5 s to end a slice of its work");
    pst_activity_bind(NULL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"who stands still is logged once", who_stands_still_is_logged_once},
        {"what has no name is logged without one", what_has_no_name_is_logged_without_one},
        {"who moves, or has nothing to do, is not", who_moves_or_has_nothing_to_do_is_not},
        CU_TEST_INFO_NULL,
    };
    return suite_run("base: stalls", tests);
}
