/*
 * Texts of the command line as numbers, and numbers as text for people. Pure; any thread.
 */
#ifndef PST_ENGINE_CLI_VALUE_H
#define PST_ENGINE_CLI_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

/* All three: digits only before the unit, no sign, no fraction, no blanks. -EINVAL: something else;
 * -ERANGE: it does not fit 64 bits. */

/* "8" */
int cli_value_count(const char *text, uint64_t *count) PST_MUST_USE;

/* "4096", "64K", "64KiB", "1M", "2GiB", "1T": powers of 1024, either case. */
int cli_value_size(const char *text, uint64_t *bytes) PST_MUST_USE;

/* "500ms", "2s", "90us", "10ns", "5m", "1h"; a unit is required, but for "0". */
int cli_value_duration(const char *text, uint64_t *duration_ns) PST_MUST_USE;

#define CLI_VALUE_TEXT_BYTES 32u

/* "512 B", "1.5 MiB". text has CLI_VALUE_TEXT_BYTES and is returned. */
char *cli_value_size_text(uint64_t bytes, char *text);

/* How many times stored_bytes are in source_bytes: "2.31"; "-" where nothing is stored. As above.
 */
char *cli_value_ratio_text(uint64_t source_bytes, uint64_t stored_bytes, char *text);

/* "1 object", "2 objects": noun in the singular, which takes an s. As above, with
 * CLI_VALUE_COUNT_BYTES. */
#define CLI_VALUE_COUNT_BYTES 64u
char *cli_value_count_text(uint64_t count, const char *noun, char *text);

/* "0:07", "12:34", "3:12:34". */
char *cli_value_clock_text(uint64_t seconds, char *text);

/* "64K", "1M", "500ms": shortest exact spelling that the parsers above take back. */
char *cli_value_exact_size(uint64_t bytes, char *text);
char *cli_value_exact_duration(uint64_t duration_ns, char *text);

#endif
