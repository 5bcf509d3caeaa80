/*
 * Reads JSON from anywhere (RFC 8259), strictly and within bounds. Any thread. jansson's own reader
 * is not used: where memory runs out it loses bytes without a word, or crashes (docs/adr/0029).
 */
#ifndef PST_ENGINE_JSON_JSON_READ_H
#define PST_ENGINE_JSON_JSON_READ_H

#include <stddef.h>

#include "penstock/error.h"

#define PST_JSON_BYTES_MAX (1u << 20) /* of a text */
#define PST_JSON_DEPTH_MAX 64u        /* of objects and arrays within each other */
#define PST_JSON_REAL_BYTES_MAX 63u   /* of a number that is no integer */

struct json_t;

struct pst_json_fault {
    size_t offset;    /* where reading ended; the length of the text: it is cut */
    const char *what; /* static */
};

/*
 * A text that is one object, in UTF-8; not terminated. 0, and *value is the caller's reference.
 *   -EBADMSG   it is none, or beyond a bound above, or has one name twice in an object, an integer
 *              that 64 bits do not hold, or a NUL in a string; *fault (may be NULL) says where
 *   -ENOMEM
 * After an error *value is NULL.
 */
int pst_json_read(const char *text, size_t bytes, struct json_t **value,
                  struct pst_json_fault *fault) PST_MUST_USE;

#endif
