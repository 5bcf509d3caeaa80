/*
 * The one way by which the commands print for people; scripts/check-structure refuses others.
 * Names, messages and manifests come from outside: what is not printable becomes '?'
 * (engine/base/printable.h), also the line ends in them. JSON goes through engine/cli/json.h and is
 * exact. Main thread only.
 */
#ifndef PST_ENGINE_CLI_PRINT_H
#define PST_ENGINE_CLI_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include "penstock/error.h"

/* Prints a piece of a line, cut at CLI_PRINT_BYTES. No format holds a line end. An error is
 * reported by cli_print_flush. */
#define CLI_PRINT_BYTES 16384u
void cli_print(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* From now on nothing is printed, or everything again. */
void cli_print_silence(bool silent);

/* Prints the rest of a line, and ends it. */
void cli_print_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_print_empty_line(FILE *out);

/* Writes out what is printed. -EIO: some of it could not be written, now or earlier. */
PST_MUST_USE int cli_print_flush(FILE *out);

/* Empties the terminal, and goes to its first corner. */
void cli_print_clear(FILE *out);

#endif
