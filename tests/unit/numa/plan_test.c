/* Where LDMs and hub are placed, on every recorded topology. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/plan.h"
#include "tests/suite.h"
#include "tests/support/topology_fixture.h"

static struct pst_plan plan; /* too large for the stack */

/* ---- the checker: knows the rules, not how the planner follows them ---- */

struct loads {
    uint32_t ldms[PST_CPUS_MAX]; /* by physical core */
    bool hub[PST_CPUS_MAX];
    bool allowed[PST_CPUS_MAX];
    uint32_t cores;
};

static void load_up(const struct pst_topology *topology, struct loads *loads)
{
    *loads = (struct loads){0};
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        if (topology->cpus[i].allowed) {
            loads->cores += !loads->allowed[topology->cpus[i].core];
            loads->allowed[topology->cpus[i].core] = true;
        }
    for (uint32_t i = 0; i < plan.ldms; i++)
        loads->ldms[topology_find_cpu(topology, plan.ldm[i].cpu)->core]++;
    loads->hub[topology_find_cpu(topology, plan.hub.cpu)->core] = true;
}

static void check_placement(const struct pst_topology *topology, const struct pst_placement *where)
{
    const struct pst_topology_cpu *cpu = topology_find_cpu(topology, where->cpu);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cpu);
    CU_ASSERT_TRUE(cpu->online && cpu->allowed);
    CU_ASSERT_EQUAL(cpu->node, where->cpu_node);
    if (!topology->has_numa) {
        CU_ASSERT_EQUAL(where->memory_node, PST_NUMA_NODE_UNKNOWN);
        return;
    }
    const struct pst_topology_node *memory = pst_topology_find_node(topology, where->memory_node);
    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    CU_ASSERT_TRUE(memory->memory_bytes > 0 && memory->memory_allowed);
    const struct pst_topology_node *own = pst_topology_find_node(topology, where->cpu_node);
    if (own->memory_bytes > 0 && own->memory_allowed)
        CU_ASSERT_PTR_EQUAL(memory, own);
}

/* No core has two LDMs more than another: so none has two while one has none. */
static void check_balance(const struct loads *loads)
{
    uint32_t lowest = UINT32_MAX, highest = 0;
    for (uint32_t core = 0; core < PST_CPUS_MAX; core++) {
        if (!loads->allowed[core])
            continue;
        lowest = loads->ldms[core] < lowest ? loads->ldms[core] : lowest;
        highest = loads->ldms[core] > highest ? loads->ldms[core] : highest;
    }
    CU_ASSERT_TRUE(highest - lowest <= 1);
}

/* While there is a core for everybody, nobody shares one, and no nearer core stays without. */
static void check_room(const struct pst_topology *topology, const struct loads *loads,
                       int32_t disk_node)
{
    if (plan.ldms >= loads->cores)
        return;
    uint32_t farthest = 0;
    for (uint32_t i = 0; i < plan.ldms; i++) {
        const struct pst_topology_cpu *cpu = topology_find_cpu(topology, plan.ldm[i].cpu);
        CU_ASSERT_EQUAL(loads->ldms[cpu->core], 1);
        CU_ASSERT_FALSE(loads->hub[cpu->core]);
        uint32_t distance = topology_distance(topology, cpu->node, disk_node);
        farthest = distance > farthest ? distance : farthest;
    }
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        const struct pst_topology_cpu *cpu = &topology->cpus[i];
        if (cpu->allowed && loads->ldms[cpu->core] == 0 && !loads->hub[cpu->core])
            CU_ASSERT_TRUE(topology_distance(topology, cpu->node, disk_node) >= farthest);
    }
}

static bool noted(const char *text)
{
    for (uint32_t i = 0; i < plan.note_count; i++)
        if (strstr(plan.notes[i], text))
            return true;
    return false;
}

