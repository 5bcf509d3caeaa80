/*
 * penstock mount: shows a backup as a file system. Called by command.c, on the main thread.
 */
#include <errno.h>

#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"
#include "engine/cli/read_command.h"
#include "engine/fuse/fuse_server.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    {.name = "allow-other",
     .kind = CLI_OPTION_SWITCH,
     .help = "let other users use it too, each as owners, permissions and ACLs in the backup "
             "allow; who is not root needs user_allow_other in /etc/fuse.conf"},
    {0}};

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES] = "";
    struct cli_look look;
    uint32_t count = arguments->positional_count;
    enum cli_exit code = cli_read_take_signals(arguments);
    if (code != CLI_EXIT_DONE)
        return code;
    code = cli_look_begin(arguments, count > 1 ? arguments->positionals[0] : NULL, 1, &look);
    if (code != CLI_EXIT_DONE)
        return code;
    const struct pst_fuse_options mount = {
        .directory = arguments->positionals[count - 1],
        .number = pst_inside_number(look.inside),
        .allow_other = cli_argument_switch(arguments, "allow-other"),
        .stop_fd = pst_interrupt_fd(),
    };
    int error = pst_fuse_run(look.look, &mount, message);
    if (error != -ECANCELED && error != -EINVAL)
        return cli_look_end(&look, error, message);
    cli_look_close(&look);
    return error == -EINVAL ? cli_fail(arguments, CLI_EXIT_USAGE, "%s", message)
                            : cli_fail(arguments, CLI_EXIT_INTERRUPTED,
                                       "interrupted; %s is unmounted", mount.directory);
}

const struct cli_command cli_command_mount = {.name = "mount",
                                              .summary = "show a backup as a read-only file system",
                                              .positional = "[ID] MOUNTPOINT",
                                              .positional_min = 1,
                                              .positional_max = 2,
                                              .options = options,
                                              .run = run};
