/* Reads NUMA nodes and CPUs from sysfs. Any thread, once, before it pins itself. */
#include "numa/topology.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "numa/allowed.h"
#include "numa/sysfs.h"

#define CPU_DIR "/sys/devices/system/cpu"
#define NODE_DIR "/sys/devices/system/node"
#define LOCAL_DISTANCE 10u

static int read_list(const char *root, struct pst_cpu_list *list, const char *name)
{
    char path[PATH_MAX];
    int error = sysfs_path(path, root, "%s", name);
    return error ? error : sysfs_list(path, list);
}

static int compare_ids(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* The CPUs that are there: the present ones, or (old sysfs) those online. */
static int read_cpu_ids(const char *root, struct pst_topology *topology)
{
    struct pst_cpu_list list;
    int error = read_list(root, &list, CPU_DIR "/present");
    if (error == -ENOENT)
        error = read_list(root, &list, CPU_DIR "/online");
    if (error)
        return error;
    qsort(list.cpu, list.count, sizeof(list.cpu[0]), compare_ids);
    for (uint32_t i = 0; i < list.count; i++)
        topology->cpus[i] = (struct pst_topology_cpu){.id = list.cpu[i],
                                                      .core = list.cpu[i],
                                                      .node = PST_NUMA_NODE_UNKNOWN,
                                                      .package = -1,
                                                      .core_id = -1};
    topology->cpu_count = list.count;
    return 0;
}

static struct pst_topology_cpu *find_cpu(struct pst_topology *topology, uint32_t id)
{
    uint32_t low = 0, high = topology->cpu_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (topology->cpus[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < topology->cpu_count && topology->cpus[low].id == id;
    return found ? &topology->cpus[low] : NULL;
}

static void mark_online(struct pst_topology *topology, const struct pst_cpu_list *online)
{
    for (uint32_t i = 0; i < online->count; i++) {
        struct pst_topology_cpu *cpu = find_cpu(topology, online->cpu[i]);
        if (cpu)
            cpu->online = true;
    }
}

/* A number of one CPU's topology folder; it is missing on some architectures and hypervisors. */
static int32_t read_cpu_number(const char *root, uint32_t id, const char *name)
{
    char path[PATH_MAX];
    int64_t number;
    if (sysfs_path(path, root, CPU_DIR "/cpu%u/topology/%s", id, name) != 0 ||
        sysfs_number(path, &number) != 0 || number < 0 || number > INT32_MAX)
        return -1;
    return (int32_t)number;
}

static int read_siblings(const char *root, uint32_t id, struct pst_cpu_list *list)
{
    char path[PATH_MAX];
    int error = sysfs_path(path, root, CPU_DIR "/cpu%u/topology/core_cpus_list", id);
    if (!error)
        error = sysfs_list(path, list);
    if (error != -ENOENT)
        return error;
    error = sysfs_path(path, root, CPU_DIR "/cpu%u/topology/thread_siblings_list", id);
    return error ? error : sysfs_list(path, list); /* its name before Linux 5.3 */
}

static int read_cpu(const char *root, struct pst_topology_cpu *cpu)
{
    cpu->package = read_cpu_number(root, cpu->id, "physical_package_id");
    cpu->core_id = read_cpu_number(root, cpu->id, "core_id");
    struct pst_cpu_list siblings;
    int error = read_siblings(root, cpu->id, &siblings);
    if (error == -ENOENT)
        return 0; /* nothing known: a core of its own */
    if (error)
        return error;
    for (uint32_t i = 0; i < siblings.count; i++)
        if (siblings.cpu[i] < cpu->core)
            cpu->core = siblings.cpu[i];
    return 0;
}

static int read_cpus(const char *root, struct pst_topology *topology)
{
    struct pst_cpu_list online;
    int error = read_cpu_ids(root, topology);
    if (!error)
        error = read_list(root, &online, CPU_DIR "/online");
    if (error)
        return error;
    mark_online(topology, &online);
    for (uint32_t i = 0; i < topology->cpu_count && !error; i++)
        if (topology->cpus[i].online)
            error = read_cpu(root, &topology->cpus[i]);
    return error;
}

/* MemTotal in bytes from a line "[Node 0 ]MemTotal: 4548820 kB"; 0 where there is none. */
static uint64_t memory_total(const char *path)
{
    char text[8192];
    if (sysfs_read(path, text, sizeof(text)) != 0)
        return 0;
    const char *field = strstr(text, "MemTotal:");
    return field ? strtoull(field + strlen("MemTotal:"), NULL, 10) << 10 : 0;
}

static uint64_t read_hugepage_count(const char *folder, const char *name, const char *file)
{
    char path[PATH_MAX];
    int64_t number;
    if (sysfs_path(path, folder, "/%s/%s", name, file) != 0 || sysfs_number(path, &number) != 0 ||
        number < 0)
        return 0;
    return (uint64_t)number;
}

static int compare_hugepages(const void *a, const void *b)
{
    const struct pst_topology_hugepages *left = a, *right = b;
    return (left->page_bytes > right->page_bytes) - (left->page_bytes < right->page_bytes);
}

/* The folder has one folder "hugepages-<kB>kB" for each size; a kernel without has none. */
static void read_hugepages(const char *folder, struct pst_topology_node *node)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir)) && node->hugepage_sizes < PST_HUGEPAGE_SIZES_MAX) {
        unsigned long long kib;
        if (sscanf(entry->d_name, "hugepages-%llukB", &kib) != 1)
            continue;
        node->hugepages[node->hugepage_sizes++] = (struct pst_topology_hugepages){
            .page_bytes = kib << 10,
            .total_pages = read_hugepage_count(folder, entry->d_name, "nr_hugepages"),
            .free_pages = read_hugepage_count(folder, entry->d_name, "free_hugepages")};
    }
    (void)closedir(dir);
    qsort(node->hugepages, node->hugepage_sizes, sizeof(node->hugepages[0]), compare_hugepages);
}

