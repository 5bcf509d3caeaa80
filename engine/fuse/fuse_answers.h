/*
 * What a mount answers to the kernel. Private to engine/fuse/; the thread of the mount.
 */
#ifndef PST_ENGINE_FUSE_FUSE_ANSWERS_H
#define PST_ENGINE_FUSE_FUSE_ANSWERS_H

#include "engine/fuse/libfuse.h"
#include "engine/restore/view.h"

/* What requests are answered from: their userdata. */
struct fuse_answers {
    struct pst_view *view;
    uint64_t total_bytes; /* of the backup's files */
    char *buffer;         /* for what is read; NULL: none yet */
    size_t buffer_bytes;
};

extern const struct fuse_lowlevel_ops fuse_answers_ops;

#endif
