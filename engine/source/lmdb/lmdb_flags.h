/*
 * Flags of LMDB databases, which a backup keeps and a restore sets again. Pure.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_FLAGS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include <lmdb.h>

/* Whether a database of LMDB 0.9 can be read that has them. MDB_DUPFIXED without MDB_DUPSORT is
 * taken by mdb_dbi_open(), and the pages that come of it crash every reader. */
static inline bool lmdb_flags_are_legal(uint32_t flags)
{
    uint32_t known = MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP |
                     MDB_REVERSEDUP;
    return (flags & ~known) == 0 && ((flags & MDB_DUPFIXED) == 0 || (flags & MDB_DUPSORT) != 0);
}

#endif
