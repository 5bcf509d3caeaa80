/* The commands of penstock, each in engine/cli/cmd_<name>.c. */
#ifndef PST_ENGINE_CLI_COMMANDS_H
#define PST_ENGINE_CLI_COMMANDS_H

#include "engine/cli/command.h"

extern const struct pst_command pst_command_abort;
extern const struct pst_command pst_command_backup;
extern const struct pst_command pst_command_export;
extern const struct pst_command pst_command_list;
extern const struct pst_command pst_command_node;
extern const struct pst_command pst_command_prune;
extern const struct pst_command pst_command_resolve;
extern const struct pst_command pst_command_restore;
extern const struct pst_command pst_command_show;
extern const struct pst_command pst_command_status;
extern const struct pst_command pst_command_topology;
extern const struct pst_command pst_command_verify;

#endif
