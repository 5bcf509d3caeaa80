/* Topologies read from recorded trees, and from broken ones. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "numa/cpu_list.h"
#include "numa/topology.h"
#include "tests/suite.h"
#include "tests/support/topology_fixture.h"

struct expected {
    const char *name;
    uint32_t nodes, cpus, online, allowed, cores; /* cores: physical ones with an online CPU */
    uint32_t quota_millicpus;
};

static const struct expected expectations[] = {
    {"xeon-2s-smt", 2, 32, 32, 32, 16, 0},    {"epyc-nps1", 1, 32, 32, 32, 16, 0},
    {"epyc-2s-nps4", 8, 64, 64, 64, 32, 0},   {"vm-one-node", 1, 4, 4, 4, 4, 0},
    {"cxl-memory-only", 2, 16, 16, 16, 8, 0}, {"cgroup-odd-cpus", 2, 24, 24, 4, 24, 2500},
    {"offline-cpus", 1, 8, 5, 5, 4, 0},       {"container-2-cpus", 1, 2, 2, 2, 2, 1500},
    {"dm-on-nvme", 2, 8, 8, 8, 8, 0},         {"no-numa-kernel", 1, 4, 4, 4, 4, 0},
    {"memoryless-node", 2, 16, 16, 16, 4, 0},
};

static void check_counts(const struct pst_topology *topology, const struct expected *expected)
{
    uint32_t online = 0, allowed = 0, cores = 0;
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        const struct pst_topology_cpu *cpu = &topology->cpus[i];
        online += cpu->online;
        allowed += cpu->allowed;
        cores += cpu->online && cpu->core == cpu->id;
        CU_ASSERT_TRUE(cpu->core <= cpu->id);
        CU_ASSERT_TRUE(cpu->online || !cpu->allowed);
        CU_ASSERT_EQUAL(cpu->node != PST_NUMA_NODE_UNKNOWN, cpu->online);
    }
    CU_ASSERT_EQUAL(topology->node_count, expected->nodes);
    CU_ASSERT_EQUAL(topology->cpu_count, expected->cpus);
    CU_ASSERT_EQUAL(online, expected->online);
    CU_ASSERT_EQUAL(allowed, expected->allowed);
    CU_ASSERT_EQUAL(cores, expected->cores);
    CU_ASSERT_EQUAL(topology->quota_millicpus, expected->quota_millicpus);
}

static void test_every_fixture_is_expected(void)
{
    for (const char *const *name = fixture_names; *name; name++) {
        bool found = false;
        for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++)
            found = found || strcmp(expectations[i].name, *name) == 0;
        CU_ASSERT_TRUE(found);
    }
}

static void test_every_fixture_has_its_counts(void)
{
    for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
        struct pst_topology *topology = fixture_topology(expectations[i].name);
        check_counts(topology, &expectations[i]);
        free(topology);
    }
}

static void test_siblings_packages_and_nodes_of_cpus(void)
{
    struct pst_topology *topology = fixture_topology("epyc-2s-nps4");
    const struct pst_topology_cpu *cpu = topology_find_cpu(topology, 54);
    CU_ASSERT_PTR_NOT_NULL_FATAL(cpu);
    CU_ASSERT_EQUAL(cpu->id, 54);
    CU_ASSERT_EQUAL(cpu->core, 22);
    CU_ASSERT_EQUAL(cpu->node, 5);
    CU_ASSERT_EQUAL(cpu->package, 1);
    CU_ASSERT_EQUAL(cpu->core_id, 12);
    CU_ASSERT_PTR_NULL(topology_find_cpu(topology, 64));
    CU_ASSERT_PTR_NULL(pst_topology_find_node(topology, 8));
    free(topology);
}

static void test_distances(void)
{
    struct pst_topology *topology = fixture_topology("epyc-2s-nps4");
    CU_ASSERT_EQUAL(topology_distance(topology, 5, 5), 10);
    CU_ASSERT_EQUAL(topology_distance(topology, 5, 4), 12);
    CU_ASSERT_EQUAL(topology_distance(topology, 5, 0), 32);
    CU_ASSERT_EQUAL(topology_distance(topology, 5, PST_NUMA_NODE_UNKNOWN), 10);
    free(topology);
    topology = fixture_topology("memoryless-node"); /* ids 0 and 8: not their indices */
    CU_ASSERT_EQUAL(topology_distance(topology, 8, 0), 40);
    free(topology);
}

