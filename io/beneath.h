/*
 * Making things below a directory without ever leaving it: every open is openat2(2) with
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, everything else works on a name in a directory so opened.
 * Blocking, any thread.
 */
#ifndef PST_IO_BENEATH_H
#define PST_IO_BENEATH_H

#include <stdint.h>
#include <sys/types.h>

#include "engine/base/limits.h"
#include "penstock/error.h"

/* A descriptor, or -errno. flags: of open(2), O_CLOEXEC is added. -EAGAIN: with O_NONBLOCK,
 * somebody has a lease on the file; or renames elsewhere raced with every try. */
PST_MUST_USE int pst_beneath_open(int dirfd, const char *path, int flags, mode_t mode);

/* The directory that was used last: neighbours in a tree mostly share it. One thread's. */
struct pst_parent {
    int root_fd; /* below which it lies; -1: none yet */
    int fd;
    char path[PST_PATH_BYTES_MAX];
};

#define PST_PARENT_NONE                                                                            \
    {                                                                                              \
        .root_fd = -1, .fd = -1                                                                    \
    }

/* Opens the parent of path below root_fd: a descriptor that parent keeps until the next call, and
 * *name, the last component, in path. path is safe (pst_object_path_is_safe). Or -errno. */
PST_MUST_USE int pst_parent_of(struct pst_parent *parent, int root_fd, const char *path,
                               const char **name);
void pst_parent_close(struct pst_parent *parent);

/* Of a tree that is removed, what is. */
enum pst_beneath_tree {
    /* What belongs to the owner of its top, or to the caller. */
    PST_BENEATH_SAME_OWNER,
    /* All: the top is a directory that only the caller can enter (else -EPERM), so that nobody but
     * him can have brought anything there. */
    PST_BENEATH_PRIVATE,
};

/* Removes `name`, an entry of dirfd, with all that is below it; follows no symlink, enters no mount
 * point and no other file system, and never leaves the tree, though it be moved meanwhile. It stops
 * at the first entry that stays, which the log names: -EPERM: another's; -EBUSY: something is
 * mounted there; -ESTALE: moved; or -errno. Not there: 0. */
PST_MUST_USE int pst_beneath_remove(int dirfd, const char *name, enum pst_beneath_tree tree);

/* A directory that must stay, wherever it lies. */
struct pst_beneath_kept {
    dev_t device;
    ino_t inode;
    const char *reason;
};

/* Whether that would do, without touching anything: the same errors, and -EBUSY too if one of the
 * kept is in the tree; why (PST_MESSAGE_BYTES) names the entry, or is "". */
PST_MUST_USE int pst_beneath_check_remove(int dirfd, const char *name, enum pst_beneath_tree tree,
                                          const struct pst_beneath_kept *kept, uint32_t kept_count,
                                          char *why);

/* -EBUSY if dirfd, a directory below root_fd or that one, is one of the kept or lies below one that
 * does; why as before. */
PST_MUST_USE int pst_beneath_check_place(int root_fd, int dirfd,
                                         const struct pst_beneath_kept *kept, uint32_t kept_count,
                                         char *why);

#endif
