/*
 * Which errors are of the process, and say nothing about what it was reading. Any thread.
 */
#ifndef PST_ENGINE_BASE_OWN_ERROR_H
#define PST_ENGINE_BASE_OWN_ERROR_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/* Memory, descriptors or the kernel's resources ran out: whoever looks at one thing after another
 * waits, or ends with it, because the next would fail too, and a thing that was not looked at is
 * not a damaged or a missing one. */
static inline bool pst_is_own_error(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN;
}

/* How long it is worth waiting for somebody to give some back. */
#define PST_SHORTAGE_NS UINT64_C(10000000000)

#endif
