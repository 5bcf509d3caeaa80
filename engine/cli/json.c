/*
 * Prints JSON values and records, by jansson. Called by whatever prints --json; any one thread at a
 * time.
 */
#include "engine/cli/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "engine/cli/json_warnings.h"
#include "engine/json/json_build.h"

/* Readers keep numbers as doubles: what these round becomes a string (RFC 8259, section 6). */
static json_t *exact(json_int_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, number);
    return json_string(text);
}

static bool is_rounded(const json_t *value)
{
    json_int_t number = json_integer_value(value);
    return number > INT64_C(9007199254740991) || number < -INT64_C(9007199254740991);
}

/* Below value, in place. 0 or -ENOMEM. */
static int make_numbers_exact(json_t *value)
{
    const char *key;
    size_t index;
    json_t *entry;
    int error = 0;
    json_object_foreach(value, key, entry)
    {
        if (!error && is_rounded(entry))
            error = pst_json_put(value, key, exact(json_integer_value(entry)));
        else if (!error)
            error = make_numbers_exact(entry);
    }
    json_array_foreach(value, index, entry)
    {
        if (!error && is_rounded(entry)) {
            int rc = json_array_set_new(value, index, exact(json_integer_value(entry)));
            error = rc == 0 ? 0 : -ENOMEM;
        } else if (!error) {
            error = make_numbers_exact(entry);
        }
    }
    return error;
}

static int print_line(FILE *out, const char *text)
{
    flockfile(out); /* findings come from other threads than progress */
    bool failed =
        fputs(text, out) == EOF || fputc('\n', out) == EOF || fflush(out) != 0 || ferror(out);
    funlockfile(out);
    return failed ? -EIO : 0;
}

/* Takes fields. */
static int print_record(FILE *out, const char *message_type, struct json_t *fields)
{
    char *text = NULL;
    json_t *record = json_pack("{s:s}", "message_type", message_type);
    pst_json_merge(&record, fields);
    int error = make_numbers_exact(record);
    if (!error)
        error = pst_json_text(record, &text, NULL);
    json_decref(record);
    if (!error)
        error = print_line(out, text);
    free(text);
    return error;
}

int cli_json_flush_warnings(FILE *out)
{
    json_t *warnings = cli_json_warnings_take(), *message;
    size_t index;
    int error = 0;
    json_array_foreach(warnings, index, message)
    {
        int rc = print_record(out, "warning", json_pack("{s:O}", "message", message));
        error = error ? error : rc;
    }
    json_decref(warnings);
    return error;
}

int cli_json_record(FILE *out, const char *message_type, struct json_t *fields)
{
    int error = cli_json_flush_warnings(out);
    int rc = print_record(out, message_type, fields);
    return rc ? rc : error;
}
