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

/* In the target while a restore that cannot be renamed is under way; holds the backup's uid. */
#define PST_RESTORE_MARKER ".penstock-restore"

struct target {
    int root_fd;      /* the directory to restore into */
    int parent_fd;    /* of the target */
    bool in_place;    /* the target itself, under a marker */
    bool exists;      /* the target was there, empty */
    const char *step; /* after a failure: what failed; static text, or advice */
    char advice[2 * NAME_MAX + 256];
    char name[NAME_MAX + 1];
    char temporary[NAME_MAX + 1];
    char marker[2 * PST_UID_BYTES + 2]; /* its contents: the uid and a newline */
    struct target_mount *mounts;        /* in place: in whose directories something is restored */
    uint32_t mounts_count;
};

/* Opens or makes the directory to restore into; in place nothing is changed yet. -ENOTEMPTY: there
 * is something in the target, and no force, and no marker of this very backup. After a failure
 * nothing is left. */
PST_MUST_USE int target_open(struct target *target, const char *path,
                             const uint8_t uid[PST_UID_BYTES], bool force);

/* Before the first change in place: writes the marker. */
PST_MUST_USE int target_begin(struct target *target);

/* In place: what is restored below a directory that was there goes to its file system, which may be
 * mounted below the target. One thread at a time; before anything is written there. */
PST_MUST_USE int target_note_mount(struct target *target, int dirfd);

/* Everything is in it: makes it durable. Then the root gets its owner, mode and time, and
 * target_commit() gives it its name, or takes the marker away. */
PST_MUST_USE int target_settle(struct target *target);
PST_MUST_USE int target_commit(struct target *target);

/* After a failure: removes the temporary directory; in place, the marker stays. */
PST_MUST_USE int target_abandon(struct target *target);

/* Closes the descriptors; after commit or abandon. */
void target_close(struct target *target);

#endif