static void test_memory_and_hugepages(void)
{
    struct pst_topology *topology = fixture_topology("xeon-2s-smt");
    const struct pst_topology_node *node = pst_topology_find_node(topology, 1);
    CU_ASSERT_EQUAL(node->memory_bytes, 66056308ull << 10);
    CU_ASSERT_EQUAL_FATAL(node->hugepage_sizes, 2);
    CU_ASSERT_EQUAL(node->hugepages[0].page_bytes, 2u << 20);
    CU_ASSERT_EQUAL(node->hugepages[0].total_pages, 1024);
    CU_ASSERT_EQUAL(node->hugepages[0].free_pages, 512);
    CU_ASSERT_EQUAL(node->hugepages[1].page_bytes, 1u << 30);
    CU_ASSERT_FALSE(node->memory_only);
    free(topology);
}

static void test_memory_only_and_memoryless_nodes(void)
{
    struct pst_topology *topology = fixture_topology("cxl-memory-only");
    CU_ASSERT_FALSE(pst_topology_find_node(topology, 0)->memory_only);
    CU_ASSERT_TRUE(pst_topology_find_node(topology, 1)->memory_only);
    free(topology);
    topology = fixture_topology("memoryless-node");
    CU_ASSERT_EQUAL(pst_topology_find_node(topology, 8)->memory_bytes, 0);
    CU_ASSERT_FALSE(pst_topology_find_node(topology, 8)->memory_only);
    CU_ASSERT_FALSE(pst_topology_find_node(topology, 8)->memory_allowed);
    free(topology);
}

static void test_affinity_and_cgroup_both_limit(void)
{
    char *root = fixture_unpack("cgroup-odd-cpus");
    struct pst_topology *topology = malloc(sizeof(*topology));
    /* The cgroup narrower than the mask, as when it changed after the mask was set. */
    fixture_write(root, "proc/self/status", "Cpus_allowed_list:\t0-23\nMems_allowed_list:\t1");
    CU_ASSERT_EQUAL_FATAL(pst_topology_read(root, topology), 0);
    for (uint32_t id = 0; id < 24; id++)
        CU_ASSERT_EQUAL(topology_find_cpu(topology, id)->allowed, id % 2 == 1 && id < 10);
    CU_ASSERT_FALSE(pst_topology_find_node(topology, 0)->memory_allowed);
    CU_ASSERT_TRUE(pst_topology_find_node(topology, 1)->memory_allowed);
    free(topology);
    fixture_remove(root);
}

static void test_lowest_quota_on_the_way_up_holds(void)
{
    static const struct {
        const char *service, *slice;
        uint32_t millicpus;
    } cases[] = {{"max 100000", "max 100000", 0},
                 {"max 100000", "150000 100000", 1500},
                 {"900000 100000", "150000 100000", 1500},
                 {"1000 1000000", "max 100000", 1},
                 {"garbage", "max", 0}};
    struct pst_topology *topology = malloc(sizeof(*topology));
    char *root = fixture_unpack("cgroup-odd-cpus");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture_write(root, "sys/fs/cgroup/backup.slice/penstock.service/cpu.max",
                      cases[i].service);
        fixture_write(root, "sys/fs/cgroup/backup.slice/cpu.max", cases[i].slice);
        CU_ASSERT_EQUAL_FATAL(pst_topology_read(root, topology), 0);
        CU_ASSERT_EQUAL(topology->quota_millicpus, cases[i].millicpus);
    }
    fixture_remove(root);
    free(topology);
}

static void test_lowest_memory_limit_holds(void)
{
    static const struct {
        const char *service, *slice;
        uint64_t bytes;
    } cases[] = {{"max", "max", UINT64_MAX},
                 {"max", "1073741824", 1073741824},
                 {"33554432", "1073741824", 33554432},
                 {"garbage", "", UINT64_MAX}};
    struct pst_topology *topology = malloc(sizeof(*topology));
    char *root = fixture_unpack("cgroup-odd-cpus");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fixture_write(root, "sys/fs/cgroup/backup.slice/penstock.service/memory.max",
                      cases[i].service);
        fixture_write(root, "sys/fs/cgroup/backup.slice/memory.max", cases[i].slice);
        CU_ASSERT_EQUAL_FATAL(pst_topology_read(root, topology), 0);
        CU_ASSERT_EQUAL(topology->memory_granted_bytes, cases[i].bytes);
    }
    fixture_remove(root);
    free(topology);
}

static void test_kernel_without_numa(void)
{
    struct pst_topology *topology = fixture_topology("no-numa-kernel");
    CU_ASSERT_FALSE(topology->has_numa);
    CU_ASSERT_EQUAL(topology->nodes[0].memory_bytes, 3884336ull << 10);
    CU_ASSERT_EQUAL(topology->nodes[0].hugepages[0].free_pages, 4);
    CU_ASSERT_EQUAL(topology->cpus[3].node, 0);
    CU_ASSERT_EQUAL(topology->cpus[3].package, -1);
    free(topology);
}

