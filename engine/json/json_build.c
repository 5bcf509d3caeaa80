/*
 * Adds to JSON values, and makes their text. Called by whatever makes JSON; any thread.
 */
#include "engine/json/json_build.h"

#include <errno.h>
#include <stdlib.h>

#include <jansson.h>

static void drop_unless(int rc, json_t **value)
{
    if (rc == 0)
        return;
    json_decref(*value);
    *value = NULL;
}

void pst_json_set(struct json_t **object, const char *name, struct json_t *value)
{
    drop_unless(json_object_set_new(*object, name, value), object);
}

void pst_json_append(struct json_t **array, struct json_t *value)
{
    drop_unless(json_array_append_new(*array, value), array);
}

/* json_object_update_missing(3) does not ask whether memory was out. */
void pst_json_merge(struct json_t **object, struct json_t *fields)
{
    const char *name;
    json_t *value;
    drop_unless(fields ? 0 : -1, object);
    json_object_foreach(fields, name, value)
    {
        if (*object && !json_object_get(*object, name))
            drop_unless(json_object_set(*object, name, value), object);
    }
    json_decref(fields);
}

int pst_json_put(struct json_t *object, const char *name, struct json_t *value)
{
    return json_object_set_new(object, name, value) == 0 ? 0 : -ENOMEM;
}

/* Into a buffer that is large enough: json_dumps(3) does not ask whether its own could grow. */
int pst_json_text(const struct json_t *value, char **text, size_t *bytes)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t length = json_dumpb(value, NULL, 0, flags);
    *text = length > 0 ? malloc(length + 1) : NULL;
    if (!*text)
        return -ENOMEM;
    if (json_dumpb(value, *text, length, flags) != length) {
        free(*text);
        *text = NULL;
        return -ENOMEM;
    }
    (*text)[length] = '\0';
    if (bytes)
        *bytes = length;
    return 0;
}
