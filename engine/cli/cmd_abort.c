/* penstock abort: ends the backup that a cluster is making. */
#include <stdio.h>

#include <jansson.h>

#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/through_node.h"

static const struct pst_option options[] = {
    {.name = "node",
     .kind = PST_OPTION_TEXT,
     .argument = "SOCKET",
     .required = true,
     .help = "control socket of any node of the cluster"},
    PST_OPTION_JSON,
    {0},
};

static enum pst_exit run(const struct pst_arguments *arguments)
{
    json_t *request = json_pack("{s:s}", "request", "abort");
    json_t *answer;
    if (arguments->positional_count > 0)
        json_object_set_new(request, "backup", json_string(arguments->positionals[0]));
    enum pst_exit code = pst_ask_node(arguments, request, &answer);
    if (code != PST_EXIT_DONE)
        return code;
    int rc = 0;
    if (pst_argument_json(arguments))
        rc = pst_json_print(stdout, json_incref(answer));
    else
        printf("backup %s is being aborted\n", json_string_value(json_object_get(answer, "uid")));
    json_decref(answer);
    if (rc < 0 || fflush(stdout) != 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print the answer");
    return PST_EXIT_DONE;
}

const struct pst_command pst_command_abort = {
    .name = "abort",
    .summary = "abort the backup that a cluster is making",
    .positional = "[UID]",
    .positional_max = 1,
    .options = options,
    .run = run,
};
