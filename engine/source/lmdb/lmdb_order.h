/*
 * The order that LMDB 0.9 gives the keys of a database, and the values of one key, by the
 * database's flags. A backup's rows must ascend in it, unless their application has an order of its
 * own. Pure; any thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ORDER_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct lmdb_bytes {
    const void *data;
    uint32_t bytes;
};

/* Whether a database of LMDB 0.9 can be read that has these flags. MDB_DUPFIXED without MDB_DUPSORT
 * is taken by mdb_dbi_open(), and the pages that come of it crash every reader. */
bool lmdb_flags_are_legal(uint32_t flags);

/* Whether the later key comes behind the earlier one, or, of MDB_DUPSORT, is the same. Integers
 * must have 4 or 8 bytes, and one length. */
bool lmdb_keys_ascend(uint32_t flags, struct lmdb_bytes earlier, struct lmdb_bytes later);

/* Whether the later value of one key comes behind the earlier one. */
bool lmdb_values_ascend(uint32_t flags, struct lmdb_bytes earlier, struct lmdb_bytes later);

#endif
