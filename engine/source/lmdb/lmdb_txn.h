/*
 * Transactions of LMDB where another process may have made the map larger, which LMDB reports once:
 * the new size is taken over, and the transaction begun again. One thread for each transaction.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_TXN_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_TXN_H

#include <stddef.h>

#include <lmdb.h>

/* mdb_txn_begin() without a parent; its return code. */
static inline int lmdb_txn_begin(MDB_env *env, unsigned flags, MDB_txn **txn)
{
    int rc = mdb_txn_begin(env, NULL, flags, txn);
    while (rc == MDB_MAP_RESIZED) {
        rc = mdb_env_set_mapsize(env, 0);
        if (rc == 0)
            rc = mdb_txn_begin(env, NULL, flags, txn);
    }
    return rc;
}

/* mdb_txn_renew(); its return code. */
static inline int lmdb_txn_renew(MDB_env *env, MDB_txn *txn)
{
    int rc = mdb_txn_renew(txn);
    while (rc == MDB_MAP_RESIZED) {
        rc = mdb_env_set_mapsize(env, 0);
        if (rc == 0)
            rc = mdb_txn_renew(txn);
    }
    return rc;
}

#endif
