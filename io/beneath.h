/*
 * Making things below a directory without ever leaving it: every open is openat2(2) with
 * RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, everything else works on a name in a directory so opened.
 * Blocking, any thread.
 */
#ifndef PST_IO_BENEATH_H
#define PST_IO_BENEATH_H

#include <sys/types.h>

#include "engine/base/limits.h"
#include "penstock/error.h"

/* A descriptor, or -errno. flags: of open(2), O_CLOEXEC is added. */
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

/* Removes `name` in dirfd with all that is below it, following nothing, crossing no symlink. Not
 * there: 0. */
PST_MUST_USE int pst_beneath_remove(int dirfd, const char *name);

#endif
