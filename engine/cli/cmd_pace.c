/*
 * penstock pace: sets how fast a node reads, from now on. Called by command.c, on the main thread.
 */
#include <stdio.h>

#include <jansson.h>

#include "engine/api/job_pace.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/pace_report.h"
#include "engine/cli/print.h"
#include "engine/cli/through_node.h"
#include "engine/json/json_build.h"

static const struct cli_option options[] = {
    {.name = "node",
     .kind = CLI_OPTION_TEXT,
     .argument = "SOCKET",
     .required = true,
     .help = "control socket of the node; each node of a cluster has a pace of its own"},
    {.name = "min-rate",
     .kind = CLI_OPTION_SIZE,
     .argument = "RATE",
     .min = UINT64_C(1) << 20,
     .max = UINT64_C(1) << 40,
     .help = "bytes a second below which auto never goes; by default as it is"},
    CLI_OPTION_JSON,
    {0},
};

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES];
    if (pst_job_pace_check(arguments->positionals[0], message) < 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "%s", message);
    json_t *request = json_pack("{s:s, s:s}", "request", "pace", "pace", arguments->positionals[0]);
    if (cli_argument_given(arguments, "min-rate"))
        pst_json_set(&request, "min_rate",
                     json_integer((json_int_t)cli_argument_number(arguments, "min-rate")));
    json_t *answer;
    enum cli_exit code =
        cli_ask_node(arguments, request, "penstock status shows the node's pace", &answer);
    if (code != CLI_EXIT_DONE)
        return code;
    int error = 0;
    if (cli_argument_json(arguments))
        error = cli_json_record(stdout, "pace", json_incref(answer));
    else
        cli_pace_print(stdout, answer);
    json_decref(answer);
    if (error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return CLI_EXIT_DONE;
}

const struct cli_command cli_command_pace = {
    .name = "pace",
    .summary = "set how fast a node reads, in a backup that runs too",
    .positional = "max|auto|RATE",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true,
};
