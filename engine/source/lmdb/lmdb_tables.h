/*
 * Which tables an environment has, and the listing of their shares. Private to the lmdb: source;
 * the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_TABLES_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_TABLES_H

#include "engine/source/lmdb/lmdb_rows.h"

/* Where the listing goes; borrowed for the call. */
struct lmdb_listing {
    struct pst_source *source;
    struct pst_fragment_sink *sink;
    struct pst_source_listing *totals;
    /* Whether the guard still holds the snapshot; called before each fragment. */
    int (*is_pinned)(struct pst_source *source);
};

/* Lists the tables that source->policy.tables lets through, in fragments of rows; object counters
 * from `counter` on. 0, -ENOMEM, an error of LMDB's, which is logged, or what is_pinned or the sink
 * returned. */
PST_MUST_USE int lmdb_list_tables(struct lmdb_rows *rows, const struct lmdb_listing *listing,
                                  uint64_t counter);

#endif
