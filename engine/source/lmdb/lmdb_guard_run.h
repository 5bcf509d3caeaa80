/*
 * The guard's own side. Private to the lmdb: source; runs in the guard's process, which has one
 * thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_GUARD_RUN_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_GUARD_RUN_H

#include "engine/source/lmdb/lmdb_orders.h"

/* guard: a struct lmdb_guard. Opens the environment, answers, and serves until the socket ends.
 * Returns the exit status. */
int lmdb_guard_run(const void *guard, int socket);

#endif
