/*
 * penstock resolve: decides by hand what became of a backup in doubt. Called by command.c, on the
 * main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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
     .help = "control socket of a node that has the backup in doubt; the other nodes ask it and "
             "follow"},
    {.name = "commit",
     .kind = CLI_OPTION_TEXT,
     .argument = "MANIFEST",
     .yields_to = "abort",
     .help = "the backup is complete: MANIFEST is the file BACKUP-N.cluster.manifest from another "
             "node's directory"},
    {.name = "abort",
     .kind = CLI_OPTION_SWITCH,
     .yields_to = "commit",
     .help = "the backup was never complete, and no client was told that it was: remove what the "
             "node has of it"},
    CLI_OPTION_JSON,
    {0},
};

static enum cli_exit print_answer(const struct cli_arguments *arguments, json_t *answer)
{
    int error = 0;
    if (cli_argument_json(arguments))
        error = cli_json_record(stdout, "resolved", json_incref(answer));
    else
        cli_print_line(stdout, "backup %lld is %s",
                       (long long)json_integer_value(json_object_get(answer, "number")),
                       json_string_value(json_object_get(answer, "outcome")));
    if (error || cli_print_flush(stdout) < 0)
        return cli_fail_unprinted(arguments);
    return CLI_EXIT_DONE;
}

static enum cli_exit ask(const struct cli_arguments *arguments, const char *manifest)
{
    json_t *answer;
    json_t *request =
        json_pack("{s:s, s:s, s:s}", "request", "resolve", "backup", arguments->positionals[0],
                  "outcome", manifest ? "committed" : "aborted");
    if (manifest)
        pst_json_set(&request, "manifest", json_string(manifest));
    enum cli_exit code = cli_ask_node(
        arguments, request, "penstock status shows whether the backup is still in doubt", &answer);
    if (code != CLI_EXIT_DONE)
        return code;
    code = print_answer(arguments, answer);
    json_decref(answer);
    return code;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    const char *manifest = cli_argument_text(arguments, "commit");
    if (cli_argument_switch(arguments, "abort") == (manifest != NULL))
        return cli_fail(arguments, CLI_EXIT_USAGE, "give either --commit MANIFEST or --abort");
    if (!manifest)
        return ask(arguments, NULL);
    char *path = realpath(manifest, NULL); /* it is the node that reads it */
    if (!path)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s: %s", manifest, pst_error_text(-errno));
    enum cli_exit code = ask(arguments, path);
    free(path);
    return code;
}

const struct cli_command cli_command_resolve = {
    .name = "resolve",
    .summary = "decide by hand what became of a backup in doubt",
    .positional = "NUMBER|UID",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true,
};
