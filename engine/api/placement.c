/*
 * Plans which CPU and memory each thread gets, near the disk under a path. Called by session.c and
 * read_job.c, and by `penstock topology`; on the caller's thread.
 */
#include "engine/api/placement.h"

#include <stdio.h>

#include "engine/base/log.h"

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

void placements_log(const struct pst_placements *placements)
{
    for (uint32_t i = 0; i < placements->plan.note_count; i++)
        pst_log(PST_LOG_INFO, "placement: %s", placements->plan.notes[i]);
}
