/* What a command would use, for people. Main thread only. */
#ifndef PST_ENGINE_CLI_SETTINGS_H
#define PST_ENGINE_CLI_SETTINGS_H

#include "engine/cli/arguments.h"

/* A line for each value of each option that has one: where it comes from, and "key = value". */
void cli_settings_print(const struct cli_arguments *arguments);

#endif
