/*
 * A view of a backup as a file system that the kernel mounts: read-only, by libfuse.
 *
 * Blocking; the main thread, which answers one request after the other.
 */
#ifndef PST_ENGINE_FUSE_FUSE_SERVER_H
#define PST_ENGINE_FUSE_FUSE_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "penstock/error.h"

struct pst_look;

struct pst_fuse_options {
    const char *directory; /* to mount it on */
    uint32_t number;       /* of the backup, for those who list what is mounted */
    bool keep_going;       /* past damaged catalogues, as pst_view_open */
    bool allow_other;      /* other users may use it too, as modes and owners allow */
    int stop_fd;           /* readable: it is to be unmounted */
};

/* Whether one can mount on it: -ENOTDIR, -errno, with message (PST_MESSAGE_BYTES). */
PST_MUST_USE int pst_fuse_check(const char *directory, char *message);

/* Mounts what look looks into, until somebody unmounts it: 0; -ECANCELED: stop_fd ended it, and it
 * is unmounted. Else an error, with message (PST_MESSAGE_BYTES): -ELIBACC: libfuse is not there;
 * -EIO: it cannot be mounted; as of pst_look_open. */
PST_MUST_USE int pst_fuse_run(struct pst_look *look, const struct pst_fuse_options *options,
                              char *message);

#endif
