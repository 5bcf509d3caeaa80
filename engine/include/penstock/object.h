/*
 * Objects: what a backup holds, and how the catalogue describes it.
 *
 * Pure, no allocation, any thread.
 */
#ifndef PENSTOCK_OBJECT_H
#define PENSTOCK_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"
#include "penstock/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

enum pst_object_type {
    PST_OBJECT_FILE = 1,
    PST_OBJECT_DIRECTORY = 2,
    PST_OBJECT_SYMLINK = 3,
    PST_OBJECT_HARD_LINK = 4,        /* another name of the object linked_object */
    PST_OBJECT_TABLE = 5,            /* rows */
    PST_OBJECT_ENVIRONMENT = 6,      /* LMDB */
    PST_OBJECT_BLOCK_DEVICE = 7,     /* the node itself, not what is on it */
    PST_OBJECT_CHARACTER_DEVICE = 8, /* likewise */
    PST_OBJECT_FIFO = 9,
    PST_OBJECT_SOCKET = 10,
    PST_OBJECT_BLOCK_IMAGE = 11, /* contents of a block device */
    PST_OBJECT_ROWS = 12,        /* a share of a table, as a stream of records */
    PST_OBJECT_DATABASE = 13,    /* the database of its source's tables; the name of its file */
};

enum pst_object_flags {
    PST_OBJECT_UNREADABLE = 1, /* its contents could not be read, or not wholly */
    PST_OBJECT_CHANGED = 2,    /* it changed during the backup: torn */
};

/* Object ids: instance of the source << 48 | counter from 1. Unique in a node's backup. */
#define PST_OBJECT_SOURCE_SHIFT 48u
#define PST_OBJECT_COUNTER_MAX ((UINT64_C(1) << PST_OBJECT_SOURCE_SHIFT) - 1)

struct pst_object {
    uint64_t id;
    enum pst_object_type type;
    uint32_t flags;         /* enum pst_object_flags */
    const char *path;       /* relative to the source's root, "" for the root directory itself */
    const char *link;       /* SYMLINK: its target, else NULL */
    uint64_t size;          /* bytes of a FILE, TABLE, ENVIRONMENT, BLOCK_IMAGE or ROWS; else 0 */
    uint64_t linked_object; /* HARD_LINK: id of an object of the same source, else 0 */
    uint64_t rdev;          /* devices: major << 32 | minor, else 0 */
    int64_t mtime_sec;      /* since 1970, may be negative */
    uint32_t mtime_nsec;    /* 0…999999999 */
    uint32_t mode;          /* the 12 permission bits: 07777 */
    uint32_t uid;
    uint32_t gid;
    const void *attributes; /* TLVs (docs/format.md); NULL with attributes_bytes 0 */
    uint32_t attributes_bytes;
};

#define PST_OBJECT_FIXED_BYTES 72u
#define PST_OBJECT_ATTRIBUTES_BYTES_MAX (48u << 10)
/* No catalogue entry is longer. */
#define PST_OBJECT_BYTES_MAX                                                                       \
    (PST_OBJECT_FIXED_BYTES + 2 * PST_PATH_BYTES_MAX + PST_OBJECT_ATTRIBUTES_BYTES_MAX)

/* Encoded length, a multiple of 8. The object must be legal. */
size_t pst_object_bytes(const struct pst_object *object);

/* Appends the object at payload + *offset, a multiple of 8 inside it, and moves *offset past it.
 *   -ENOSPC  it does not fit before payload_bytes: seal this catalogue chunk and begin another
 *   -EINVAL  it is not legal (ranges, unsafe path, attributes that its type must have, …)
 * On failure nothing is written and *offset stays. */
int pst_object_encode(const struct pst_object *object, void *payload, size_t payload_bytes,
                      size_t *offset) PST_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
