/*
 * Which errors say nothing about what was to be read: the process or its machine is the cause. Any
 * thread.
 */
#ifndef PST_ENGINE_BASE_OWN_ERROR_H
#define PST_ENGINE_BASE_OWN_ERROR_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "penstock/error.h"

/* Memory or descriptors ran out: whoever looks at one thing after another waits, or ends with it,
 * because the next would fail too, and a thing that was not looked at is not a damaged or a missing
 * one. Not -EAGAIN: that is what an open says of a file that its owner has a lease of (fcntl(2),
 * F_SETLEASE), and concerns no other. */
static inline bool pst_is_own_error(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/* How long it is worth waiting for somebody to give some back. */
#define PST_SHORTAGE_NS UINT64_C(10000000000)

/* What is there cannot be read, though it may be whole: it is not allowed to this user, the file
 * system that it is on is away, or the process lacks something. */
static inline bool pst_is_unreachable(int error)
{
    return pst_is_own_error(error) || error == -PST_E_NO_RING || error == -EACCES ||
           error == -EPERM || error == -EINTR || error == -ESTALE || error == -ENOTCONN ||
           error == -ETIMEDOUT || error == -EHOSTDOWN || error == -EHOSTUNREACH ||
           error == -ENETDOWN || error == -ENETUNREACH || error == -ECONNABORTED ||
           error == -ENOSYS;
}

#endif
