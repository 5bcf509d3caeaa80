/* penstock topology: shows where hub and LDMs would run, and why not better. */
#include <errno.h>
#include <stdlib.h>

#include "engine/api/placement.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/topology_view.h"

#define NICS_MAX 64u

static const struct pst_option options[] = {
    {.name = "path",
     .kind = PST_OPTION_TEXT,
     .argument = "DIR",
     .fallback = ".",
     .help = "plan for the disk under DIR, which need not exist yet"},
    PST_PLACEMENT_OPTIONS,
    PST_OPTION_JSON,
    {0},
};

/* Too large for the stack, and there is one. */
struct findings {
    struct pst_placements placements;
    struct pst_topology_device nics[NICS_MAX];
};

static enum pst_exit show(const struct pst_arguments *arguments,
                          const struct pst_topology_view *view)
{
    if (!pst_argument_json(arguments)) {
        pst_topology_draw(stdout, view);
        return PST_EXIT_DONE;
    }
    int rc = pst_json_print(stdout, pst_topology_json(view));
    return rc == 0 ? PST_EXIT_DONE
                   : pst_fail(arguments, PST_EXIT_FAILED, "cannot print the topology: %s",
                              pst_error_text(rc));
}

static enum pst_exit find(const struct pst_arguments *arguments, struct findings *findings)
{
    const char *path = pst_argument_text(arguments, "path");
    const struct pst_plan_request request = {.ldms =
                                                 (uint32_t)pst_argument_number(arguments, "ldms"),
                                             .ldm_cpus = pst_argument_text(arguments, "ldm-cpus"),
                                             .hub_cpu = pst_argument_text(arguments, "hub-cpu")};
    char message[PST_MESSAGE_BYTES];
    int error = pst_placements_make(&request, path, &findings->placements, message);
    if (error)
        return pst_fail(arguments, error == -EINVAL ? PST_EXIT_USAGE : PST_EXIT_FAILED, "%s",
                        message);
    const struct pst_topology_view view = {.topology = &findings->placements.topology,
                                           .plan = &findings->placements.plan,
                                           .path = path,
                                           .disk = &findings->placements.disk,
                                           .nics = findings->nics,
                                           .nic_count =
                                               pst_topology_nics("", findings->nics, NICS_MAX)};
    return show(arguments, &view);
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    struct findings *findings = malloc(sizeof(*findings));
    if (!findings)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    enum pst_exit code = find(arguments, findings);
    free(findings);
    return code;
}

const struct pst_command pst_command_topology = {
    .name = "topology",
    .summary = "show which CPUs and memory hub and LDMs get here, and what is given up",
    .options = options,
    .run = run,
};
