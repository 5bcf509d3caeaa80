/*
 * The program: the list of its commands. The main thread starts here.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>

#include "engine/base/log.h"
#include "engine/base/streams.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"

static const struct cli_command *const commands[] = {
    &cli_command_backup,   &cli_command_list,
    &cli_command_show,     &cli_command_ls,
    &cli_command_find,     &cli_command_cat,
    &cli_command_diff,     &cli_command_mount,
    &cli_command_stats,    &cli_command_verify,
    &cli_command_restore,  &cli_command_export,
    &cli_command_prune,    &cli_command_pin,
    &cli_command_unpin,    &cli_command_key,
    &cli_command_topology, &cli_command_node,
    &cli_command_keygen,   &cli_command_status,
    &cli_command_pace,     &cli_command_metrics,
    &cli_command_events,   &cli_command_abort,
    &cli_command_resolve,  NULL,
};

/* Files and locked memory: the soft limits are for programs that use select(2) or know no better.
 */
static void raise_limits(void)
{
    static const int resources[] = {RLIMIT_NOFILE, RLIMIT_MEMLOCK};
    for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
        struct rlimit limit;
        if (getrlimit(resources[i], &limit) != 0 || limit.rlim_cur == limit.rlim_max)
            continue;
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(resources[i], &limit); /* it may be refused: then it stays as it is */
    }
}

int main(int argc, char **argv)
{
    char message[PST_MESSAGE_BYTES];
    if (pst_streams_occupy(message)) /* where could it be printed? */
        return CLI_EXIT_FAILED;
    raise_limits();
    signal(SIGCHLD, SIG_DFL); /* ignored, as it may be by whoever starts it, children are lost */
    signal(SIGUSR1, SIG_IGN); /* it asks for the progress, and most commands have none */
    pst_log_find_journal(PST_JOURNAL_SOCKET);
    return (int)cli_commands_run(commands, argc, argv);
}
