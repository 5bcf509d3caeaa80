/*
 * Warnings of the log as JSON records: {"message_type":"warning","message":…}. They are kept as
 * they come, from any thread, and printed before the next record.
 */
#ifndef PST_ENGINE_CLI_JSON_WARNINGS_H
#define PST_ENGINE_CLI_JSON_WARNINGS_H

#include "penstock/error.h"

struct json_t;

/* Keeps the warnings from now on. Main thread, before any other starts. */
void cli_json_warnings_begin(void);

/* All that were kept since the last call, as an array of texts, the caller's; NULL: there is none.
 * Main thread. */
struct json_t *cli_json_warnings_take(void) PST_MUST_USE;

#endif
