/*
 * The functions of libfuse that a mount takes: the library is loaded by the first one, for no other
 * command needs it.
 */
#ifndef PST_ENGINE_FUSE_LIBFUSE_H
#define PST_ENGINE_FUSE_LIBFUSE_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include "engine/base/late.h"

#define LIBFUSE_FUNCTIONS(X)                                                                       \
    X(fuse_add_direntry)                                                                           \
    X(fuse_add_direntry_plus)                                                                      \
    X(fuse_opt_free_args)                                                                          \
    X(fuse_reply_attr)                                                                             \
    X(fuse_reply_buf)                                                                              \
    X(fuse_reply_entry)                                                                            \
    X(fuse_reply_err)                                                                              \
    X(fuse_reply_none)                                                                             \
    X(fuse_reply_open)                                                                             \
    X(fuse_reply_readlink)                                                                         \
    X(fuse_reply_statfs)                                                                           \
    X(fuse_reply_xattr)                                                                            \
    X(fuse_req_userdata)                                                                           \
    X(fuse_session_destroy)                                                                        \
    X(fuse_session_exited)                                                                         \
    X(fuse_session_fd)                                                                             \
    X(fuse_session_mount)                                                                          \
    X(fuse_session_new)                                                                            \
    X(fuse_session_process_buf)                                                                    \
    X(fuse_session_receive_buf)                                                                    \
    X(fuse_session_unmount)                                                                        \
    X(fuse_set_log_func)

struct libfuse {
    LIBFUSE_FUNCTIONS(PST_LATE_MEMBER)
};

/* Filled by libfuse_load(). */
extern struct libfuse libfuse;

/* Main thread. 0, or -ELIBACC, with a line in the log: it cannot be loaded. */
PST_MUST_USE int libfuse_load(void);

#endif
