/*
 * Whether the rows of a backup whose chunks are all whole are streams of rows, and whether all
 * shares of all tables are there. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_VERIFY_ROWS_H
#define PST_ENGINE_RESTORE_VERIFY_ROWS_H

#include "engine/restore/objects.h"
#include "engine/restore/scan.h"

/* What is read: the parts, filled, of which all but the DATA chunks is known to be whole, and at
 * least all their ROWS and DATABASE objects, sorted. */
struct pst_rows_check {
    const struct pst_crew *crew;
    const struct pst_part_set *set;
    const struct pst_objects *objects;
    atomic_uint_least64_t *bytes_done; /* grows by what is read */
    void (*tick)(void *context);       /* on the caller's thread; may be NULL */
    void *context;
};

struct pst_rows_checked {
    uint64_t chunks;
    uint64_t bytes;
};

/* Whether all DATA chunks are whole, and are rows as they must be; each is read once, but for one
 * with rows of several shares, which is read for each. *checked is what was read. -PST_E_CORRUPT:
 * something is wrong, or some chunk has other data: it was not told what, pst_scan_run and
 * pst_verify_rows do that. -ECANCELED, or what else kept it from checking. */
int pst_verify_rows_alone(const struct pst_rows_check *check,
                          struct pst_rows_checked *checked) PST_MUST_USE;

/* The same of parts whose chunks are all known to be whole; what is wrong goes to findings. Reads
 * the rows once more. */
int pst_verify_rows(const struct pst_rows_check *check, struct pst_findings *findings) PST_MUST_USE;

#endif
