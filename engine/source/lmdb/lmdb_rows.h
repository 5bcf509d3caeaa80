/*
 * The rows of an LMDB environment, for a logical backup: one table for each named database, and one
 * for the plain records of the main database. Private to the lmdb: source.
 *
 * Rows are read through liblmdb in this process, by environments of its own, one for each LDM, that
 * are opened MDB_RDONLY | MDB_NOLOCK: they touch no lock file, and have no reader slot either. The
 * guard's slot, which is as old or older, keeps their snapshot whole; see docs/adr/.
 *
 *     open ─▶ pin ─▶ list, meanwhile produce ─▶ check ─▶ close
 *
 *   lmdb_rows.c     readers: opened, pinned, closed
 *   lmdb_split.c    where a table is cut into shares
 *   lmdb_tables.c   which tables there are; the listing
 *   lmdb_produce.c  the rows themselves, which the LDMs read; the check
 *
 * The source's thread calls everything but what is marked as any thread's.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_H

#include <stdatomic.h>

#include <lmdb.h>

#include "engine/source/lmdb/lmdb_guard.h"
#include "engine/source/source.h"

#define LMDB_TABLES_MAX 16384u
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
struct lmdb_reader {
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor; /* NULL: at no share */
    MDB_val key;        /* of the row that the cursor is at */
    MDB_val value;
};

struct lmdb_rows {
    const struct lmdb_guard *guard;
    struct lmdb_reader
        *readers; /* readers_count for the LDMs, and one more for the source's thread */
    uint32_t readers_count;
    atomic_uint_least64_t free_readers[PST_LDMS_MAX / 64]; /* bits */
    int fd;                                                /* of the data file; the scout's */
    struct lmdb_meta meta;                                 /* of the transaction that is read */
    MDB_dbi main_dbi;
    struct table *tables;
    uint32_t tables_count;
    char **names; /* of all named databases, ascending; owned */
    uint32_t names_count;
};

static inline struct lmdb_reader *scout_of(const struct lmdb_rows *rows)
{
    return &rows->readers[rows->readers_count];
}

/* An LMDB return code as an error of ours; what is not an errno is logged. Any thread. */
PST_MUST_USE int lmdb_rows_error(const struct lmdb_rows *rows, int rc);

/* Whether a record of the main database is a named database's. Any thread, once rows->names is
 * filled. */
bool lmdb_rows_is_table(const struct lmdb_rows *rows, const MDB_val *key, const MDB_val *value);

/* Opens the environment that the guard has open, `readers` times. -PST_E_CHANGED: another file has
 * its name by now. Logs what is wrong. */
PST_MUST_USE int lmdb_rows_open(const struct lmdb_guard *guard, uint32_t readers,
                                struct lmdb_rows **rows);

/* All readers begin at the same transaction, which is the newest; the guard holds its slot by now.
 * -EAGAIN: writers were quicker: let the guard freeze them, and try again. */
PST_MUST_USE int lmdb_rows_pin(struct lmdb_rows *rows);

/* NULL is allowed. No LDM calls produce any more. */
void lmdb_rows_close(struct lmdb_rows *rows);

#endif
