/* Where the data of a file are, and where its holes. On the source's thread. */
#ifndef PST_ENGINE_SOURCE_DIR_EXTENTS_H
#define PST_ENGINE_SOURCE_DIR_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

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

/* From the first data at or after *offset, *length bytes up to the next hole or the size; a
 * length of 0: there are none. A file system without holes reports that all is data. */
void extents_next(int fd, uint64_t size, uint64_t *offset, uint64_t *length);

/* Finds the first extents of a file; fd -1: all of it is data. */
void extents_find(struct extents *extents, int fd, uint64_t size);

uint64_t extents_bytes(const struct extents *extents);

#endif
