/* lmdb: freeze, snapshot and check against environments that others use. Writers are child
 * processes, as they are in life. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lmdb.h>

#include "engine/base/priority.h"
#include "engine/source/lmdb/lmdb_meta.h"
#include "engine/source/registry/registry.h"
#include "tests/unit/source/lmdb_rig.h"

static pid_t guard_of_this_process(void)
{
    char path[64];
    int pid = 0;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
    FILE *children = fopen(path, "r");
    REQUIRE(children && fscanf(children, "%d", &pid) == 1);
    fclose(children);
    return pid;
}

/* ---- exactness ---- */

static void test_snapshot_is_exact_while_others_write(void)
{
    for (int is_alone = 0; is_alone < 2; is_alone++) {
        struct pst_source *source = make(fill);
        struct collected collected;
        source->policy.is_alone = is_alone;
        collected_init(&collected);
        ASSERT_OK(cut(source));
        for (int i = 0; i < 8; i++) /* pages that they free would be used again by now */
            run_child(write_one);
        ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
        check_listing(&collected);
        CU_ASSERT_EQUAL(collected.listing.objects, 2);
        CU_ASSERT(collected.count > 1);
        restore(source, &collected);
        CU_ASSERT_EQUAL(restored_row(), 500000);
        ASSERT_OK(pst_source_check(source, in_patience()));
        CU_ASSERT_PTR_NOT_NULL_FATAL(source->details);
        CU_ASSERT_PTR_NOT_NULL(strstr(source->details, "\"transaction_id\":20,"));
        pst_source_release(source);
        collected_free(&collected);
        /* The next backup has what was written since. */
        ASSERT_OK(cut(source));
        ASSERT_OK(pst_source_list(source, &collected.sink, &collected.listing));
        restore(source, &collected);
        CU_ASSERT_EQUAL(restored_row(), 600000);
        collected_free(&collected);
        done(source);
    }
}

static void test_new_environment(void)
{
    struct pst_source *source = make(make_nothing);
    struct collected collected;
    collect(source, &collected);
    check_listing(&collected);
    restore(source, &collected);
    MDB_env *env;
    MDB_envinfo info;
    CU_ASSERT_EQUAL_FATAL(mdb_env_create(&env), 0);
    CU_ASSERT_EQUAL_FATAL(mdb_env_open(env, "restored", 0, 0600), 0);
    CU_ASSERT_EQUAL(mdb_env_info(env, &info), 0);
    CU_ASSERT_EQUAL(info.me_last_txnid, 0);
    put_row(env, 1, 10);
    mdb_env_close(env);
    ASSERT_OK(pst_source_check(source, in_patience()));
    collected_free(&collected);
    done(source);
}

/* Under whatever name: its own first freeze would hold up the second. */
static void test_environment_is_named_once(void)
{
    struct pst_source *sources[2];
    char text[PST_SOURCE_ERROR_BYTES] = "";
    pst_source_close(make(make_nothing));
    REQUIRE(symlink("env", "link") == 0);
    static const char *const twice[] = {"a=lmdb:env", "b=lmdb:link"};
    CU_ASSERT_EQUAL(pst_sources_open(twice, 2, sources, text, sizeof(text)), -EINVAL);
    CU_ASSERT_STRING_EQUAL(text, "sources \"a\" and \"b\" are the same environment: name it once");
    static const char *const once[] = {"a=lmdb:env", "b=dir:env"};
    ASSERT_OK(pst_sources_open(once, 2, sources, text, sizeof(text)));
    pst_source_close(sources[1]);
    done(sources[0]);
}

static void test_metadata(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    struct pst_object object;
    collect(source, &collected);
    CU_ASSERT_TRUE(find_object(&collected, "data.mdb", &object) && object.mode == 0640);
    CU_ASSERT_TRUE(find_object(&collected, "", &object) && object.mode == 0750);
    CU_ASSERT_FALSE(find_object(&collected, "lock.mdb", &object));
    collected_free(&collected);
    done(source);
}

/* ---- the freeze ---- */

static void test_freeze_holds_writers_up(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    pid_t writer = in_child(write_one, -1);
    pause_ns(50 * MS);
    CU_ASSERT_EQUAL(waitpid(writer, NULL, WNOHANG), 0);
    ASSERT_OK(pst_source_thaw(source));
    wait_for(writer);
    done(source);
}

