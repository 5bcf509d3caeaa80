/*
 * Plans which CPU and memory each thread gets, near the disk under a path. Called by session.c and
 * read_job.c, and by `penstock topology`; on the caller's thread.
 */
#include "engine/api/placement.h"

#include <errno.h>
#include <stdio.h>

#include "engine/base/log.h"

#define MIB (1u << 20)

int pst_placements_make(const struct pst_plan_request *request, const char *path,
                        struct pst_placements *placements, char *message)
{
    int error = pst_topology_read("", &placements->topology);
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES,
                 "cannot read the machine's topology below /sys: %s; mount sysfs there",
                 pst_error_text(error));
        return error;
    }
    error = pst_topology_disk("", path, &placements->disk);
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES, "cannot examine %s: %s", path, pst_error_text(error));
        return error;
    }
    struct pst_plan_request near = *request;
    near.disk_node = placements->disk.node;
    error = pst_plan_make(&placements->topology, &near, &placements->plan);
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES, "%s", placements->plan.error);
        return error;
    }
    for (uint32_t i = 0; i < placements->plan.ldms; i++)
        placements->cpus[i] = placements->plan.ldm[i].cpu;
    return 0;
}

int placements_check_memory(const struct pst_placements *placements, uint64_t bytes_each,
                            char *message)
{
    const struct pst_topology *topology = &placements->topology;
    uint32_t ldms = placements->plan.ldms;
    uint64_t memory_bytes = 0;
    for (uint32_t i = 0; i < topology->node_count; i++)
        memory_bytes += topology->nodes[i].memory_bytes;
    bool is_granted = topology->memory_granted_bytes < memory_bytes;
    if (is_granted)
        memory_bytes = topology->memory_granted_bytes;
    if (memory_bytes == 0 || bytes_each <= memory_bytes / 4 * 3 / ldms)
        return 0;
    snprintf(message, PST_MESSAGE_BYTES,
             "%u LDM%s with %llu MiB of buffers each would take more than three quarters of the "
             "memory %s, %llu MiB: give fewer --ldms, or a smaller --chunk or --depth",
             ldms, ldms == 1 ? "" : "s", (unsigned long long)(bytes_each / MIB),
             is_granted ? "that the cgroup grants" : "of the host",
             (unsigned long long)(memory_bytes / MIB));
    return -EINVAL;
}

void placements_log(const struct pst_placements *placements)
{
    for (uint32_t i = 0; i < placements->plan.note_count; i++)
        pst_log(PST_LOG_INFO, "placement: %s", placements->plan.notes[i]);
}
