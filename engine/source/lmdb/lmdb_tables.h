/*
 * Which tables an environment has, and where they are cut. Private to the reader's process.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_TABLES_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_TABLES_H

#include "engine/source/lmdb/lmdb_tasks.h"

/* Sends the answer to LMDB_TABLES: the main database, if it has rows or flags of its own or is the
 * only one, and the named ones in the order of their names. */
PST_MUST_USE int lmdb_tables(struct tasks *tasks);

/* Whether a record of the main database is a named database's, which LMDB distinguishes from a
 * plain one only when it is opened: 1, 0 or an error. name: PST_TABLE_NAME_BYTES_MAX, gets it. */
PST_MUST_USE int lmdb_tables_is_name(const struct tasks *tasks, const MDB_val *key,
                                     const MDB_val *value, char *name, MDB_dbi *dbi);

#endif