static void test_freeze_gives_up_in_time(void)
{
    struct pst_source *source = make(fill);
    pid_t holder = start_holder();
    uint64_t began_ns = pst_monotonic_ns();
    CU_ASSERT_EQUAL(pst_source_freeze(source, began_ns + 100 * MS), -PST_E_FREEZE);
    CU_ASSERT(pst_monotonic_ns() - began_ns >= 100 * MS);
    end_holder(holder);
    run_child(write_one); /* nothing is held */
    ASSERT_OK(cut(source));
    done(source);
}

static void test_freeze_is_not_needed_alone(void)
{
    struct pst_source *source = make(fill);
    pid_t holder = start_holder();
    source->policy.is_alone = true;
    ASSERT_OK(cut(source));
    end_holder(holder);
    done(source);
}

static void test_guard_thaws_by_itself(void)
{
    struct pst_source *source = make(fill);
    source->policy.freeze_hold_ns = 20 * MS;
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    run_child(write_one); /* as if we had been stopped */
    CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -PST_E_THAWED);
    pst_source_release(source);
    source->policy.freeze_hold_ns = 0;
    ASSERT_OK(cut(source));
    done(source);
}

static int policy_of(pid_t thread)
{
    return sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
}

/* As long as it is frozen, where it may be. */
static void test_guard_in_a_hurry(void)
{
    struct pst_source *source = make(fill);
    const struct sched_param real_time = {.sched_priority = 1}, none = {0};
    int urgent = sched_setscheduler(0, SCHED_FIFO, &real_time) == 0 ? SCHED_FIFO : SCHED_OTHER;
    ASSERT_OK(sched_setscheduler(0, SCHED_OTHER, &none));
    for (int snapshots = 0; snapshots < 2; snapshots++) {
        ASSERT_OK(pst_source_freeze(source, in_patience()));
        CU_ASSERT_EQUAL(policy_of(guard_of_this_process()), urgent);
        if (snapshots)
            ASSERT_OK(pst_source_snapshot(source, 1));
        ASSERT_OK(pst_source_thaw(source));
        CU_ASSERT_EQUAL(policy_of(guard_of_this_process()), SCHED_OTHER);
    }
    pst_source_release(source);
    done(source);
}

