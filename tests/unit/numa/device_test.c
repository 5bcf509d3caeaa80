/* The NUMA node of disks and network interfaces, in trees recorded from many machines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "numa/topology.h"
#include "tests/suite.h"
#include "tests/support/topology_fixture.h"

struct disk_case {
    const char *fixture;
    unsigned major, minor;
    const char *name;
    int32_t node;
    const char *why;
};

static const struct disk_case disk_cases[] = {
    {"xeon-2s-smt", 259, 0, "nvme0n1", 1, "NVMe"},
    {"xeon-2s-smt", 259, 2, "nvme0n1p2", 1, "a partition"},
    {"epyc-nps1", 259, 0, "nvme0n1", 0, "NVMe, the node known by the PCI function only"},
    {"epyc-2s-nps4", 259, 0, "nvme0n1", 5, "one of 8 nodes"},
    {"vm-one-node", 254, 1, "vda1", -1, "virtio that says -1"},
    {"cgroup-odd-cpus", 8, 3, "sda3", 0, "SAS behind a controller"},
    {"container-2-cpus", 254, 0, "vda", -1, "no numa_node anywhere"},
    {"no-numa-kernel", 179, 2, "mmcblk0p2", -1, "a platform device"},
    {"memoryless-node", 259, 0, "nvme0n1", 8, "a node id that is no index"},
    {"dm-on-nvme", 253, 0, "dm-0", 1, "LVM on a partition"},
    {"dm-on-nvme", 253, 1, "dm-1", 1, "LUKS on LVM"},
    {"dm-on-nvme", 253, 2, "dm-2", -1, "striped over two nodes"},
    {"dm-on-nvme", 9, 127, "md127", 1, "md"},
    {"dm-on-nvme", 259, 7, "nvme2n1", 1, "NVMe multipath"},
    {"dm-on-nvme", 0, 38, "nvme0n1p1", 0, "btrfs, through the mount table"},
    {"dm-on-nvme", 0, 40, "", -1, "tmpfs"},
    {"dm-on-nvme", 0, 41, "", -1, "NFS"},
    {"dm-on-nvme", 7, 99, "", -1, "no such device"},
    {"offline-cpus", 0, 38, "", -1, "no mount table"},
};

static void test_disks_of_fixtures(void)
{
    for (size_t i = 0; i < sizeof(disk_cases) / sizeof(disk_cases[0]); i++) {
        const struct disk_case *expected = &disk_cases[i];
        char *root = fixture_unpack(expected->fixture);
        struct pst_topology_device disk;
        topology_block_device(root, expected->major, expected->minor, &disk);
        CU_ASSERT_STRING_EQUAL(disk.name, expected->name);
        CU_ASSERT_EQUAL(disk.node, expected->node);
        if (disk.node != expected->node || strcmp(disk.name, expected->name) != 0)
            printf("  %s, %s: %s on node %d\n", expected->fixture, expected->why, disk.name,
                   disk.node);
        fixture_remove(root);
    }
}

struct nic_case {
    const char *fixture, *name;
    int error;
    int32_t node;
};

static const struct nic_case nic_cases[] = {
    {"xeon-2s-smt", "eno1", 0, 0},          {"epyc-2s-nps4", "enp33s0f0np0", 0, 2},
    {"vm-one-node", "eth0", 0, -1},         {"dm-on-nvme", "ens5", 0, 1},
    {"dm-on-nvme", "bond0", 0, 0},          {"dm-on-nvme", "bond1", 0, -1},
    {"xeon-2s-smt", "eth9", -ENODEV, -1},   {"xeon-2s-smt", "", -EINVAL, -1},
    {"xeon-2s-smt", "../net", -EINVAL, -1}, {"xeon-2s-smt", "..", -EINVAL, -1},
};

static void test_nics_of_fixtures(void)
{
    for (size_t i = 0; i < sizeof(nic_cases) / sizeof(nic_cases[0]); i++) {
        char *root = fixture_unpack(nic_cases[i].fixture);
        struct pst_topology_device nic;
        CU_ASSERT_EQUAL(topology_nic(root, nic_cases[i].name, &nic), nic_cases[i].error);
        CU_ASSERT_EQUAL(nic.node, nic_cases[i].node);
        fixture_remove(root);
    }
}

static void test_physical_nics_are_listed(void)
{
    char *root = fixture_unpack("dm-on-nvme");
    struct pst_topology_device nics[4];
    CU_ASSERT_EQUAL_FATAL(pst_topology_nics(root, nics, 4), 3); /* without the bonds */
    CU_ASSERT_STRING_EQUAL(nics[0].name, "eno1");
    CU_ASSERT_STRING_EQUAL(nics[2].name, "ens5");
    CU_ASSERT_EQUAL(nics[2].node, 1);
    CU_ASSERT_EQUAL(pst_topology_nics(root, nics, 2), 2);
    CU_ASSERT_EQUAL(pst_topology_nics("/nonexistent", nics, 4), 0);
    fixture_remove(root);
}