/* What was given up is said, and nothing else. */
static void check_notes(const struct pst_topology *topology, const struct loads *loads,
                        int32_t disk_node)
{
    bool far = false, shared = false;
    for (uint32_t i = 0; i < plan.ldms; i++)
        far = far || plan.ldm[i].cpu_node != disk_node;
    for (uint32_t core = 0; core < PST_CPUS_MAX; core++)
        shared = shared || loads->ldms[core] > 1;
    uint32_t hub_core = topology_find_cpu(topology, plan.hub.cpu)->core;
    bool known = topology->has_numa && pst_topology_find_node(topology, disk_node);
    CU_ASSERT_EQUAL(noted("LDMs share"), shared);
    CU_ASSERT_EQUAL(noted("the hub"), loads->ldms[hub_core] > 0 || noted("and the hub: they"));
    CU_ASSERT_EQUAL(noted("the disk is on node"), known && far);
    CU_ASSERT_EQUAL(noted("the cgroup grants"),
                    topology->quota_millicpus != 0 &&
                        (plan.ldms + 1) * 1000 > topology->quota_millicpus);
}

static void check_plan(const struct pst_topology *topology, const struct pst_plan_request *request)
{
    static struct loads loads;
    CU_ASSERT_EQUAL_FATAL(pst_plan_make(topology, request, &plan), 0);
    CU_ASSERT_STRING_EQUAL(plan.error, "");
    if (request->ldms != 0)
        CU_ASSERT_EQUAL(plan.ldms, request->ldms);
    load_up(topology, &loads);
    check_placement(topology, &plan.hub);
    for (uint32_t i = 0; i < plan.ldms; i++)
        check_placement(topology, &plan.ldm[i]);
    check_balance(&loads);
    if (!request->hub_cpu)
        check_room(topology, &loads, request->disk_node);
    check_notes(topology, &loads, request->disk_node);
}

/* Every disk node that the fixture has, one that it has not, and unknown. */
static void check_all_disk_nodes(const struct pst_topology *topology,
                                 struct pst_plan_request request)
{
    for (int32_t node = PST_NUMA_NODE_UNKNOWN; node < 10; node++) {
        request.disk_node = node;
        check_plan(topology, &request);
    }
}

static void test_the_rules_hold_over_all_fixtures(void)
{
    for (const char *const *name = fixture_names; *name; name++) {
        struct pst_topology *topology = fixture_topology(*name);
        for (uint32_t ldms = 0; ldms <= 70; ldms++)
            check_all_disk_nodes(topology, (struct pst_plan_request){.ldms = ldms});
        check_all_disk_nodes(topology, (struct pst_plan_request){.ldms = PST_LDMS_MAX});
        free(topology);
    }
}

/* With the hub nailed down anywhere, LDMs still spread, and keep off its core while they can. */
static void test_the_rules_hold_around_any_hub(void)
{
    static struct loads loads;
    for (const char *const *name = fixture_names; *name; name++) {
        struct pst_topology *topology = fixture_topology(*name);
        for (uint32_t i = 0; i < topology->cpu_count; i++) {
            if (!topology->cpus[i].allowed)
                continue;
            char hub[8];
            snprintf(hub, sizeof(hub), "%u", topology->cpus[i].id);
            for (uint32_t ldms = 1; ldms <= 34; ldms++) {
                check_plan(topology, &(struct pst_plan_request){
                                         .ldms = ldms, .hub_cpu = hub, .disk_node = 1});
                load_up(topology, &loads);
                CU_ASSERT_EQUAL(plan.hub.cpu, topology->cpus[i].id);
                if (ldms < loads.cores)
                    CU_ASSERT_EQUAL(loads.ldms[topology->cpus[i].core], 0);
            }
        }
        free(topology);
    }
}

/* ---- single cases, written out ---- */

/* "hub: 3; LDMs: 0 1 2" */
static const char *where(void)
{
    static char text[1024];
    int used = snprintf(text, sizeof(text), "%u:", plan.hub.cpu);
    for (uint32_t i = 0; i < plan.ldms; i++)
        used += snprintf(text + used, sizeof(text) - (size_t)used, " %u", plan.ldm[i].cpu);
    return text;
}

