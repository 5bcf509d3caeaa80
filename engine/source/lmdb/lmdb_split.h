/*
 * Where a table is cut into shares. Private to the reader's process.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_SPLIT_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_SPLIT_H

#include "engine/source/lmdb/lmdb_tasks.h"

struct lmdb_tree {
    MDB_dbi dbi;
    uint64_t root; /* page */
    uint32_t depth;
};

/* Cuts the table into wanted shares at most, at least one: keys (wanted of them) gets where each
 * begins, mv_size 0 the first; the caller frees their mv_data. Returns how many, or -ENOMEM. */
PST_MUST_USE int lmdb_split(const struct tasks *tasks, const struct lmdb_tree *tree,
                            uint32_t wanted, MDB_val *keys);

#endif
