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

struct pst_link {
    uint64_t object; /* 0: this place of the table is free */
    dev_t device;
    ino_t inode;
};

struct pst_links {
    struct pst_link *table; /* NULL: none yet */
    size_t size;            /* a power of two, or 0 */
    size_t count;
};

/* The object of an inode, or 0. */
uint64_t pst_links_find(const struct pst_links *links, dev_t device, ino_t inode);

/* Adds one that find does not know. object is not 0. 0 or -ENOMEM. */
PST_MUST_USE int pst_links_add(struct pst_links *links, dev_t device, ino_t inode, uint64_t object);

void pst_links_free(struct pst_links *links);

#endif
