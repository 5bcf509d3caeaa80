/*
 * The rows of an LMDB environment, for a logical backup: one table for each named database, and one
 * for the plain records of the main database.
 *
 * Rows are read through liblmdb in this process, by environments of its own, one for each LDM, that
 * are opened MDB_RDONLY | MDB_NOLOCK: they touch no lock file, and have no reader slot either. What
 * keeps their snapshot whole is the guard's slot, which is as old or older; docs/adr/ says more.
 *
 *     open ─▶ pin ─▶ list, meanwhile produce ─▶ check ─▶ close
 *
 * The source's thread calls everything but produce, which any LDM calls.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_H

#include "engine/source/lmdb/lmdb_guard.h"
#include "engine/source/source.h"

#define PST_LMDB_TABLES_MAX 16384u

struct pst_lmdb_rows;

/* What an lmdb: source lists, beside rows; borrowed. */
struct pst_lmdb_listing {
    struct pst_source *source;
    struct pst_fragment_sink *sink;
    struct pst_source_listing *totals;
    /* Whether the guard still holds the snapshot; called before each fragment. */
    int (*is_pinned)(struct pst_source *source);
};

/* Opens the environment that the guard has open, `readers` times. -PST_E_CHANGED: another file has
 * its name by now. Logs what is wrong. */
PST_MUST_USE int pst_lmdb_rows_open(const struct pst_lmdb_guard *guard, uint32_t readers,
                                    struct pst_lmdb_rows **rows);

/* All readers begin at the same transaction, which is the newest; the guard's slot is held by now.
 * -EAGAIN: writers were quicker: let the guard freeze them, and try again. */
PST_MUST_USE int pst_lmdb_rows_pin(struct pst_lmdb_rows *rows);

/* The transaction that is read. */
uint64_t pst_lmdb_rows_transaction(const struct pst_lmdb_rows *rows);

/* Lists the tables that source->policy.tables lets through, in fragments of rows; object counters
 * from `counter` on. */
PST_MUST_USE int pst_lmdb_rows_list(struct pst_lmdb_rows *rows,
                                    const struct pst_lmdb_listing *listing, uint64_t counter);

/* pst_source.produce. */
PST_MUST_USE int pst_lmdb_rows_produce(struct pst_lmdb_rows *rows,
                                       const struct pst_fragment_descriptor *fragment,
                                       struct pst_row_cursor *cursor, void *buffer,
                                       size_t capacity_bytes, size_t *produced_bytes);

/* After the scan: whether as many rows were read as the tables have. */
PST_MUST_USE int pst_lmdb_rows_check(const struct pst_lmdb_rows *rows);

/* So many tables were listed, with so many rows. */
void pst_lmdb_rows_count(const struct pst_lmdb_rows *rows, uint32_t *tables, uint64_t *read_rows);

/* NULL is allowed. No LDM calls produce any more. */
void pst_lmdb_rows_close(struct pst_lmdb_rows *rows);

#endif
