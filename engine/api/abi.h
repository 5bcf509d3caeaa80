/*
 * Structs that cross the library's boundary and begin with their size (penstock/run.h).
 * For the entries of the library, in engine/api and engine/service.
 */
#ifndef PST_ENGINE_API_ABI_H
#define PST_ENGINE_API_ABI_H

#include <stddef.h>

#include "penstock/error.h"

/* Copies a caller's struct over our own, own_bytes long, which holds the defaults of what the
 * caller's does not have. -EINVAL: it is shorter than least_bytes, or not initialised; -E2BIG: it
 * is longer than ours, and not 0 there. */
PST_MUST_USE int pst_abi_take(void *own, size_t own_bytes, const void *given, size_t least_bytes);

/* Whether a caller's outcome is long enough to be filled; -EINVAL. */
PST_MUST_USE int pst_abi_check(const void *given, size_t least_bytes);

/* Copies as much of our outcome as the caller's has; its size stays. */
void pst_abi_give(void *given, const void *own, size_t own_bytes);

/* The message (PST_MESSAGE_BYTES) of an error that has none yet, as where memory is out; made
 * printable, one line. Returns the error. */
int pst_abi_explain(int error, char *message);

/* What an error of pst_abi_take means. Static. */
const char *pst_abi_error_text(int error);

#endif
