/* Sources that cannot be frozen in time, and freezes that outlast their limit; that no source waits
 * for another's snapshot; and the priority of those that writers wait for. */
#include <glob.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/node_rig.h"

#define MS UINT64_C(1000000)

static char scratch[SCRATCH_PATH_BYTES];

static int start(void)
{
    make_scratch(scratch, ".");
    return 0;
}

static int stop(void)
{
    remove_tree(scratch);
    return 0;
}

/* What the source that is frozen first saw; of its thread, read after the run. */
static struct {
    int held;
    int freezes;
    int held_at_freeze; /* 0: always let go before the next try */
} first;
static int misses_left;

static int freeze_first(struct pst_source *source, uint64_t deadline_ns)
{
    (void)source;
    (void)deadline_ns;
    first.held_at_freeze += first.held;
    first.freezes++;
    first.held = 1;
    return 0;
}

static void thaw_first(struct pst_source *source)
{
    (void)source;
    first.held = 0;
}

static int miss_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    (void)source;
    (void)deadline_ns;
    return misses_left-- > 0 ? -PST_E_FREEZE : 0;
}

static int freeze_too_late(struct pst_source *source, uint64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(deadline_ns / (1000 * MS)),
                                   .tv_nsec = (long)(deadline_ns % (1000 * MS))};
    const struct timespec more = {.tv_nsec = 20 * (long)MS};
    (void)source;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    nanosleep(&more, NULL);
    return 0;
}

static void run(int (*freeze_second)(struct pst_source *, uint64_t), uint64_t hold_ns, int expected)
{
    struct rig rig;
    const char *const specs[] = {"a=synthetic:rows=10", "b=synthetic:rows=10"};
    rig_open(&rig, scratch, 2, specs, 2);
    rig.options.node.freeze_hold_ns = hold_ns;
    rig.sources[0]->freeze = freeze_first;
    rig.sources[0]->thaw = thaw_first;
    rig.sources[1]->freeze = freeze_second;
    memset(&first, 0, sizeof(first));
    begin_log_capture();
    CU_ASSERT_EQUAL(rig_run(&rig), expected);
    free(end_log_capture());
    CU_ASSERT_EQUAL(first.held, 0);
    CU_ASSERT_EQUAL(first.held_at_freeze, 0);
    rig_close(&rig);
}

static void a_missed_freeze_is_tried_again(void)
{
    misses_left = 2;
    run(miss_freeze, 0, 0);
    CU_ASSERT_EQUAL(first.freezes, 3);
}

static void but_not_forever(void)
{
    misses_left = 3;
    run(miss_freeze, 0, -PST_E_FREEZE);
    CU_ASSERT_EQUAL(first.freezes, 3);
}

/* The second source waits no longer than the first may be held up; beyond, there is no cut. */
static void a_freeze_that_outlasts_its_limit(void)
{
    run(freeze_too_late, 10 * MS, -PST_E_THAWED);
    CU_ASSERT_EQUAL(first.freezes, 1);
}

/* ---- the cut ---- */

#define WAIT_NS (20 * UINT64_C(1000) * MS)

/* Of the threads' calls; read after the run. */
static struct {
    atomic_bool first_is_thawed;
    bool thawed_before_second;
    int held_at_snapshot;
    int policies[3];     /* of the source's thread: as it freezes, at the snapshot, as it lists */
    int hub_policies[3]; /* at the same time */
    int (*list)(struct pst_source *, struct pst_fragment_sink *, struct pst_source_listing *);
} seen;

static pid_t thread_named(const char *name)
{
    glob_t names;
    pid_t found = 0;
    CU_ASSERT_EQUAL_FATAL(glob("/proc/self/task/*/comm", 0, NULL, &names), 0);
    for (size_t i = 0; i < names.gl_pathc; i++) {
        char text[32] = "";
        FILE *file = fopen(names.gl_pathv[i], "r");
        if (file && fgets(text, sizeof(text), file) && strcmp(text, name) == 0)
            found = atoi(names.gl_pathv[i] + strlen("/proc/self/task/"));
        if (file)
            fclose(file);
    }
    globfree(&names);
    return found;
}

static void see_policies(int step)
{
    pid_t hub = thread_named("pst hub\n");
    CU_ASSERT_TRUE(hub > 0);
    seen.policies[step] = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
    seen.hub_policies[step] = sched_getscheduler(hub) & ~SCHED_RESET_ON_FORK;
}

static int freeze_seen(struct pst_source *source, uint64_t deadline_ns)
{
    see_policies(0);
    return freeze_first(source, deadline_ns);
}

