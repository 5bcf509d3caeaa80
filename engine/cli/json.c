/*
 * Prints JSON values and records, by jansson. Called by whatever prints --json; any one thread at a
 * time.
 */
#include "engine/cli/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

int cli_json_print(FILE *out, struct json_t *value)
{
    if (!value)
        return -ENOMEM;
    int rc = json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    if (rc != 0 || fputc('\n', out) == EOF || fflush(out) != 0 || ferror(out))
        return -EIO;
    return 0;
}

int cli_json_record(FILE *out, const char *message_type, struct json_t *fields)
{
    if (!fields)
        return -ENOMEM;
    json_t *record = json_pack("{s:s}", "message_type", message_type);
    int rc = record ? json_object_update(record, fields) : -1;
    json_decref(fields);
    if (rc == 0)
        return cli_json_print(out, record);
    json_decref(record);
    return -ENOMEM;
}

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
    json_t *string = json_string(text);
    if (string)
        return string;
    char *escaped = malloc(4 * strlen(text) + 1);
    if (!escaped)
        return NULL;
    escape(text, escaped);
    string = json_string(escaped);
    free(escaped);
    return string;
}
