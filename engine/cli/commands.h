/* The commands of penstock, each in engine/cli/cmd_<name>.c. */
#ifndef PST_ENGINE_CLI_COMMANDS_H
#define PST_ENGINE_CLI_COMMANDS_H

#include "engine/cli/command.h"

extern const struct cli_command cli_command_abort;
extern const struct cli_command cli_command_backup;
extern const struct cli_command cli_command_cat;
extern const struct cli_command cli_command_diff;
extern const struct cli_command cli_command_events;
extern const struct cli_command cli_command_export;
extern const struct cli_command cli_command_find;
extern const struct cli_command cli_command_key;
extern const struct cli_command cli_command_keygen;
extern const struct cli_command cli_command_list;
extern const struct cli_command cli_command_ls;
extern const struct cli_command cli_command_metrics;
extern const struct cli_command cli_command_mount;
extern const struct cli_command cli_command_node;
extern const struct cli_command cli_command_pace;
extern const struct cli_command cli_command_pin;
extern const struct cli_command cli_command_prune;
extern const struct cli_command cli_command_resolve;
extern const struct cli_command cli_command_restore;
extern const struct cli_command cli_command_show;
extern const struct cli_command cli_command_stats;
extern const struct cli_command cli_command_status;
extern const struct cli_command cli_command_topology;
extern const struct cli_command cli_command_unpin;
extern const struct cli_command cli_command_verify;

#endif
