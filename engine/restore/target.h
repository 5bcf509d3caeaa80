/*
 * The target of a restore: a temporary sibling that is renamed when it is whole, or the target
 * itself under a marker. Private to engine/restore/; blocking, one thread.
 */
#ifndef PST_ENGINE_RESTORE_TARGET_H
#define PST_ENGINE_RESTORE_TARGET_H

#include <limits.h>
#include <stdbool.h>

#include "engine/format/chunk.h"
#include "penstock/error.h"

struct pst_target {
    int root_fd;      /* the directory to restore into */
    int parent_fd;    /* of the target */
    bool in_place;    /* the target itself, under a marker */
    bool exists;      /* the target was there, empty */
    const char *step; /* after a failure: what failed; static text */
    char name[NAME_MAX + 1];
    char temporary[NAME_MAX + 1];
    char marker[2 * PST_UID_BYTES + 2]; /* its contents: the uid and a newline */
};

/* Opens or makes the directory to restore into. -ENOTEMPTY: there is something in the target, and
 * no force, and no marker of this very backup. After a failure nothing is left. */
int pst_target_open(struct pst_target *target, const char *path, const uint8_t uid[PST_UID_BYTES],
                    bool force) PST_MUST_USE;

/* Everything is in it: makes it durable and gives it its name, or takes the marker away. */
int pst_target_commit(struct pst_target *target) PST_MUST_USE;

/* After a failure: removes the temporary directory; in place, the marker stays. */
int pst_target_abandon(struct pst_target *target) PST_MUST_USE;

/* Closes the descriptors; after commit or abandon. */
void pst_target_close(struct pst_target *target);

#endif
