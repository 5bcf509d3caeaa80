/*
 * What a reader does: tasks of its source, one after the other, by liblmdb, on the transaction that
 * the guard has pinned. Nothing here is trusted by whoever reads the answers. Private to the
 * reader's process, one thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_TASKS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_TASKS_H

#include "engine/source/lmdb/lmdb_environment.h"

struct tasks {
    struct environment *environment;
    MDB_txn *txn;
    MDB_dbi main_dbi;
    unsigned main_flags;
    int fd; /* of the data file */
    struct lmdb_meta meta;
    struct lmdb_answering answering;
};

/* Until the process is killed. */
void lmdb_tasks_run(struct environment *environment, struct lmdb_slot *slot);

#endif
