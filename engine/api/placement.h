/*
 * The placement that is asked for, on this machine, near the disk under a path.
 */
#ifndef PST_ENGINE_API_PLACEMENT_H
#define PST_ENGINE_API_PLACEMENT_H

#include "numa/plan.h"

/* Some 300 KiB: on the heap. */
struct pst_placements {
    struct pst_topology topology;
    struct pst_topology_device disk;
    struct pst_plan plan;
    uint32_t cpus[PST_LDMS_MAX]; /* of the LDMs */
};

/* request->disk_node is found by path. -EINVAL: it cannot be met as asked; else what the system
 * reported. message, PST_MESSAGE_BYTES long, says why. */
PST_MUST_USE int pst_placements_make(const struct pst_plan_request *request, const char *path,
                                     struct pst_placements *placements, char *message);

/* -EINVAL with message: as many bytes for each LDM are more than the host can give. Private to
 * engine/api/. */
PST_MUST_USE int placements_check_memory(const struct pst_placements *placements,
                                         uint64_t bytes_each, char *message);

/* Logs what the plan gave up. Private to engine/api/. */
void placements_log(const struct pst_placements *placements);

#endif
