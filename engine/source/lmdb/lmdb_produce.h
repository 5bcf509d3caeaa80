/*
 * Rows for the LDMs. Private to the lmdb: source.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_PRODUCE_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_PRODUCE_H

#include "engine/source/lmdb/lmdb_rows.h"

/* pst_source.produce. Any LDM. */
PST_MUST_USE int lmdb_produce(struct lmdb_rows *rows,
                              const struct pst_fragment_descriptor *fragment,
                              struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                              size_t *produced_bytes);

/* After the scan, on the source's thread: whether as many rows were read as the tables have. 0, or
 * -PST_E_SCAN, which is logged. */
PST_MUST_USE int lmdb_produce_check(const struct lmdb_rows *rows);

/* How many tables were listed, and how many of their rows were read. */
void lmdb_produce_count(const struct lmdb_rows *rows, uint32_t *tables, uint64_t *read_rows);

#endif
