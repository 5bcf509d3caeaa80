/*
 * Where a table is cut into shares. Private to the lmdb: source; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_SPLIT_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_SPLIT_H

#include "engine/source/lmdb/lmdb_rows.h"

/* Cuts the table into wanted shares at most, at least one. 0 or -ENOMEM. */
PST_MUST_USE int lmdb_split(const struct lmdb_rows *rows, struct table *table, uint32_t wanted);

#endif
