/*
 * The rows of an LMDB environment, for a logical backup: one table for each named database, and one
 * for the plain records of the main database. Private to the lmdb: source.
 *
 * Rows are read through liblmdb, which trusts the pages that it finds, so not in this process: the
 * guard forks readers, one for each LDM and one for the listing, that have its pinned transaction
 * and answer over shared memory (lmdb_slot.h). One that dies fails its source by name; see
 * docs/adr/.
 *
 *     open ─▶ list, meanwhile produce ─▶ check ─▶ close
 *
 *   in this process: lmdb_rows.c       readers: started, asked, found dead
 *                    lmdb_list_rows.c  the listing
 *                    lmdb_produce.c    the rows themselves, for the LDMs; the check
 *   in a reader's:   lmdb_tasks.c, lmdb_tables.c, lmdb_split.c
 *
 * The source's thread calls everything but what is marked as any thread's.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ROWS_H

#include <stdatomic.h>

#include "engine/source/lmdb/lmdb_source.h"

struct lmdb_key {
    uint32_t bytes; /* 0: none */
    uint8_t *data;  /* owned */
};

struct table {
    char *name; /* NULL: the main database; owned */
    uint32_t name_bytes;
    uint32_t flags;
    uint32_t shares_count;
    uint64_t rows;       /* by its own count */
    uint64_t tree_bytes; /* of its pages */
    struct share *shares;
    atomic_uint_least64_t read_rows;
};

/* The rows of a table from one key, included, up to that at which the next share begins. */
struct share {
    struct table *table;
    struct lmdb_key from; /* of the first: none */
    uint32_t number;
};

struct lmdb_rows {
    struct lmdb_source *lmdb;
    int guard_fd;           /* pidfd of the guard, which any thread may poll */
    uint32_t readers_count; /* the first is the listing's */
    struct lmdb_reader readers[LMDB_READERS_MAX + 1];
    atomic_uint_least64_t free_readers; /* bits; of reader 1 the lowest */
    struct table **tables;
    uint32_t tables_count;
};

/* Has the guard, which holds the snapshot, start the readers: that of the listing, and so many. */
PST_MUST_USE int lmdb_rows_open(struct lmdb_source *lmdb, uint32_t readers,
                                struct lmdb_rows **rows);

/* Logs what a reader's task ended with, if it is an error, and returns it. table NULL: all. Any
 * thread. */
PST_MUST_USE int lmdb_rows_error(const struct lmdb_rows *rows, const struct table *table, int error,
                                 const char *text);

/* After a reader has sent nothing for a while: why, if it never will: logged. Any thread. */
PST_MUST_USE int lmdb_rows_look(const struct lmdb_rows *rows, struct lmdb_reader *reader,
                                const struct table *table);

void lmdb_table_free(struct table *table);

/* NULL is allowed. No LDM calls produce any more, and the guard has ended the readers. */
void lmdb_rows_close(struct lmdb_rows *rows);

#endif
