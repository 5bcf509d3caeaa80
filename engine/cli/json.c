/*
 * Prints JSON values and records, by jansson. Called by whatever prints --json; any one thread at a
 * time.
 */
#include "engine/cli/json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "engine/cli/json_warnings.h"

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

/* Below value, in place. */
static void make_numbers_exact(json_t *value)
{
    const char *key;
    size_t index;
    json_t *entry;
    if (json_is_object(value)) {
        json_object_foreach(value, key, entry)
        {
            if (is_rounded(entry))
                json_object_set_new(value, key, exact(json_integer_value(entry)));
            else
                make_numbers_exact(entry);
        }
        return;
    }
    json_array_foreach(value, index, entry)
    {
        if (is_rounded(entry))
            json_array_set_new(value, index, exact(json_integer_value(entry)));
        else
            make_numbers_exact(entry);
    }
}

static int print(FILE *out, struct json_t *value)
{
    if (!value)
        return -ENOMEM;
    make_numbers_exact(value);
    flockfile(out); /* findings come from other threads than progress */
    int rc = json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    bool failed = rc != 0 || fputc('\n', out) == EOF || fflush(out) != 0 || ferror(out);
    funlockfile(out);
    return failed ? -EIO : 0;
}

static int print_record(FILE *out, const char *message_type, struct json_t *fields)
{
    if (!fields)
        return -ENOMEM;
    json_t *record = json_pack("{s:s}", "message_type", message_type);
    int rc = record ? json_object_update_missing(record, fields) : -1;
    json_decref(fields);
    if (rc == 0)
        return print(out, record);
    json_decref(record);
    return -ENOMEM;
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
