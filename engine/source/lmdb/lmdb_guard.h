/*
 * The guard of an lmdb: source: a child process that alone opens the environment, holds its write
 * lock and its reader slot, and outlives its parent by a moment. docs/adr/ says why it is
 * a process.
 *
 * It lives as long as the other end of its socket is open: however the backup dies, the guard
 * sees the end of the socket, lets go of lock and slot, and exits. If the guard is killed, the
 * kernel frees the lock (a robust mutex), and the next guard clears the slot when it starts.
 * While frozen it watches the freeze's limit by itself, so that a stopped backup does not hold up
 * writers; while a snapshot is pinned it watches how full the map gets.
 *
 * The source's thread calls everything here, but for start (see there). Errors are logged where
 * they arise, with what to do.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_GUARD_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_GUARD_H

#include "engine/source/lmdb/lmdb_orders.h"

/* Starts the process, which opens the environment, clears stale readers, and reports that it did.
 * Forks, in any process: glibc makes malloc usable in the child, and it calls nothing else that
 * another thread may have locked. answer->text says what went wrong. */
PST_MUST_USE int lmdb_guard_start(struct lmdb_guard *guard, struct lmdb_answer *answer);

/* Has an order carried out. A guard that does not answer before deadline_ns (CLOCK_MONOTONIC) is
 * killed: -ETIMEDOUT, and nothing is held. -PST_E_GUARD: it was gone already. */
PST_MUST_USE int lmdb_guard_call(struct lmdb_guard *guard, const struct lmdb_request *request,
                                 uint64_t deadline_ns, struct lmdb_answer *answer);

/* Orderly, or, if it does not end, by SIGKILL. */
void lmdb_guard_stop(struct lmdb_guard *guard);

#endif
