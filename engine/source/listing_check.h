/*
 * Whether what a program's source lists fits together: what would be a complete backup that cannot
 * be restored is refused. On the source's thread; of each object some 110 bytes are kept until the
 * listing has ended.
 */
#ifndef PST_ENGINE_SOURCE_LISTING_CHECK_H
#define PST_ENGINE_SOURCE_LISTING_CHECK_H

#include "engine/source/source.h"

/* Numbers but 0. All zeros: none yet. */
struct pst_number_set {
    uint64_t *slots; /* room of them, a power of two; 0: free */
    size_t count, room;
};

struct pst_listed_extent {
    uint64_t object, offset, length;
};

/* All zeros: nothing is listed yet. */
struct pst_listing_check {
    struct pst_number_set ids, names, directories;
    struct pst_number_set entries;        /* whole ones, but for their flags */
    struct pst_number_set no_files;       /* ids of what no hard link leads to */
    struct pst_number_set parents, links; /* that must be among the directories, and the ids */
    struct pst_listed_extent *extents;    /* those that follow each other are one */
    size_t extents_count, extents_room;
    bool lacks_memory;
};

/* Of a fragment that is legal by itself. NULL: it fits what was listed before; else what there is
 * instead, behind "it listed". Static text. */
const char *pst_listing_fault(struct pst_listing_check *check,
                              const struct pst_fragment_descriptor *fragment);

/* Likewise, of all of them, once there are no more. */
const char *pst_listing_end_fault(struct pst_listing_check *check);

/* All zeros again. */
void pst_listing_forget(struct pst_listing_check *check);

#endif
