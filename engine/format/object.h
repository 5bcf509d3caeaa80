/*
 * Reading catalogue entries (penstock/object.h). docs/format.md has the bytes.
 *
 * Pure, no allocation, any thread. Strings of a decoded object point into the payload that it was
 * decoded from and live as long as that.
 */
#ifndef PST_ENGINE_FORMAT_OBJECT_H
#define PST_ENGINE_FORMAT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "penstock/object.h"

#define PST_OBJECT_TYPE_MAX 13u

#define PST_OBJECT_FLAGS_KNOWN 3u

_Static_assert(PST_OBJECT_BYTES_MAX <= PST_CHUNK_BYTES_MIN, "every object fits a catalogue chunk");

/* Instance of the source that an object belongs to. */
uint32_t pst_object_source(uint64_t id);

/* Decodes the object at payload + *offset and moves *offset past it: loop while
 * *offset < payload_bytes (the chunk's raw_bytes).
 *   -PST_E_CORRUPT      not a legal entry
 *   -PST_E_UNSAFE_PATH  the path is not one of a file below the root
 *   -PST_E_NEWER        an unknown type, or an attribute that must be understood
 * On failure *offset stays, and *object holds nothing to be read. */
int pst_object_decode(const void *payload, size_t payload_bytes, size_t *offset,
                      struct pst_object *object) PST_MUST_USE;

/* The object of an entry that pst_object_decode has found legal: not checked again. */
struct pst_object pst_object_of_legal(const void *entry);

/* Whether it is the object of that id, or another name of it (PST_OBJECT_HARD_LINK). */
bool pst_object_is_name_of(const struct pst_object *object, uint64_t id);

/* Lowest and highest id in a payload of legal entries, and their number. */
struct pst_object_range {
    uint64_t first;
    uint64_t last;
    uint64_t objects;
};
struct pst_object_range format_object_range_of(const void *payload, size_t payload_bytes);

/* The attribute that says how many bytes of an object's contents are data; the rest are holes.
 * Encodes it into out and returns its length. */
#define PST_OBJECT_DATA_ATTRIBUTE_BYTES 16u
uint32_t pst_object_data_encode(uint64_t data_bytes, void *out);

/* False: a legal object has no such attribute, and any bytes of it may be holes. */
bool pst_object_data_bytes(const struct pst_object *object, uint64_t *data_bytes);

/* Which file it was, beside its path: a later backup takes it for unchanged by this. */
struct pst_object_identity {
    uint64_t device;
    uint64_t inode;
    int64_t ctime_sec; /* since 1970 */
    uint32_t ctime_nsec;
    uint8_t reserved[20];
};

_Static_assert(sizeof(struct pst_object_identity) == 48, "docs/format.md");

/* Its attribute, as above; false: the object has none. */
#define PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES 56u
uint32_t pst_object_identity_encode(const struct pst_object_identity *identity, void *out);
bool pst_object_identity(const struct pst_object *object, struct pst_object_identity *identity);

/* Not empty, not absolute, no empty, "." or ".." component, shorter than PST_PATH_BYTES_MAX. */
bool pst_object_path_is_safe(const char *path);

/* The same for a single component: the name of a source. */
bool pst_object_name_is_safe(const char *name);

#endif
