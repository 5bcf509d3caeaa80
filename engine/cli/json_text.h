/* Texts and numbers from anywhere as JSON values. Any thread. */
#ifndef PST_ENGINE_CLI_JSON_TEXT_H
#define PST_ENGINE_CLI_JSON_TEXT_H

#include <stdint.h>

#include "penstock/error.h"

struct json_t;

/*
 * A text of any bytes (a path, a message) as a JSON string: as it is where it is UTF-8, else with
 * each byte above 0x7f written as "\xNN". The caller's; NULL: no memory.
 */
struct json_t *cli_json_text(const char *text) PST_MUST_USE;

/* A point in time (CLOCK_REALTIME) as RFC 3339 in UTC, to the nanosecond. As above. */
struct json_t *cli_json_time(uint64_t unix_ns) PST_MUST_USE;

/* A number that is always a string, in decimal: a GCI. As above. */
struct json_t *cli_json_big(uint64_t number) PST_MUST_USE;

/* Chunks by codec: those of no codec are the rest of all. As above. */
struct json_t *cli_json_codecs(uint64_t chunks, uint64_t lz4_chunks,
                               uint64_t zstd_chunks) PST_MUST_USE;

/* The object whose text a manifest or a report has as a source's details. As above. */
struct json_t *cli_json_details(const char *details) PST_MUST_USE;

#endif
