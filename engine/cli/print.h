/*
 * The one way by which the commands print for people; scripts/check-structure refuses others.
 * Names, messages and manifests come from outside: what is not printable becomes '?'
 * (engine/base/printable.h), also the line ends in them. JSON goes through engine/cli/json.h and is
 * exact. Main thread only.
 */
#ifndef PST_ENGINE_CLI_PRINT_H
#define PST_ENGINE_CLI_PRINT_H

#include <stdio.h>

/* Prints a piece of a line, cut at CLI_PRINT_BYTES. No format holds a line end. An error stays in
 * out, for the caller's fflush() and ferror(). */
#define CLI_PRINT_BYTES 16384u
void cli_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the rest of a line, and ends it. */
void cli_print_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_print_empty_line(FILE *out);

/* Empties the terminal, and goes to its first corner. */
void cli_print_clear(FILE *out);

#endif
