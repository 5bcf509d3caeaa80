/*
 * JSON on standard output: one value, one line, written at once. Fields are only ever added.
 */
#ifndef PST_ENGINE_CLI_JSON_H
#define PST_ENGINE_CLI_JSON_H

#include <stdio.h>

#include "penstock/error.h"

struct json_t;

/*
 * Prints a value and a newline, and flushes. Takes the caller's reference, whatever happens; NULL
 * (json_pack out of memory) is -ENOMEM. -EIO: out cannot be written.
 */
int cli_json_print(FILE *out, struct json_t *value) PST_MUST_USE;

/*
 * Prints one JSON Lines record: fields (an object) with "message_type" before all others. Types are
 * "status", "summary", "error" (one file or source; work goes on) and "exit_error". As above.
 */
int cli_json_record(FILE *out, const char *message_type, struct json_t *fields) PST_MUST_USE;

/*
 * A text of any bytes (a path, a message) as a JSON string: as it is where it is UTF-8, else with
 * each byte above 0x7f written as "\xNN". The caller's; NULL: no memory.
 */
struct json_t *cli_json_text(const char *text) PST_MUST_USE;

#endif
