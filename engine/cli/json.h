/*
 * JSON Lines on standard output: one record, one line, written at once. docs/json.md describes
 * every record; fields are only ever added. Main thread.
 */
#ifndef PST_ENGINE_CLI_JSON_H
#define PST_ENGINE_CLI_JSON_H

#include <stdio.h>

#include "engine/cli/json_text.h"
#include "penstock/error.h"

struct json_t;

/*
 * Prints a record: fields (an object) with this "message_type" before all others, and flushes; the
 * warnings that were logged since the last record come first, as records of their own. Integers
 * that a double cannot hold become strings. Takes the caller's reference, whatever happens; NULL
 * (json_pack out of memory) is -ENOMEM. -EIO: out cannot be written.
 */
int cli_json_record(FILE *out, const char *message_type, struct json_t *fields) PST_MUST_USE;

/* The warnings since the last record, for the end of a command. */
int cli_json_flush_warnings(FILE *out) PST_MUST_USE;

#endif
