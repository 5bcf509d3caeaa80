#include "engine/cli/placement.h"

#include "engine/base/log.h"
#include "engine/cli/placement_options.h"

enum pst_exit pst_placements_make(const struct pst_arguments *arguments, const char *path,
                                  struct pst_placements *placements)
{
    int rc = pst_topology_read("", &placements->topology);
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED,
                        "cannot read the machine's topology below /sys: %s; mount sysfs there",
                        pst_error_text(rc));
    rc = pst_topology_disk("", path, &placements->disk);
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot examine %s: %s", path,
                        pst_error_text(rc));
    struct pst_plan_request request = pst_placement_request(arguments, placements->disk.node);
    rc = pst_plan_make(&placements->topology, &request, &placements->plan);
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_USAGE, "%s", placements->plan.error);
    for (uint32_t i = 0; i < placements->plan.ldms; i++)
        placements->cpus[i] = placements->plan.ldm[i].cpu;
    return PST_EXIT_DONE;
}

void pst_placements_log(const struct pst_placements *placements)
{
    for (uint32_t i = 0; i < placements->plan.note_count; i++)
        pst_log(PST_LOG_INFO, "placement: %s", placements->plan.notes[i]);
}
