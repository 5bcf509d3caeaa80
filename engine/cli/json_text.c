/*
 * Makes JSON values of texts, times and large numbers. Called by whatever makes JSON; any thread.
 */
#include "engine/cli/json_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/time_text.h"
#include "engine/base/utf8.h"
#include "engine/json/json_read.h"

static void escape(const char *text, char *escaped)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        escaped += sprintf(escaped, byte > 0x7f ? "\\x%02x" : "%c", byte);
    }
    *escaped = '\0';
}

struct json_t *cli_json_text(const char *text)
{
    if (pst_utf8_is_valid(text, strlen(text)))
        return json_string(text);
    char *escaped = malloc(4 * strlen(text) + 1);
    if (!escaped)
        return NULL;
    escape(text, escaped);
    json_t *string = json_string(escaped);
    free(escaped);
    return string;
}

struct json_t *cli_json_time(uint64_t unix_ns)
{
    char text[PST_TIME_TEXT_BYTES];
    return json_string(pst_time_text(unix_ns, 9, text));
}

struct json_t *cli_json_big(uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    return json_string(text);
}

struct json_t *cli_json_codecs(uint64_t chunks, uint64_t lz4_chunks, uint64_t zstd_chunks)
{
    return json_pack("{s:I, s:I, s:I}", "none", (json_int_t)(chunks - lz4_chunks - zstd_chunks),
                     "lz4", (json_int_t)lz4_chunks, "zstd", (json_int_t)zstd_chunks);
}

struct json_t *cli_json_details(const char *details)
{
    json_t *value;
    (void)!pst_json_read(details, strlen(details), &value, NULL);
    return value;
}
