/*
 * penstock keygen: makes the key of a cluster that spans hosts. Called by command.c, on the main
 * thread.
 */
#include "engine/cli/commands.h"
#include "engine/cli/print.h"
#include "engine/service/cluster_key.h"

static const struct cli_option options[] = {{0}};

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES];
    const char *path = arguments->positionals[0];
    if (pst_cluster_key_make(path, message) < 0)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    cli_print_line(stdout, "%s: a new cluster key: copy it to every node, for --cluster-key", path);
    if (cli_print_flush(stdout) < 0)
        return cli_fail(arguments, CLI_EXIT_PARTIAL, "cannot write to standard output");
    return CLI_EXIT_DONE;
}

const struct cli_command cli_command_keygen = {
    .name = "keygen",
    .summary = "make the key of a cluster that spans hosts",
    .positional = "FILE",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true,
};