struct plan_case {
    const char *fixture;
    struct pst_plan_request request;
    const char *where;    /* hub: LDM 1, 2, … */
    const char *notes[4]; /* all of them, in order */
};

static const struct plan_case plan_cases[] = {
    {"vm-one-node", {.disk_node = -1}, "3: 0 1 2", {NULL}},
    {"xeon-2s-smt", {.ldms = 4, .disk_node = 1}, "12: 8 9 10 11", {NULL}},
    {"xeon-2s-smt",
     {.ldms = 10, .disk_node = 1},
     "2: 8 9 10 11 12 13 14 15 0 1",
     {"LDMs 9-10 are on node 0, the disk is on node 1"}},
    {"xeon-2s-smt",
     {.ldms = 9, .disk_node = 0},
     "9: 0 1 2 3 4 5 6 7 8",
     {"LDM 9 is on node 1, the disk is on node 0"}},
    {"xeon-2s-smt",
     {.disk_node = -1},
     "15: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14",
     {"the NUMA node of the disk is unknown: CPUs are taken by node number"}},
    {"epyc-2s-nps4",
     {.ldms = 6, .disk_node = 5},
     "18: 20 21 22 23 16 17",
     {"LDMs 5-6 are on node 4, the disk is on node 5"}},
    {"epyc-nps1", {.disk_node = 0}, "15: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14", {NULL}},
    {"epyc-nps1",
     {.ldms = 16, .disk_node = 0},
     "16: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
     {"the hub, on CPU 16, shares its physical core with LDM 1"}},
    {"cxl-memory-only", {.ldms = 2, .disk_node = 0}, "2: 0 1", {NULL}},
    {"cgroup-odd-cpus",
     {.ldms = 3, .disk_node = 0},
     "9: 3 5 7",
     {"LDMs 1-3 are on node 1, the disk is on node 0",
      "the cgroup grants 2.50 CPUs to 3 LDMs and the hub: they may be throttled"}},
    {"cgroup-odd-cpus", {.disk_node = 1}, "5: 3", {NULL}}, /* 2.5 CPUs: one LDM and the hub */
    {"offline-cpus",
     {.ldms = 4, .disk_node = -1},
     "6: 0 1 2 3",
     {"the hub, on CPU 6, shares its physical core with LDM 3"}},
    {"container-2-cpus",
     {.ldms = 8, .disk_node = -1},
     "0: 0 1 0 1 0 1 0 1",
     {"8 LDMs share 2 physical cores", "the hub shares CPU 0 with LDMs 1,3,5,7",
      "the cgroup grants 1.50 CPUs to 8 LDMs and the hub: they may be throttled"}},
    {"container-2-cpus",
     {.disk_node = -1},
     "1: 0",
     {"the cgroup grants 1.50 CPUs to 1 LDM and the hub: they may be throttled"}},
    {"no-numa-kernel",
     {.ldms = 4, .disk_node = -1},
     "0: 0 1 2 3",
     {"the hub shares CPU 0 with LDM 1"}},
    {"memoryless-node",
     {.ldms = 2, .disk_node = 8},
     "0: 8 12",
     {"the memory of LDMs 1-2 lies on node 0: node 8 has no memory"}},
    {"memoryless-node",
     {.ldms = 6, .disk_node = 0},
     "9: 0 4 8 12 1 5",
     {"4 LDMs share 2 physical cores", "the hub, on CPU 9, shares its physical core with LDM 3",
      "LDMs 3-4 are on node 8, the disk is on node 0",
      "the memory of LDMs 3-4 lies on node 0: node 8 has no memory"}},
    {"dm-on-nvme",
     {.ldm_cpus = "7,2,0", .disk_node = 1},
     "4: 7 2 0",
     {"LDMs 2-3 are on node 0, the disk is on node 1"}},
    {"dm-on-nvme",
     {.ldm_cpus = "4-6", .hub_cpu = "4", .ldms = 3, .disk_node = 1},
     "4: 4 5 6",
     {"the hub shares CPU 4 with LDM 1"}},
    {"dm-on-nvme", {.ldms = 3, .hub_cpu = "4", .disk_node = 1}, "4: 5 6 7", {NULL}},
    {"dm-on-nvme",
     {.hub_cpu = "0", .disk_node = 0},
     "0: 1 2 3 4 5 6 7",
     {"LDMs 4-7 are on node 1, the disk is on node 0"}},
    {"xeon-2s-smt",
     {.ldm_cpus = "0,16", .disk_node = 0},
     "1: 0 16",
     {"2 LDMs share 1 physical core"}},
};

