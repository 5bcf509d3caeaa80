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
    {.name = "keep-going",
     .kind = CLI_OPTION_SWITCH,
     .help = "mount a damaged backup too: what is whole of it is there, what is known to lack "
             "something is an I/O error, and names that are lost are missing; once it is "
             "unmounted, the exit code is 3"},
    {0}};

/* A directory that lacks names says so nowhere: whoever copies from it is to have asked for that.
 */
static enum cli_exit refuse_damaged(const struct cli_look *look)
{
    uint64_t count = pst_look_damages(look->look);
    if (count == 0 || cli_argument_switch(look->arguments, "keep-going"))
        return CLI_EXIT_DONE;
    return cli_fail(look->arguments, CLI_EXIT_FAILED,
                    "backup %u is damaged, and a mount may lack some of it; --keep-going mounts "
                    "what is whole of it",
                    pst_inside_number(look->inside));
}

static enum cli_exit serve(struct cli_look *look, const char *directory)
{
    char message[PST_MESSAGE_BYTES] = "";
    const struct pst_fuse_options mount = {
        .directory = directory,
        .number = pst_inside_number(look->inside),
        .keep_going = cli_argument_switch(look->arguments, "keep-going"),
        .allow_other = cli_argument_switch(look->arguments, "allow-other"),
        .stop_fd = pst_interrupt_fd(),
    };
    int error = pst_fuse_run(look->look, &mount, message);
    if (!error)
        return cli_look_end(look, 0, message);
    cli_look_close(look);
    if (error == -ECANCELED)
        return cli_fail(look->arguments, CLI_EXIT_INTERRUPTED, "interrupted; %s is unmounted",
                        directory);
    return cli_fail(look->arguments, CLI_EXIT_FAILED, "%s%s", message,
                    error == -PST_E_CORRUPT && !mount.keep_going
                        ? "; --keep-going mounts what is whole of the backup"
                        : "");
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES];
    struct cli_look look;
    uint32_t count = arguments->positional_count;
    const char *directory = arguments->positionals[count - 1];
    enum cli_exit code = cli_read_take_signals(arguments);
    if (code != CLI_EXIT_DONE)
        return code;
    if (pst_fuse_check(directory, message) != 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "%s", message);
    code = cli_look_begin(arguments, count > 1 ? arguments->positionals[0] : NULL, "", 1, &look);
    if (code != CLI_EXIT_DONE)
        return code;
    code = refuse_damaged(&look);
    if (code == CLI_EXIT_DONE)
        return serve(&look, directory);
    cli_look_close(&look);
    return code;
}

const struct cli_command cli_command_mount = {.name = "mount",
                                              .summary = "show a backup as a read-only file system",
                                              .positional = "[ID] MOUNTPOINT",
                                              .positional_min = 1,
                                              .positional_max = 2,
                                              .options = options,
                                              .run = run};
