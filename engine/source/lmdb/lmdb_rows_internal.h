/*
 * Private to the rows of an lmdb: source.
 *
 *   lmdb_rows.c    readers: opened, pinned, closed; produce
 *   lmdb_tables.c  which tables there are; the listing
 *   lmdb_split.c   where a table is cut into shares
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_INTERNAL_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_INTERNAL_H

#include <stdatomic.h>

#include <lmdb.h>

#include "engine/source/lmdb/lmdb_rows.h"

#define SUB_DATABASE_BYTES 48u /* the record of a named database in the main one */

struct table {
    char *name; /* NULL: the main database */
    uint32_t name_bytes;
    MDB_dbi dbi; /* in the reader of every LDM */
    MDB_dbi scout_dbi;
    uint32_t flags;
    uint32_t shares_count;
    uint64_t rows;
    uint64_t tree_bytes; /* of its pages */
    uint64_t root;       /* page */
    uint32_t depth;
    struct share *shares;
    atomic_uint_least64_t read_rows;
};

/* The rows of a table from one key, included, up to another. */
struct share {
    struct table *table;
    MDB_val from; /* mv_size 0: the first; owned */
    MDB_val to;   /* mv_size 0: no end; the next share's from */
    uint32_t number;
};

/* One environment, and the one transaction in it. */
struct reader {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor; /* NULL: at no share */
    MDB_val key;        /* of the row that the cursor is at */
    MDB_val value;
};

struct pst_lmdb_rows {
    const struct pst_lmdb_guard *guard;
    struct reader *readers; /* readers_count for the LDMs, and one more for the source's thread */
    uint32_t readers_count;
    atomic_uint_least64_t free_readers[PST_LDMS_MAX / 64]; /* bits */
    int fd;                                                /* of the data file; the scout's */
    struct pst_lmdb_meta meta;                             /* of the transaction that is read */
    MDB_dbi main_dbi;
    struct table *tables;
    uint32_t tables_count;
    char **names; /* of all named databases, ascending; owned */
    uint32_t names_count;
};

static inline struct reader *scout_of(const struct pst_lmdb_rows *rows)
{
    return &rows->readers[rows->readers_count];
}

/* An LMDB return code as an error of ours; what is not an errno is logged. */
PST_MUST_USE int pst_lmdb_rows_error(const struct pst_lmdb_rows *rows, int rc);

/* Whether a record of the main database is a named database's. */
bool pst_lmdb_rows_is_table(const struct pst_lmdb_rows *rows, const MDB_val *key,
                            const MDB_val *value);

/* Cuts the table into wanted shares at most, at least one. 0 or -ENOMEM. */
PST_MUST_USE int pst_lmdb_split(const struct pst_lmdb_rows *rows, struct table *table,
                                uint32_t wanted);

#endif
