/*
 * The placement that a command's options ask for, on this machine, near the disk under a path.
 */
#ifndef PST_ENGINE_CLI_PLACEMENT_H
#define PST_ENGINE_CLI_PLACEMENT_H

#include "engine/cli/command.h"
#include "numa/plan.h"

/* Some 300 KiB: on the heap. */
struct pst_placements {
    struct pst_topology topology;
    struct pst_topology_device disk;
    struct pst_plan plan;
    uint32_t cpus[PST_LDMS_MAX]; /* of the LDMs */
};

/* The command has PST_PLACEMENT_OPTIONS. PST_EXIT_DONE, or the exit code, having said why. */
PST_MUST_USE enum pst_exit pst_placements_make(const struct pst_arguments *arguments,
                                               const char *path, struct pst_placements *placements);

/* Logs what the plan gave up. */
void pst_placements_log(const struct pst_placements *placements);

#endif
