/*
 * Which files have POSIX locks on them, by /proc/locks: asked by inode, so that no file is opened.
 * Closing one would drop the locks that this very process, which may be any program, has on it.
 *
 * Only locks of processes in the own PID namespace, and in those below it, are seen.
 */
#ifndef PST_ENGINE_SOURCE_DIR_LOCKS_H
#define PST_ENGINE_SOURCE_DIR_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "penstock/error.h"

struct lock {
    dev_t device; /* of the file system, not of a subvolume as stat(2) has it */
    ino_t inode;
    uint64_t from; /* its first byte */
};

/* All zeros: none. */
struct locks {
    struct lock *list; /* by inode */
    size_t count;
};

/* The locks that there are now. 0; -ENOMEM; -errno where /proc/locks cannot be read. */
PST_MUST_USE int locks_read(struct locks *locks);
void locks_free(struct locks *locks);

/* Whether the file of status has a lock that begins at a byte in [from, until). */
bool locks_find(const struct locks *locks, const struct stat *status, uint64_t from,
                uint64_t until);

#endif