static void check_broken(const char *path, const char *content, int expected)
{
    char *root = fixture_unpack("xeon-2s-smt");
    struct pst_topology *topology = malloc(sizeof(*topology));
    fixture_write(root, path, content);
    CU_ASSERT_EQUAL(pst_topology_read(root, topology), expected);
    free(topology);
    fixture_remove(root);
}

static void test_broken_trees_are_refused(void)
{
    check_broken("sys/devices/system/cpu/present", "0-31x", -EINVAL);
    check_broken("sys/devices/system/cpu/online", "31-0", -EINVAL);
    check_broken("sys/devices/system/cpu/present", "0-9999", -ERANGE);
    check_broken("sys/devices/system/cpu/cpu3/topology/core_cpus_list", "?", -EINVAL);
    check_broken("sys/devices/system/node/online", "0-200", -ERANGE);
    check_broken("sys/devices/system/node/node1/distance", "21", -EINVAL);
    check_broken("sys/devices/system/node/node1/distance", "far near", -EINVAL);
    check_broken("sys/devices/system/node/node0/cpulist", "0-", -EINVAL);
    check_broken("proc/self/status", "Cpus_allowed_list:\tall", -EINVAL);
    check_broken("sys/fs/cgroup/cpuset.cpus.effective", "1,,2", -EINVAL);
}

static void test_a_tree_without_sysfs_is_refused(void)
{
    struct pst_topology *topology = malloc(sizeof(*topology));
    CU_ASSERT_EQUAL(pst_topology_read("/nonexistent", topology), -ENOENT);
    free(topology);
}

static void test_numbers_that_name_no_cpu_are_ignored(void)
{
    char *root = fixture_unpack("vm-one-node");
    struct pst_topology *topology = malloc(sizeof(*topology));
    fixture_write(root, "sys/devices/system/cpu/online", "0-3,7");
    fixture_write(root, "sys/devices/system/node/node0/cpulist", "0-3,9");
    fixture_write(root, "proc/self/status", "Cpus_allowed_list:\t2-1023");
    CU_ASSERT_EQUAL_FATAL(pst_topology_read(root, topology), 0);
    CU_ASSERT_EQUAL(topology->cpu_count, 4);
    CU_ASSERT_FALSE(topology->cpus[1].allowed);
    CU_ASSERT_TRUE(topology->cpus[2].allowed);
    free(topology);
    fixture_remove(root);
}

/* The kernel's own answer, by another way. */
static void test_this_machine(void)
{
    struct pst_topology *topology = malloc(sizeof(*topology));
    cpu_set_t *set = CPU_ALLOC(PST_CPUS_MAX);
    size_t bytes = CPU_ALLOC_SIZE(PST_CPUS_MAX);
    CU_ASSERT_EQUAL_FATAL(pst_topology_read("", topology), 0);
    CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, bytes, set), 0);
    uint32_t online = 0;
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        online += topology->cpus[i].online;
        CU_ASSERT_EQUAL(topology->cpus[i].allowed,
                        CPU_ISSET_S(topology->cpus[i].id, bytes, set) != 0);
    }
    CU_ASSERT_EQUAL(online, (uint32_t)sysconf(_SC_NPROCESSORS_ONLN));
    CU_ASSERT_TRUE(topology->node_count >= 1);
    CU_ASSERT_TRUE(topology->nodes[0].memory_bytes > 0);
    CPU_FREE(set);
    free(topology);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every fixture is expected", test_every_fixture_is_expected},
        {"every fixture has its counts", test_every_fixture_has_its_counts},
        {"siblings packages and nodes of cpus", test_siblings_packages_and_nodes_of_cpus},
        {"distances", test_distances},
        {"memory and hugepages", test_memory_and_hugepages},
        {"memory only and memoryless nodes", test_memory_only_and_memoryless_nodes},
        {"affinity and cgroup both limit", test_affinity_and_cgroup_both_limit},
        {"lowest quota on the way up holds", test_lowest_quota_on_the_way_up_holds},
        {"lowest memory limit holds", test_lowest_memory_limit_holds},
        {"kernel without numa", test_kernel_without_numa},
        {"broken trees are refused", test_broken_trees_are_refused},
        {"a tree without sysfs is refused", test_a_tree_without_sysfs_is_refused},
        {"numbers that name no cpu are ignored", test_numbers_that_name_no_cpu_are_ignored},
        {"this machine", test_this_machine},
        CU_TEST_INFO_NULL,
    };
    return suite_run("numa/topology", tests);
}
