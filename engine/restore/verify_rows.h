/*
 * Whether the rows of a backup whose chunks are all whole are streams of rows, and whether all
 * shares of all tables are there. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_VERIFY_ROWS_H
#define PST_ENGINE_RESTORE_VERIFY_ROWS_H

#include "engine/restore/chunk_reader.h"
#include "engine/restore/contents.h"
#include "engine/restore/objects.h"

/* What is read: the parts, filled, of which all but the DATA chunks is known to be whole, and at
 * least all their ROWS and DATABASE objects, sorted. */
struct rows_check {
    struct crew *crew;
    const struct pst_part_set *set;
    const struct objects *objects;
    struct contents *contents;         /* takes their pieces, where verify_rows_alone() succeeds */
    atomic_uint_least64_t *bytes_done; /* grows by what is read */
    void (*tick)(void *context);       /* on the caller's thread; may be NULL */
    void *context;
};

struct rows_checked {
    uint64_t chunks;
    uint64_t bytes;
};

/* Checks that all DATA chunks are whole and hold legal rows. Each chunk is read once, or once for
 * each share that it has rows of. *checked is what was read. -PST_E_CORRUPT: something is wrong, or
 * a chunk holds other data; chunk_reading_run() and verify_rows() find out what. -ECANCELED, or
 * what else kept it from checking. */
PST_MUST_USE int verify_rows_alone(const struct rows_check *check, struct rows_checked *checked);

/* The same of parts whose chunks are all known to be whole; what is wrong goes to findings. Reads
 * the rows once more. */
PST_MUST_USE int verify_rows(const struct rows_check *check, struct pst_findings *findings);

#endif
