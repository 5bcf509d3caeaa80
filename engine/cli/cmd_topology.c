/*
 * penstock topology: shows where hub and LDMs would run, and what was given up. Called by
 * command.c, on the main thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/api/placement.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/topology_view.h"

#define NICS_MAX 64u

static const struct cli_option options[] = {
    {.name = "path",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .fallback = ".",
     .help = "plan for the disk under DIR, which need not exist yet"},
    CLI_PLACEMENT_OPTIONS,
    CLI_OPTION_JSON,
    {0},
};

/* Too large for the stack, and there is one. */
struct findings {
    struct pst_placements placements;
    struct pst_topology_device nics[NICS_MAX];
};

static enum cli_exit show(const struct cli_arguments *arguments,
                          const struct cli_topology_view *view)
{
    if (!cli_argument_json(arguments)) {
        cli_topology_draw(stdout, view);
        return CLI_EXIT_DONE;
    }
    int error = cli_json_record(stdout, "topology", cli_topology_json(view));
    return error ? cli_fail_unprinted(arguments) : CLI_EXIT_DONE;
}

static enum cli_exit find(const struct cli_arguments *arguments, struct findings *findings)
{
    const char *path = cli_argument_text(arguments, "path");
    const struct pst_plan_request request = {.ldms =
                                                 (uint32_t)cli_argument_number(arguments, "ldms"),
                                             .ldm_cpus = cli_argument_text(arguments, "ldm-cpus"),
                                             .hub_cpu = cli_argument_text(arguments, "hub-cpu")};
    char message[PST_MESSAGE_BYTES];
    int error = pst_placements_make(&request, path, &findings->placements, message);
    if (error)
        return cli_fail(arguments, error == -EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_FAILED, "%s",
                        message);
    const struct cli_topology_view view = {.topology = &findings->placements.topology,
                                           .plan = &findings->placements.plan,
                                           .path = path,
                                           .disk = &findings->placements.disk,
                                           .nics = findings->nics,
                                           .nic_count =
                                               pst_topology_nics("", findings->nics, NICS_MAX)};
    return show(arguments, &view);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct findings *findings = malloc(sizeof(*findings));
    if (!findings)
        return cli_fail(arguments, CLI_EXIT_FAILED, "out of memory");
    enum cli_exit code = find(arguments, findings);
    free(findings);
    return code;
}

const struct cli_command cli_command_topology = {
    .name = "topology",
    .summary =
        "show which CPUs and memory the hub and the LDMs get here, and what had to be given up",
    .options = options,
    .run = run,
};
