/*
 * penstock cat: writes the contents of a file of a backup to standard output. Called by command.c,
 * on the main thread.
 */
#include <errno.h>
#include <unistd.h>

#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_KEY_OPTION, CLI_ID_OPTION, {0}};

static int write_out(void *context, const void *data, size_t bytes)
{
    struct cli_look *look = context;
    for (const char *rest = data; bytes > 0;) {
        ssize_t written = write(STDOUT_FILENO, rest, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            look->print_error = written < 0 ? -errno : -EIO;
            return look->print_error;
        }
        rest += written;
        bytes -= (size_t)written;
    }
    return 0;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES] = "";
    struct cli_look look;
    struct pst_look_object found;
    const char *name = cli_look_name(arguments->positionals[0]);
    enum cli_exit code =
        cli_look_begin(arguments, cli_argument_text(arguments, "id"), name, 1, &look);
    if (code != CLI_EXIT_DONE)
        return code;
    int error = pst_look_find(look.look, name, &found, message);
    if (!error)
        error = pst_look_contents(look.look, write_out, &look, message);
    look.is_whole = !error;
    if (!error)
        error = cli_look_summary(&look, "cat", 1);
    return cli_look_end(&look, error, message);
}

const struct cli_command cli_command_cat = {
    .name = "cat",
    .summary = "write the contents of a file of a backup to standard output",
    .positional = "PATH",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run};
