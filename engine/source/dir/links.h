/*
 * The inodes with several links that a listing has met, with the object that each became.
 * 48 to 96 bytes for each: the table is a quarter to a half full. One thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_LINKS_H
#define PST_ENGINE_SOURCE_DIR_LINKS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "penstock/error.h"

struct link {
    uint64_t object; /* 0: this place of the table is free */
    dev_t device;
    ino_t inode;
};

struct links {
    struct link *table; /* NULL: none yet */
    size_t size;        /* a power of two, or 0 */
    size_t count;
};

/* The object of an inode, or 0. */
uint64_t links_find(const struct links *links, dev_t device, ino_t inode);

/* Adds one that find does not know. object is not 0. 0 or -ENOMEM. */
PST_MUST_USE int links_add(struct links *links, dev_t device, ino_t inode, uint64_t object);

void links_free(struct links *links);

#endif
