/*
 * Whether a row that LMDB has read is one that LMDB would take again: on damaged pages it finds
 * rows that it never wrote, and no restore could make. Private to the reader's process.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ROW_CHECK_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ROW_CHECK_H

#include "engine/source/lmdb/lmdb_tasks.h"

/* All zeros before the first row of a table, or of a share. */
struct lmdb_row_check {
    size_t bytes_max; /* of a key, and of a value of MDB_DUPSORT */
    unsigned flags;   /* the database's */
    bool has_last;
    MDB_val key; /* of the last row, where it lies */
    MDB_val value;
};

/* bytes_max 0: what liblmdb takes here. */
PST_MUST_USE int lmdb_row_check_begin(const struct tasks *tasks, MDB_dbi dbi, size_t bytes_max,
                                      struct lmdb_row_check *check);

/* 0 or -PST_E_DAMAGED, and the answer says of what. */
PST_MUST_USE int lmdb_row_check(const struct tasks *tasks, struct lmdb_row_check *check,
                                const MDB_val *key, const MDB_val *value);

#endif
