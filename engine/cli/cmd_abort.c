/*
 * penstock abort: asks a node to abort the backup that its cluster is making. Called by command.c,
 * on the main thread.
 */
#include <stdio.h>

#include <jansson.h>

#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/print.h"
#include "engine/cli/through_node.h"
#include "engine/json/json_build.h"

static const struct cli_option options[] = {
    {.name = "node",
     .kind = CLI_OPTION_TEXT,
     .argument = "SOCKET",
     .required = true,
     .help = "control socket of any node of the cluster"},
    CLI_OPTION_JSON,
    {0},
};

static enum cli_exit run(const struct cli_arguments *arguments)
{
    const char *uid = arguments->positional_count > 0 ? arguments->positionals[0] : NULL;
    json_t *request = json_pack("{s:s}", "request", "abort");
    if (uid)
        pst_json_set(&request, "backup", json_string(uid));
    json_t *answer;
    enum cli_exit code = cli_ask_node(arguments, request,
                                      "penstock status shows whether the backup goes on", &answer);
    if (code != CLI_EXIT_DONE)
        return code;
    int error = 0;
    if (cli_argument_json(arguments))
        error = cli_json_record(stdout, "aborting", json_incref(answer));
    else
        cli_print_line(stdout, "backup %s is being aborted",
                       json_string_value(json_object_get(answer, "uid")));
    json_decref(answer);
    if (error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return CLI_EXIT_DONE;
}

const struct cli_command cli_command_abort = {
    .name = "abort",
    .summary = "abort the backup that a cluster is making",
    .positional = "[UID]",
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true,
};
