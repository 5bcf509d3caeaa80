/*
 * --help, from the tables. Main thread only.
 */
#ifndef PST_ENGINE_CLI_HELP_H
#define PST_ENGINE_CLI_HELP_H

#include <stdio.h>

#include "engine/cli/arguments.h"

/* Help of one command, and of all (list ends in NULL). */
void cli_command_help(FILE *out, const struct cli_command *command);
void cli_commands_help(FILE *out, const struct cli_command *const *commands);

#endif
