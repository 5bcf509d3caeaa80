/* A GCI never goes back on a node, whatever its clock does. */
#include <stdlib.h>
#include <string.h>

#include "engine/node/threads.h"
#include "tests/support/decoded.h"
#include "tests/support/node_rig.h"

static struct pst_node node;

static void it_is_the_time(void)
{
    memset(&node, 0, sizeof(node));
    CU_ASSERT_EQUAL(node_next_gci(&node, 1000), 1000);
    CU_ASSERT_EQUAL(node_next_gci(&node, 2000), 2000);
}

static void a_clock_set_back_takes_nothing_back(void)
{
    memset(&node, 0, sizeof(node));
    CU_ASSERT_EQUAL(node_next_gci(&node, 2000), 2000);
    CU_ASSERT_EQUAL(node_next_gci(&node, 1000), 2001);
    CU_ASSERT_EQUAL(node_next_gci(&node, 1000), 2002);
    CU_ASSERT_EQUAL(node_next_gci(&node, 3000), 3000);
}

static void earlier_backups_count(void)
{
    memset(&node, 0, sizeof(node));
    node_note_gci(&node, 5000);
    node_note_gci(&node, 4000);
    CU_ASSERT_EQUAL(node_next_gci(&node, 1000), 5001);
    node_note_gci(&node, UINT64_MAX); /* which nothing could follow */
    CU_ASSERT_EQUAL(node_next_gci(&node, 1000), 5002);
}

/* The clock is wrapped: it goes back a year between two runs. */
static int64_t offset_ns;

static uint64_t gci_of_a_backup(struct rig *rig)
{
    CU_ASSERT_EQUAL_FATAL(rig_run(rig), 0);
    return rig->report->start_gci;
}

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = __real_clock_gettime(clock, time);
    if (clock == CLOCK_REALTIME)
        time->tv_sec += (time_t)(offset_ns / 1000000000);
    return result;
}

/* Each run is a node of its own, which knows the earlier ones by what they left. */
static void a_new_process_goes_on_from_the_directory(void)
{
    static const char *const specs[] = {"synthetic:rows=10"};
    char to[SCRATCH_PATH_BYTES];
    struct rig rig;
    make_scratch(to, ".");
    rig_open(&rig, to, 1, specs, 1);
    uint64_t first = gci_of_a_backup(&rig);
    offset_ns = -INT64_C(31536000000000000);
    uint64_t second = gci_of_a_backup(&rig);
    uint64_t third = gci_of_a_backup(&rig);
    offset_ns = 0;
    CU_ASSERT(second > first && third > second);
    rig_close(&rig);
    remove_tree(to);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"it is the time", it_is_the_time},
        {"a clock set back takes nothing back", a_clock_set_back_takes_nothing_back},
        {"earlier backups count", earlier_backups_count},
        {"a new process goes on from the directory", a_new_process_goes_on_from_the_directory},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"gci", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return run_suites(suites);
}