/* "10 21 …": one number for each online node, in their order. */
static int read_distances(const char *path, struct pst_topology_node *node, uint32_t node_count)
{
    char text[PST_NUMA_NODES_MAX * 6];
    int error = sysfs_read(path, text, sizeof(text));
    if (error)
        return error;
    char *at = text;
    for (uint32_t i = 0; i < node_count; i++) {
        char *end;
        unsigned long distance = strtoul(at, &end, 10);
        if (end == at || distance > UINT16_MAX)
            return -EINVAL;
        node->distance[i] = (uint16_t)distance;
        at = end;
    }
    return 0;
}

static int read_node_cpus(const char *path, struct pst_topology *topology,
                          struct pst_topology_node *node)
{
    struct pst_cpu_list list;
    int error = sysfs_list(path, &list);
    if (error)
        return error;
    for (uint32_t i = 0; i < list.count; i++) {
        struct pst_topology_cpu *cpu = find_cpu(topology, list.cpu[i]);
        if (cpu)
            cpu->node = node->id;
    }
    node->memory_only = list.count == 0 && node->memory_bytes > 0;
    return 0;
}

static int read_node(const char *root, struct pst_topology *topology,
                     struct pst_topology_node *node)
{
    char folder[PATH_MAX], path[PATH_MAX];
    int error = sysfs_path(folder, root, NODE_DIR "/node%u", node->id);
    if (!error)
        error = sysfs_path(path, folder, "/meminfo");
    if (error)
        return error;
    node->memory_bytes = memory_total(path);
    error = sysfs_path(path, folder, "/distance");
    if (!error)
        error = read_distances(path, node, topology->node_count);
    if (!error)
        error = sysfs_path(path, folder, "/hugepages");
    if (error)
        return error;
    read_hugepages(path, node);
    error = sysfs_path(path, folder, "/cpulist");
    return error ? error : read_node_cpus(path, topology, node);
}

static int read_numa_nodes(const char *root, struct pst_topology *topology,
                           const struct pst_cpu_list *ids)
{
    if (ids->count > PST_NUMA_NODES_MAX)
        return -ERANGE;
    topology->has_numa = true;
    topology->node_count = ids->count;
    int error = 0;
    for (uint32_t i = 0; i < ids->count && !error; i++) {
        topology->nodes[i].id = ids->cpu[i];
        error = read_node(root, topology, &topology->nodes[i]);
    }
    return error;
}

/* A kernel without NUMA has no nodes in sysfs: one node 0 stands for the whole machine. */
static int assume_one_node(const char *root, struct pst_topology *topology)
{
    char path[PATH_MAX];
    int error = sysfs_path(path, root, "/proc/meminfo");
    if (error)
        return error;
    struct pst_topology_node *node = &topology->nodes[0];
    node->memory_bytes = memory_total(path);
    node->distance[0] = LOCAL_DISTANCE;
    error = sysfs_path(path, root, "/sys/kernel/mm/hugepages");
    if (error)
        return error;
    read_hugepages(path, node);
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        topology->cpus[i].node = topology->cpus[i].online ? 0 : PST_NUMA_NODE_UNKNOWN;
    topology->node_count = 1;
    return 0;
}

static int read_nodes(const char *root, struct pst_topology *topology)
{
    struct pst_cpu_list ids;
    int error = read_list(root, &ids, NODE_DIR "/online");
    if (error == -ENOENT || (!error && ids.count == 0))
        return assume_one_node(root, topology);
    return error ? error : read_numa_nodes(root, topology, &ids);
}

static int apply_limits(const char *root, struct pst_topology *topology)
{
    struct allowed allowed;
    int error = allowed_read(root, &allowed);
    if (error)
        return error;
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        struct pst_topology_cpu *cpu = &topology->cpus[i];
        cpu->allowed =
            cpu->online && (!allowed.cpus_limited || pst_cpu_list_has(&allowed.cpus, cpu->id));
    }
    for (uint32_t i = 0; i < topology->node_count; i++) {
        struct pst_topology_node *node = &topology->nodes[i];
        node->memory_allowed = !allowed.nodes_limited || pst_cpu_list_has(&allowed.nodes, node->id);
    }
    topology->quota_millicpus = allowed.quota_millicpus;
    topology->memory_granted_bytes = allowed.memory_bytes;
    return 0;
}

int pst_topology_read(const char *root, struct pst_topology *topology)
{
    assert(root && topology);
    *topology = (struct pst_topology){0};
    int error = read_cpus(root, topology);
    if (!error)
        error = read_nodes(root, topology);
    if (!error)
        error = apply_limits(root, topology);
    return error;
}

const struct pst_topology_node *pst_topology_find_node(const struct pst_topology *topology,
                                                       int32_t id)
{
    for (uint32_t i = 0; i < topology->node_count; i++)
        if (topology->nodes[i].id == id)
            return &topology->nodes[i];
    return NULL;
}

const struct pst_topology_cpu *topology_find_cpu(const struct pst_topology *topology, uint32_t id)
{
    return find_cpu((struct pst_topology *)topology, id);
}

uint32_t topology_distance(const struct pst_topology *topology, int32_t from, int32_t to)
{
    const struct pst_topology_node *source = pst_topology_find_node(topology, from);
    const struct pst_topology_node *target = pst_topology_find_node(topology, to);
    return source && target ? source->distance[target - topology->nodes] : LOCAL_DISTANCE;
}
