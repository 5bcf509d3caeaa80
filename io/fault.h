/*
 * Faults for tests: make the N-th I/O of a ring, or of io/durable.h, fail.
 *
 * The code is always compiled in and costs one predictable branch where no fault is attached.
 * An I/O is one request as the kernel sees it: each continuation and each retry counts again.
 * PST_IO_FAULT_ERROR replaces the request, which never reaches the kernel;
 * PST_IO_FAULT_SHORT shortens a read or write (as far as O_DIRECT allows) and reports the rest as
 * not moved.
 * Not thread-safe: one fault belongs to one thread. Owned by the caller, must outlive its user.
 */
#ifndef PST_IO_FAULT_H
#define PST_IO_FAULT_H

#include <stdint.h>

enum pst_io_fault_kind {
    PST_IO_FAULT_ERROR,
    PST_IO_FAULT_SHORT,
};

struct pst_io_fault {
    enum pst_io_fault_kind kind;
    uint64_t at;          /* which I/O fails, from 1; 0: none, only count */
    int error;            /* PST_IO_FAULT_ERROR: a positive errno */
    uint32_t short_bytes; /* PST_IO_FAULT_SHORT: the most bytes that are reported */
    uint64_t seen;        /* I/Os so far; start at 0 */
    uint64_t hits;        /* faults that took effect */
};

#endif
