/*
 * The machine as plain data: NUMA nodes, logical CPUs, what this process may use of them, and the
 * NUMA node of a disk or NIC.
 *
 * Every function reads /sys and /proc below root: "" is the machine itself, anything else a tree of
 * the same shape (tests). Nothing is cached, nothing changes afterwards; any thread may call.
 * Sources: the kernel's Documentation/ABI/stable/sysfs-devices-node and
 * testing/sysfs-devices-system-cpu, Documentation/admin-guide/cputopology.rst and cgroup-v2.rst.
 */
#ifndef PST_NUMA_TOPOLOGY_H
#define PST_NUMA_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "penstock/error.h"

#define PST_NUMA_NODE_UNKNOWN (-1)
#define PST_HUGEPAGE_SIZES_MAX 8u
#define PST_DEVICE_NAME_BYTES 64u

struct pst_topology_hugepages {
    uint64_t page_bytes;
    uint64_t total_pages;
    uint64_t free_pages;
};

struct pst_topology_node {
    uint16_t id;
    bool memory_only;      /* memory without CPUs: CXL, persistent memory, HBM */
    bool memory_allowed;   /* the process may allocate here (Mems_allowed) */
    uint64_t memory_bytes; /* 0: CPUs without memory */
    uint32_t hugepage_sizes;
    struct pst_topology_hugepages hugepages[PST_HUGEPAGE_SIZES_MAX]; /* ascending */
    uint16_t distance[PST_NUMA_NODES_MAX]; /* to nodes[i]; 10 is the node itself (ACPI SLIT) */
};

struct pst_topology_cpu {
    uint16_t id;
    uint16_t core;   /* the physical core: lowest id among its SMT siblings, so unique per host */
    int32_t node;    /* id of its NUMA node, or PST_NUMA_NODE_UNKNOWN (offline) */
    int32_t package; /* -1: unknown (offline) */
    int32_t core_id; /* the number that firmware gives the core, not unique; -1: unknown */
    bool online;
    bool allowed; /* online, in the affinity mask and in the cgroup's cpuset */
};

/* About 200 KiB: allocate it, do not put it on a stack. */
struct pst_topology {
    bool has_numa; /* false: the kernel has none; nodes[0] then stands for the whole memory */
    uint32_t node_count;
    uint32_t cpu_count;
    uint32_t quota_millicpus; /* CPU time that the cgroup grants, 1000 = one CPU; 0: no limit */
    uint64_t memory_granted_bytes;                      /* by the cgroup; UINT64_MAX: all */
    struct pst_topology_node nodes[PST_NUMA_NODES_MAX]; /* ascending by id */
    struct pst_topology_cpu cpus[PST_CPUS_MAX];         /* present ones, ascending by id */
};

/*
 * Reads everything once; call it before the main thread is pinned, whose affinity mask is taken
 * (/proc/self/status). topology is the caller's.
 * -ENOENT: no /sys/devices/system/cpu below root; -ERANGE: more CPUs or nodes than limits.h allows;
 * -EINVAL: a file does not have the shape that the kernel documents; else -errno of the reading.
 */
PST_MUST_USE int pst_topology_read(const char *root, struct pst_topology *topology);

/* Borrowed from topology; NULL where there is none of that id. */
const struct pst_topology_node *pst_topology_find_node(const struct pst_topology *topology,
                                                       int32_t id);
const struct pst_topology_cpu *topology_find_cpu(const struct pst_topology *topology, uint32_t id);

/* Distance between two nodes by id; 10 where either is unknown. */
uint32_t topology_distance(const struct pst_topology *topology, int32_t from, int32_t to);

/* A disk or a NIC. */
struct pst_topology_device {
    char name[PST_DEVICE_NAME_BYTES]; /* "nvme0n1p2", "dm-0", "eth0"; "" where nothing is behind */
    int32_t node; /* PST_NUMA_NODE_UNKNOWN also where its disks lie on different nodes */
};

/*
 * The disk under a path, through partitions, device mapper, md and NVMe multipath. A path that does
 * not exist yet stands for its nearest existing parent. A file system without a disk (tmpfs, NFS)
 * is no error: name "", node unknown. -errno: the path cannot be examined.
 */
PST_MUST_USE int pst_topology_disk(const char *root, const char *path,
                                   struct pst_topology_device *disk);

/* The same by device number (st_dev). */
void topology_block_device(const char *root, unsigned major, unsigned minor,
                           struct pst_topology_device *disk);

/* A network interface by name. -ENODEV: there is none; -EINVAL: not an interface name. */
PST_MUST_USE int topology_nic(const char *root, const char *interface,
                              struct pst_topology_device *nic);

/* Interfaces with hardware behind them, by name; at most capacity. Returns their number. */
uint32_t pst_topology_nics(const char *root, struct pst_topology_device *nics, uint32_t capacity);

#endif
