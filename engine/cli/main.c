#include "engine/cli/command.h"
#include "engine/cli/commands.h"

static const struct pst_command *const commands[] = {
    &pst_command_backup,
    &pst_command_list,
    &pst_command_show,
    &pst_command_verify,
    &pst_command_restore,
    &pst_command_topology,
    NULL,
};

int main(int argc, char **argv)
{
    return (int)pst_commands_run(commands, argc, argv);
}
