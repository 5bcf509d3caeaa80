/* Where the data of a file are, and where its holes. On the source's thread. */
#ifndef PST_ENGINE_SOURCE_DIR_EXTENTS_H
#define PST_ENGINE_SOURCE_DIR_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/source/dir/tree.h"
#include "penstock/packer.h"

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

/* Of which file. */
struct extents_of {
    int directory; /* fd of the directory that name is in */
    const char *name;
    const char *path; /* names the file if a call hangs */
    const struct stat *status;
};

/* Finds the first extents of a file. A file that cannot be opened is taken to be all data, which
 * its reader will report. Only a shortage of our own is an error. */
PST_MUST_USE int extents_find(struct extents *extents, struct tree *tree,
                              const struct extents_of *of);

/* Adds those, and the ones behind them that were not kept, to the packer's object, which is the
 * file. 0, or what ends the listing. */
PST_MUST_USE int extents_add(const struct extents *extents, struct tree *tree,
                             struct pst_packer *packer, const struct extents_of *of);

uint64_t extents_bytes(const struct extents *extents);

#endif
