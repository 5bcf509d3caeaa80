/*
 * Manual pages and completion, from the tables that --help is made of: a program of the build,
 * which is not installed. Main thread only.
 */
#ifndef PST_ENGINE_CLI_PAGES_H
#define PST_ENGINE_CLI_PAGES_H

#include <stdio.h>

#include "engine/cli/arguments.h"

typedef const struct cli_command *const *pages_commands; /* NULL ends it */

/* penstock(1); and that of one command, penstock-NAME(1). */
void pages_man(FILE *out, pages_commands commands);
void pages_man_command(FILE *out, const struct cli_command *command);

/* The whole file. */
void pages_bash(FILE *out, pages_commands commands);
void pages_zsh(FILE *out, pages_commands commands);

/* What can be offered for a value. */
enum pages_files { PAGES_NO_FILES, PAGES_FILES, PAGES_DIRECTORIES, PAGES_SOURCE };
struct pages_value {
    enum pages_files files; /* PAGES_SOURCE: files, behind a colon */
    char words[128];        /* with spaces between */
};

/* From what the help calls it: "on|off", "FILE", "DIR|null:". NULL: nothing. */
struct pages_value pages_value_of(const char *argument);

#endif
