/*
 * The inodes with several links that a listing has met, with their names until the inode has become
 * an object. 80 to 160 bytes for each inode: the table is a quarter to a half full. One thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_LINKS_H
#define PST_ENGINE_SOURCE_DIR_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "penstock/error.h"

/* How many of the names behind the first, each with its terminator, a fragment takes. */
uint32_t links_further_names(const char *names, uint32_t count);

/* Names that wait for the rest. */
struct link_names {
    struct stat status; /* of the first */
    bool differ;        /* another had another size or time */
    uint32_t count;
    size_t bytes;
    char text[]; /* each with its NUL */
};

struct link {
    uint64_t object; /* 0: none yet */
    dev_t device;
    ino_t inode;
    uint64_t state; /* a hash of size and times of the object's file; 0: a free place */
    struct link_names *waiting;
};

struct links {
    struct link *table; /* NULL: none yet */
    size_t size;        /* a power of two, or 0 */
    size_t count;
    size_t names_bytes; /* that wait */
};

/* Whether both are of one file, as far as can be told: some file systems give one inode number to
 * several files, and a file may be removed and its number used again. */
bool links_are_one_file(const struct stat *one, const struct stat *other);

/* The place of an inode, made if it is new: then it has no object and no names. NULL: no memory. It
 * is valid until the next call. */
struct link *links_find(struct links *links, const struct stat *status);

/* Whether the object of a place is of this file. */
bool links_is_object_of(const struct link *link, const struct stat *status);

/* The place has this object, or, for 0, begins anew. No names wait. */
void links_set_object(struct link *link, const struct stat *status, uint64_t object);

/* One more name waits; copied. 0 or -ENOMEM. */
PST_MUST_USE int links_add_name(struct links *links, struct link *link, const struct stat *status,
                                const char *name);

/* Takes the names; the caller frees them. */
struct link_names *links_take_names(struct links *links, struct link *link);

void links_free(struct links *links);

#endif
