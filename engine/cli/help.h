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

/* ---- for what else is made of the tables: pages.c ---- */

/* Prints whatever of range, default and environment an option has, in brackets, and a line's end.
 */
void cli_option_facts(FILE *out, const struct cli_option *option);

/* What every command takes. Lines of the help end in '\n', but the last. */
struct cli_common_option {
    const char *name;
    char letter;          /* the short form; 0: none */
    const char *argument; /* NULL: none */
    char help[256];
};

#define CLI_COMMON_OPTIONS 4u

void cli_common_options(const struct cli_command *command,
                        struct cli_common_option options[CLI_COMMON_OPTIONS]);

/* What each exit code means, in at most two lines; the table ends in {0}. */
struct cli_exit_meaning {
    enum cli_exit code;
    const char *text;
};
extern const struct cli_exit_meaning cli_exit_meanings[];

#endif
