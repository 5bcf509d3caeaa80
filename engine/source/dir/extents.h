/* Where the data of a file are, and where its holes. On the source's thread. */
#ifndef PST_ENGINE_SOURCE_DIR_EXTENTS_H
#define PST_ENGINE_SOURCE_DIR_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/source/dir/tree.h"

/* Data of one file that are known before its entry is made. */
#define EXTENTS_AHEAD 1024u

struct extent {
    uint64_t offset;
    uint64_t length;
};

struct extents {
    bool is_all; /* there are no more */
    uint32_t count;
    struct extent list[EXTENTS_AHEAD];
};

/* Opens a file in an open directory, of which status is, if it may have holes; *fd -1: it has none,
 * or cannot be opened, which its reader will report. Only a shortage of our own is an error. The
 * descriptor is the caller's; path names the file if the call hangs. */
PST_MUST_USE int extents_open(struct tree *tree, int directory, const char *name, const char *path,
                              const struct stat *status, int *fd);

/* From the first data at or after *offset, *length bytes up to the next hole or the size; a
 * length of 0: there are none. A file system without holes reports that all is data. */
void extents_next(int fd, uint64_t size, uint64_t *offset, uint64_t *length);

/* Finds the first extents of a file; fd -1: all of it is data. */
void extents_find(struct extents *extents, int fd, uint64_t size);

uint64_t extents_bytes(const struct extents *extents);

#endif