static long page_faults_of(pid_t process)
{
    char path[64];
    long minor = -1;
    snprintf(path, sizeof(path), "/proc/%d/stat", process);
    FILE *file = fopen(path, "r");
    REQUIRE(file && fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %ld", &minor) == 1);
    fclose(file);
    return minor;
}

/* A page that is touched for the first time is waited for by the writers of all that are frozen. */
static void test_lock_touches_no_new_memory(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(pst_source_prepare(source));
    pid_t guard = guard_of_this_process();
    long before = page_faults_of(guard);
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    long faults = page_faults_of(guard) - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* theirs count, too */
    CU_ASSERT(faults < 10);                                         /* 18 with room for tables */
#endif
    CU_ASSERT(faults >= 0);
    ASSERT_OK(pst_source_thaw(source));
    done(source);
}

static void test_snapshot_lets_writers_go(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    ASSERT_OK(pst_source_snapshot(source, 1));
    run_child(write_one);
    ASSERT_OK(pst_source_thaw(source));
    pst_source_release(source);
    done(source);
}

static void test_lock_dies_with_the_guard(void)
{
    struct pst_source *source = make(fill);
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    kill(guard_of_this_process(), SIGKILL);
    run_child(write_one);
    CU_ASSERT_EQUAL(pst_source_snapshot(source, 1), -PST_E_GUARD);
    ASSERT_OK(pst_source_thaw(source));
    pst_source_release(source);
    ASSERT_OK(cut(source));
    done(source);
}

static void test_dead_guard_leaves_nothing(void)
{
    struct pst_source *source = make(fill);
    struct collected collected;
    siginfo_t ended;
    collected_init(&collected);
    ASSERT_OK(pst_source_freeze(source, in_patience()));
    ASSERT_OK(pst_source_snapshot(source, 1));
    pid_t guard = guard_of_this_process();
    kill(guard, SIGKILL);
    REQUIRE(waitid(P_PID, (id_t)guard, &ended, WEXITED | WNOWAIT) == 0);
    run_child(write_one);
    ASSERT_OK(pst_source_thaw(source));
    CU_ASSERT_EQUAL(pst_source_list(source, &collected.sink, &collected.listing), -PST_E_GUARD);
    CU_ASSERT_EQUAL(pst_source_check(source, in_patience()), -PST_E_GUARD);
    pst_source_release(source); /* a new guard clears its slot */
    MDB_env *env = open_env(0, MAP_BYTES);
    int dead = -1;
    CU_ASSERT_EQUAL(mdb_reader_check(env, &dead), 0);
    CU_ASSERT_EQUAL(dead, 0);
    mdb_env_close(env);
    ASSERT_OK(cut(source));
    collected_free(&collected);
    done(source);
}

static void test_guard_that_died_at_rest_is_replaced(void)
{
    struct pst_source *source = make(fill);
    siginfo_t ended;
    pid_t guard = guard_of_this_process();
    kill(guard, SIGKILL);
    REQUIRE(waitid(P_PID, (id_t)guard, &ended, WEXITED | WNOWAIT) == 0);
    ASSERT_OK(cut(source));
    done(source);
}

/* ---- meta pages ---- */

static void test_meta_pages(void)
{
    uint8_t page[512] = {0}, previous[512];
    struct lmdb_meta meta;
    CU_ASSERT_EQUAL(lmdb_meta_decode(page, &meta), -PST_E_DAMAGED);
    memcpy(page + 16, "\xde\xc0\xef\xbe\x01\0\0\0", 8);
    CU_ASSERT_EQUAL(lmdb_meta_decode(page, &meta), -PST_E_DAMAGED); /* page size 0 */
    memcpy(page + 40, "\0\2\0\0", 4);
    page[136] = 9;
    page[144] = 7;
    page[0] = 1; /* transaction 7 is in page 1 */
    ASSERT_OK(lmdb_meta_decode(page, &meta));
    CU_ASSERT(meta.page_bytes == 512 && meta.last_page == 9 && meta.transaction == 7);
    lmdb_meta_make_previous(page, 512, previous);
    ASSERT_OK(lmdb_meta_decode(previous, &meta));
    CU_ASSERT(meta.transaction == 6 && meta.last_page == 9 && previous[0] == 0);
    memset(page + 136, 0xff, 8);
    CU_ASSERT_EQUAL(lmdb_meta_decode(page, &meta), -PST_E_DAMAGED);
    page[20] = 2;
    CU_ASSERT_EQUAL(lmdb_meta_decode(page, &meta), -PST_E_FOREIGN);
}

/* The same freezes by threads that spin. */
static int have_cpus_to_spare(void)
{
    pst_priority_let_spin(true);
    (void)pst_priority_set(PST_PRIORITY_URGENT);
    return 0;
}

static int have_them_no_more(void)
{
    (void)pst_priority_set(PST_PRIORITY_NORMAL);
    pst_priority_let_spin(false);
    return 0;
}

int main(void)
{
    static CU_TestInfo exact[] = {
        {"a snapshot is exact while others write", test_snapshot_is_exact_while_others_write},
        {"a new environment", test_new_environment},
        {"an environment is named once", test_environment_is_named_once},
        {"metadata; no lock file", test_metadata},
        {"meta pages", test_meta_pages},
        CU_TEST_INFO_NULL,
    };
    static CU_TestInfo freeze[] = {
        {"a freeze holds writers up", test_freeze_holds_writers_up},
        {"a freeze gives up in time, holding nothing", test_freeze_gives_up_in_time},
        {"a single source needs none", test_freeze_is_not_needed_alone},
        {"the guard thaws by itself", test_guard_thaws_by_itself},
        {"the guard is in a hurry until the thaw", test_guard_in_a_hurry},
        {"the lock touches no new memory", test_lock_touches_no_new_memory},
        {"a snapshot lets writers go", test_snapshot_lets_writers_go},
        {"the lock dies with the guard", test_lock_dies_with_the_guard},
        {"a dead guard leaves nothing", test_dead_guard_leaves_nothing},
        {"one that died at rest is replaced", test_guard_that_died_at_rest_is_replaced},
        CU_TEST_INFO_NULL,
    };
    static CU_SuiteInfo suites[] = {
        {"exact", NULL, NULL, NULL, NULL, exact},
        {"freeze", NULL, NULL, NULL, NULL, freeze},
        {"freeze, spinning", have_cpus_to_spare, have_them_no_more, NULL, NULL, freeze},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
