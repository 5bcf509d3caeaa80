/* Where a node's threads run: the hub and each LDM on the CPU of the plan, the others anywhere. */
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/node/node.h"
#include "tests/support/node_rig.h"

/* How many threads of this process may run on one CPU alone, by CPU. */
static uint32_t pinned[CPU_SETSIZE];

static bool is_kernel_worker(const char *tid)
{
    char path[300], name[32] = "";
    snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
    FILE *file = fopen(path, "r");
    bool is = file && fgets(name, sizeof(name), file) && strncmp(name, "iou-", 4) == 0;
    if (file)
        fclose(file);
    return is;
}

static void count_pinned(void)
{
    DIR *tasks = opendir("/proc/self/task");
    CU_ASSERT_PTR_NOT_NULL_FATAL(tasks);
    memset(pinned, 0, sizeof(pinned));
    for (struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks)) {
        cpu_set_t may;
        int tid = atoi(entry->d_name);
        if (tid == 0 || is_kernel_worker(entry->d_name) ||
            sched_getaffinity(tid, sizeof(may), &may) != 0 || CPU_COUNT(&may) != 1)
            continue;
        for (uint32_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
            pinned[cpu] += CPU_ISSET(cpu, &may) != 0;
    }
    closedir(tasks);
}

/* What `penstock status` shows. */
static void expect_status_of_plan(struct pst_node *node, const struct pst_plan *plan)
{
    struct pst_node_status *status = calloc(1, sizeof(*status));
    CU_ASSERT_PTR_NOT_NULL_FATAL(status);
    pst_node_status(node, status);
    CU_ASSERT_EQUAL(status->ldms_count, plan->ldms);
    for (uint32_t i = 0; i < status->ldms_count; i++) {
        CU_ASSERT_EQUAL(status->ldms[i].cpu, plan->ldm[i].cpu);
        CU_ASSERT_EQUAL(status->ldms[i].numa_node, plan->ldm[i].memory_node);
        CU_ASSERT_EQUAL(status->ldms[i].misplaced_pages, 0);
    }
    free(status);
}

static void threads_run_where_the_plan_says(uint32_t ldms)
{
    static const char *const specs[] = {"synthetic:rows=10"};
    uint32_t planned[CPU_SETSIZE] = {0};
    char to[SCRATCH_PATH_BYTES];
    struct pst_node *node;
    struct rig rig;
    make_scratch(to, ".");
    rig_open(&rig, to, ldms, specs, 1);
    CU_ASSERT_EQUAL_FATAL(pst_node_start(&rig.options.node, &node), 0);
    count_pinned();
    expect_status_of_plan(node, rig.plan);
    pst_node_stop(node, NULL);
    planned[rig.plan->hub.cpu]++;
    for (uint32_t i = 0; i < ldms; i++)
        planned[rig.plan->ldm[i].cpu]++;
    CU_ASSERT_EQUAL(memcmp(planned, pinned, sizeof(planned)), 0);
    rig_close(&rig);
    remove_tree(to);
}

static void one_ldm(void)
{
    threads_run_where_the_plan_says(1);
}

static void several_ldms(void)
{
    threads_run_where_the_plan_says(3);
}

/* On a node that this machine has not: memory is not bound then, so all of it is brought in at the
 * start, elsewhere. */
static void pages_elsewhere_are_counted(void)
{
    static const char *const specs[] = {"synthetic:rows=10"};
    char to[SCRATCH_PATH_BYTES];
    struct rig rig;
    make_scratch(to, ".");
    rig_open(&rig, to, 1, specs, 1);
    bool has_one = rig.topology->node_count == 1;
    rig.topology->node_count += has_one;
    rig.plan->ldm[0].memory_node = has_one ? 1 : rig.plan->ldm[0].memory_node;
    CU_ASSERT_EQUAL(rig_run(&rig), 0);
    const struct pst_ldm_report *report = &rig.report->ldms[0];
    if (has_one)
        CU_ASSERT_TRUE(report->misplaced_pages * 4096 > report->arena_bytes);
    rig.topology->node_count -= has_one;
    rig_close(&rig);
    remove_tree(to);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"one LDM", one_ldm},
        {"several LDMs", several_ldms},
        {"pages elsewhere are counted", pages_elsewhere_are_counted},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{"placement", NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    cpu_set_t may;
    if (sched_getaffinity(0, sizeof(may), &may) != 0 || CPU_COUNT(&may) == 1) {
        puts("skipped: on one CPU every thread is pinned");
        return 77;
    }
    return run_suites(suites);
}
