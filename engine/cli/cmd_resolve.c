/* penstock resolve: decides by hand what became of a backup in doubt. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/through_node.h"

static const struct pst_option options[] = {
    {.name = "node",
     .kind = PST_OPTION_TEXT,
     .argument = "SOCKET",
     .required = true,
     .help = "control socket of a node that has it in doubt; the others follow as they ask it"},
    {.name = "commit",
     .kind = PST_OPTION_TEXT,
     .argument = "MANIFEST",
     .help = "it is complete: its cluster manifest, a file BACKUP-N.cluster.manifest of another "
             "node's directory"},
    {.name = "abort",
     .kind = PST_OPTION_SWITCH,
     .help = "it never was complete, and nobody was told so: remove what the node has of it"},
    PST_OPTION_JSON,
    {0},
};

static enum pst_exit print_answer(const struct pst_arguments *arguments, json_t *answer)
{
    int rc = 0;
    if (pst_argument_json(arguments))
        rc = pst_json_print(stdout, json_incref(answer));
    else
        printf("backup %lld is %s\n",
               (long long)json_integer_value(json_object_get(answer, "number")),
               json_string_value(json_object_get(answer, "outcome")));
    if (rc < 0 || fflush(stdout) != 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print the answer");
    return PST_EXIT_DONE;
}

static enum pst_exit ask(const struct pst_arguments *arguments, const char *manifest)
{
    json_t *answer;
    json_t *request =
        json_pack("{s:s, s:s, s:s}", "request", "resolve", "backup", arguments->positionals[0],
                  "outcome", manifest ? "committed" : "aborted");
    if (manifest)
        json_object_set_new(request, "manifest", json_string(manifest));
    enum pst_exit code = pst_ask_node(arguments, request, &answer);
    if (code != PST_EXIT_DONE)
        return code;
    code = print_answer(arguments, answer);
    json_decref(answer);
    return code;
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    const char *manifest = pst_argument_text(arguments, "commit");
    if (pst_argument_switch(arguments, "abort") == (manifest != NULL))
        return pst_fail(arguments, PST_EXIT_USAGE,
                        "say what became of the backup: --commit MANIFEST or --abort");
    if (!manifest)
        return ask(arguments, NULL);
    char *path = realpath(manifest, NULL); /* it is the node that reads it */
    if (!path)
        return pst_fail(arguments, PST_EXIT_FAILED, "%s: %s", manifest, pst_error_text(-errno));
    enum pst_exit code = ask(arguments, path);
    free(path);
    return code;
}

const struct pst_command pst_command_resolve = {
    .name = "resolve",
    .summary = "decide by hand what became of a backup in doubt",
    .positional = "NUMBER|UID",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run,
};
