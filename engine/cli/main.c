#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"

static const struct pst_command *const commands[] = {
    &pst_command_backup,
    &pst_command_list,
    &pst_command_show,
    &pst_command_verify,
    &pst_command_restore,
    &pst_command_export,
    &pst_command_prune,
    &pst_command_topology,
    &pst_command_node,
    &pst_command_status,
    &pst_command_abort,
    &pst_command_resolve,
    NULL,
};

/*
 * A part file that got the number of a closed standard stream would be printed into. What takes the
 * number instead cannot be written to, so printing there stays an error.
 */
static bool occupy_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!occupy_closed_streams())
        return PST_EXIT_FAILED;
    pst_log_find_journal();
    return (int)pst_commands_run(commands, argc, argv);
}