static void check_case(const struct plan_case *expected)
{
    struct pst_topology *topology = fixture_topology(expected->fixture);
    CU_ASSERT_EQUAL(pst_plan_make(topology, &expected->request, &plan), 0);
    bool good = strcmp(where(), expected->where) == 0;
    uint32_t notes = 0;
    for (; notes < 4 && expected->notes[notes]; notes++)
        good = good && notes < plan.note_count &&
               strcmp(plan.notes[notes], expected->notes[notes]) == 0;
    good = good && plan.note_count == notes;
    CU_ASSERT_TRUE(good);
    if (!good) {
        printf("\n  %s: %s, expected %s\n", expected->fixture, where(), expected->where);
        for (uint32_t i = 0; i < plan.note_count; i++)
            printf("    %s\n", plan.notes[i]);
    }
    free(topology);
}

static void test_plans_written_out(void)
{
    for (size_t i = 0; i < sizeof(plan_cases) / sizeof(plan_cases[0]); i++)
        check_case(&plan_cases[i]);
}

/* The default never takes more LDMs than the cap, however large the host. */
static void test_the_default_is_capped(void)
{
    struct pst_topology *topology = fixture_topology("epyc-2s-nps4");
    CU_ASSERT_EQUAL(pst_plan_make(topology, &(struct pst_plan_request){.disk_node = 5}, &plan), 0);
    CU_ASSERT_EQUAL(plan.ldms, PST_PLAN_LDMS_DEFAULT_MAX);
    free(topology);
}

struct bad_case {
    const char *fixture;
    struct pst_plan_request request;
    const char *error;
};

static const struct bad_case bad_cases[] = {
    {"offline-cpus",
     {.ldm_cpus = "0,4"},
     "--ldm-cpus: CPU 4 is offline; bring it online or name another"},
    {"offline-cpus",
     {.hub_cpu = "7"},
     "--hub-cpu: CPU 7 is offline; bring it online or name another"},
    {"offline-cpus",
     {.hub_cpu = "8"},
     "--hub-cpu: this machine has no CPU 8; `penstock topology` shows those it has"},
    {"cgroup-odd-cpus",
     {.ldm_cpus = "3,4"},
     "--ldm-cpus: CPU 4 is outside the affinity mask or cgroup of this process; name one that "
     "`penstock topology` shows as usable"},
    {"cgroup-odd-cpus",
     {.hub_cpu = "1"},
     "--hub-cpu: CPU 1 is outside the affinity mask or cgroup of this process; name one that "
     "`penstock topology` shows as usable"},
    {"vm-one-node",
     {.ldms = 3, .ldm_cpus = "0-1"},
     "--ldm-cpus names 2 CPUs, --ldms asks for 3; give one CPU for each LDM"},
    {"vm-one-node",
     {.ldm_cpus = "two"},
     "--ldm-cpus: \"two\" is not a list of CPUs; write it like 2-5,8, each CPU once"},
    {"vm-one-node",
     {.ldm_cpus = ""},
     "--ldm-cpus: \"\" is not a list of CPUs; write it like 2-5,8, each CPU once"},
    {"vm-one-node",
     {.ldm_cpus = "0,0"},
     "--ldm-cpus: \"0,0\" is not a list of CPUs; write it like 2-5,8, each CPU once"},
    {"vm-one-node",
     {.ldm_cpus = "3-1"},
     "--ldm-cpus: \"3-1\" is not a list of CPUs; write it like 2-5,8, each CPU once"},
    {"vm-one-node", {.ldm_cpus = "0-99999"}, "--ldm-cpus: CPU numbers end at 4095"},
    {"vm-one-node",
     {.ldm_cpus = "0-299"},
     "--ldm-cpus names 300 CPUs; a node has at most 256 LDMs"},
    {"vm-one-node", {.hub_cpu = "0-1"}, "--hub-cpu: the hub runs on one CPU; \"0-1\" names 2"},
    {"vm-one-node",
     {.hub_cpu = "-1"},
     "--hub-cpu: \"-1\" is not a list of CPUs; write it like 2-5,8, each CPU once"},
    {"vm-one-node", {.ldms = 257}, "--ldms: a node has 1 to 256 LDMs, not 257"},
};