static int snapshot_first(struct pst_source *source, uint64_t gci)
{
    (void)source;
    (void)gci;
    seen.held_at_snapshot = first.held;
    see_policies(1);
    return 0;
}

static void thaw_seen(struct pst_source *source)
{
    thaw_first(source);
    atomic_store(&seen.first_is_thawed, true);
}

static int snapshot_after_the_first(struct pst_source *source, uint64_t gci)
{
    const struct timespec pause = {.tv_nsec = (long)MS};
    (void)source;
    (void)gci;
    for (uint64_t ms = 0; ms < WAIT_NS / MS && !atomic_load(&seen.first_is_thawed); ms++)
        nanosleep(&pause, NULL);
    seen.thawed_before_second = atomic_load(&seen.first_is_thawed);
    return 0;
}

static int list_seen(struct pst_source *source, struct pst_fragment_sink *sink,
                     struct pst_source_listing *listing)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    see_policies(2);
    for (int i = 0; i < 60000 && seen.hub_policies[2] != SCHED_OTHER; i++) {
        nanosleep(&pause, NULL); /* the hub follows LDM 1 in its next turn */
        see_policies(2);
    }
    return seen.list(source, sink, listing);
}

static bool may_hurry(void)
{
    const struct sched_param real_time = {.sched_priority = 1}, none = {0};
    bool may = sched_setscheduler(0, SCHED_FIFO, &real_time) == 0;
    return sched_setscheduler(0, SCHED_OTHER, &none) == 0 && may;
}

static void cut(const char *const *specs, uint32_t count, uint32_t ldms,
                int (*prepare)(struct pst_source *))
{
    struct rig rig;
    rig_open(&rig, scratch, ldms, specs, count);
    memset(&first, 0, sizeof(first));
    memset(&seen, 0, sizeof(seen));
    seen.list = rig.sources[0]->list;
    rig.sources[0]->prepare = prepare;
    rig.sources[0]->freeze = freeze_seen;
    rig.sources[0]->snapshot = snapshot_first;
    rig.sources[0]->thaw = thaw_seen;
    rig.sources[0]->list = list_seen;
    if (count > 1)
        rig.sources[1]->snapshot = snapshot_after_the_first;
    begin_log_capture();
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    free(end_log_capture());
    rig_close(&rig);
    CU_ASSERT_EQUAL(seen.held_at_snapshot, 1);
    CU_ASSERT_EQUAL(first.held, 0);
}

static void a_source_thaws_while_another_has_no_snapshot(void)
{
    const char *const specs[] = {"a=synthetic:rows=10", "b=synthetic:rows=10"};
    cut(specs, 2, 2, NULL);
    CU_ASSERT_TRUE(seen.thawed_before_second);
}

static int prepare_nothing(struct pst_source *source)
{
    (void)source;
    return 0;
}

static void priorities(void)
{
    const char *const specs[] = {"a=synthetic:rows=10", "b=synthetic:rows=10"};
    int urgent = may_hurry() ? SCHED_FIFO : SCHED_OTHER;
    for (uint32_t ldms = 1; ldms <= 2; ldms++) { /* the proxy is LDM 1's, or the hub's */
        for (int prepares = 0; prepares < 2; prepares++) {
            cut(specs, 2, ldms, prepares ? prepare_nothing : NULL);
            CU_ASSERT_EQUAL(seen.policies[0], prepares ? urgent : SCHED_OTHER);
            CU_ASSERT_EQUAL(seen.policies[1], prepares ? urgent : SCHED_OTHER);
            CU_ASSERT_EQUAL(seen.policies[2], SCHED_OTHER);
            CU_ASSERT_EQUAL(seen.hub_policies[0], urgent);
            CU_ASSERT_EQUAL(seen.hub_policies[1], urgent);
            CU_ASSERT_EQUAL(seen.hub_policies[2], SCHED_OTHER);
        }
    }
    cut(specs, 1, 2, prepare_nothing); /* holds up no writers for another's sake */
    CU_ASSERT_EQUAL(seen.hub_policies[1], SCHED_OTHER);
    CU_ASSERT_EQUAL(seen.policies[1], SCHED_OTHER);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a missed freeze is tried again", a_missed_freeze_is_tried_again},
        {"but not forever", but_not_forever},
        {"a freeze that outlasts its limit", a_freeze_that_outlasts_its_limit},
        {"a source thaws while another has no snapshot",
         a_source_thaws_while_another_has_no_snapshot},
        {"priorities", priorities},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "freeze", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return run_suites(suites);
}
