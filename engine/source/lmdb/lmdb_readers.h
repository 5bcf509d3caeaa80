/*
 * The readers of a snapshot: children of the guard that have its pinned transaction, as it is, and
 * nothing else of it. Whatever the pages that they read do to them, the guard, and whoever started
 * it, goes on. Private to the guard's process, one thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_READERS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_READERS_H

#include <poll.h>

#include "engine/source/lmdb/lmdb_environment.h"

/* Forks that many; the snapshot is pinned. 0 or -errno, with none left. */
PST_MUST_USE int readers_start(struct environment *environment, uint32_t count);

/* Kills those that live, and waits for them. */
void readers_end(struct environment *environment);

/* For poll(2): what ends with each of them, environment->readers_count of them. */
void readers_fill(const struct environment *environment, struct pollfd *ends);

/* Reports in its slot each one that has ended. */
void readers_reap(struct environment *environment, const struct pollfd *ends);

#endif