/* A device that lies on itself, which a broken kernel or a hostile tree could say. */
static void test_a_loop_of_slaves_ends(void)
{
    char *root = fixture_unpack("vm-one-node");
    fixture_write(root, "sys/devices/virtual/block/dm-9/slaves/dm-9/x", "");
    fixture_write(root, "sys/dev/block/253:9/unused", "");
    char command[512];
    snprintf(command, sizeof(command),
             "cd %s/sys && rm -r dev/block/253:9 devices/virtual/block/dm-9/slaves/dm-9 && "
             "ln -s ../../devices/virtual/block/dm-9 dev/block/253:9 && "
             "ln -s .. devices/virtual/block/dm-9/slaves/dm-9",
             root);
    CU_ASSERT_EQUAL_FATAL(system(command), 0);
    struct pst_topology_device disk;
    topology_block_device(root, 253, 9, &disk);
    CU_ASSERT_STRING_EQUAL(disk.name, "dm-9");
    CU_ASSERT_EQUAL(disk.node, PST_NUMA_NODE_UNKNOWN);
    fixture_remove(root);
}

/* The device number of a real folder, looked up in a fixture that gives it a node. */
static void test_a_path_leads_to_its_device(void)
{
    char *root = fixture_unpack("vm-one-node");
    struct stat status;
    CU_ASSERT_EQUAL_FATAL(stat(root, &status), 0);
    char path[128];
    snprintf(path, sizeof(path), "sys/dev/block/%u:%u/numa_node", major(status.st_dev),
             minor(status.st_dev));
    fixture_write(root, path, "3");
    char missing[256];
    snprintf(missing, sizeof(missing), "%s/not/yet//there/", root);
    const char *const paths[] = {root, missing};
    for (size_t i = 0; i < 2; i++) {
        struct pst_topology_device disk;
        CU_ASSERT_EQUAL_FATAL(pst_topology_disk(root, paths[i], &disk), 0);
        CU_ASSERT_EQUAL(disk.node, 3);
    }
    fixture_remove(root);
}

static void test_bad_paths(void)
{
    struct pst_topology_device disk;
    char *root = fixture_unpack("vm-one-node");
    char file[512], long_path[5000];
    snprintf(file, sizeof(file), "%s/proc/self/status/below-a-file", root);
    memset(long_path, 'a', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    CU_ASSERT_EQUAL(pst_topology_disk("", "", &disk), -ENOENT);
    CU_ASSERT_EQUAL(pst_topology_disk("", file, &disk), -ENOTDIR);
    CU_ASSERT_EQUAL(pst_topology_disk("", long_path, &disk), -ENAMETOOLONG);
    CU_ASSERT_EQUAL(pst_topology_disk("", "relative-and-missing", &disk), 0);
    fixture_remove(root);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"disks of fixtures", test_disks_of_fixtures},
        {"nics of fixtures", test_nics_of_fixtures},
        {"physical nics are listed", test_physical_nics_are_listed},
        {"a loop of slaves ends", test_a_loop_of_slaves_ends},
        {"a path leads to its device", test_a_path_leads_to_its_device},
        {"bad paths", test_bad_paths},
        CU_TEST_INFO_NULL,
    };
    return suite_run("numa/device", tests);
}
