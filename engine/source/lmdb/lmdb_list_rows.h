/*
 * The listing of an environment's tables. Private to the lmdb: source; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_LIST_ROWS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_LIST_ROWS_H

#include "engine/source/lmdb/lmdb_rows.h"

/* Lists the tables that source->policy.tables lets through, in fragments of rows; object counters
 * from `counter` on. 0, -ENOMEM, an error of the reader, which is logged, or what the sink
 * returned. */
PST_MUST_USE int lmdb_list_rows(struct lmdb_rows *rows, struct pst_fragment_sink *sink,
                                struct pst_source_listing *totals, uint64_t counter);

#endif