static void test_what_cannot_be_is_refused(void)
{
    for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
        struct pst_topology *topology = fixture_topology(bad_cases[i].fixture);
        CU_ASSERT_EQUAL(pst_plan_make(topology, &bad_cases[i].request, &plan), -EINVAL);
        CU_ASSERT_STRING_EQUAL(plan.error, bad_cases[i].error);
        if (strcmp(plan.error, bad_cases[i].error) != 0)
            printf("\n  %s\n", plan.error);
        free(topology);
    }
}

static void test_a_process_without_cpus_is_refused(void)
{
    struct pst_topology *topology = fixture_topology("vm-one-node");
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        topology->cpus[i].allowed = false;
    CU_ASSERT_EQUAL(pst_plan_make(topology, &(struct pst_plan_request){0}, &plan), -EINVAL);
    CU_ASSERT_STRING_EQUAL(plan.error,
                           "this process may use no online CPU; widen its cgroup's cpuset");
    free(topology);
}

/* Memory that the cgroup closes, and a node that is left with slow memory only. */
static void test_memory_comes_from_where_it_may(void)
{
    struct pst_topology *topology = fixture_topology("dm-on-nvme");
    const struct pst_plan_request request = {.ldms = 2, .disk_node = 1};
    topology->nodes[1].memory_allowed = false;
    CU_ASSERT_EQUAL(pst_plan_make(topology, &request, &plan), 0);
    CU_ASSERT_EQUAL(plan.ldm[0].memory_node, 0);
    CU_ASSERT_TRUE(
        noted("the memory of LDMs 1-2 lies on node 0: node 1 is closed to this process"));
    topology->nodes[0].memory_allowed = false;
    CU_ASSERT_EQUAL(pst_plan_make(topology, &request, &plan), 0);
    CU_ASSERT_EQUAL(plan.ldm[0].memory_node, PST_NUMA_NODE_UNKNOWN);
    CU_ASSERT_TRUE(noted("the memory of LDMs 1-2 may lie anywhere: node 1 is closed"));
    free(topology);
    topology = fixture_topology("cxl-memory-only");
    topology->nodes[0].memory_bytes = 0;
    CU_ASSERT_EQUAL(pst_plan_make(topology, &request, &plan), 0);
    CU_ASSERT_EQUAL(plan.ldm[1].memory_node, 1);
    free(topology);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the rules hold over all fixtures", test_the_rules_hold_over_all_fixtures},
        {"the rules hold around any hub", test_the_rules_hold_around_any_hub},
        {"plans written out", test_plans_written_out},
        {"the default is capped", test_the_default_is_capped},
        {"what cannot be is refused", test_what_cannot_be_is_refused},
        {"a process without cpus is refused", test_a_process_without_cpus_is_refused},
        {"memory comes from where it may", test_memory_comes_from_where_it_may},
        CU_TEST_INFO_NULL,
    };
    return suite_run("numa/plan", tests);
}
