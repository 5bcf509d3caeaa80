/*
 * Builds JSON values, and their text, so that no shortage of memory is passed over: json_pack(3)
 * leaves out what "*" marks where there is no memory for it, json_dumps(3) leaves out names. Any
 * thread, but one value by one thread at a time.
 */
#ifndef PST_ENGINE_JSON_JSON_BUILD_H
#define PST_ENGINE_JSON_JSON_BUILD_H

#include <stddef.h>

#include "penstock/error.h"

struct json_t;

/*
 * These take the reference of what they add. Where that is NULL, or memory is out, *object (or
 * *array) is released and becomes NULL, and stays so: a tree is built in a row, and asked once at
 * its end. pst_json_merge adds the fields that the object lacks.
 */
void pst_json_set(struct json_t **object, const char *name, struct json_t *value);
void pst_json_append(struct json_t **array, struct json_t *value);
void pst_json_merge(struct json_t **object, struct json_t *fields);

/* As pst_json_set, of an object that belongs to another. 0 or -ENOMEM. */
int pst_json_put(struct json_t *object, const char *name, struct json_t *value) PST_MUST_USE;

/* The text of a value, of any kind, on one line: terminated, malloc'd, the caller's; *bytes (may be
 * NULL) without the terminator. 0 or -ENOMEM, also where value is NULL; then *text is NULL. */
int pst_json_text(const struct json_t *value, char **text, size_t *bytes) PST_MUST_USE;

#endif
