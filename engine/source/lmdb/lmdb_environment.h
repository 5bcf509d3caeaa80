/*
 * An LMDB environment as its guard has it open. Private to the guard's process, one thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ENVIRONMENT_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ENVIRONMENT_H

#include <lmdb.h>

#include "engine/source/lmdb/lmdb_orders.h"

struct environment {
    const struct lmdb_guard *guard;
    struct lmdb_shared *shared;
    struct lmdb_answer *answer;
    MDB_env *env;
    int fd; /* of the data file; LMDB's */
    uint32_t page_bytes;
    MDB_txn *writer; /* frozen while there is one */
    MDB_txn *reader; /* its slot is claimed for good; pinned or reset */
    bool is_pinned;
    uint64_t frozen_at_ns;
    uint64_t pinned_at_ns;
    uint64_t thaw_at_ns;  /* UINT64_MAX: no limit */
    uint64_t watch_at_ns; /* while pinned: when to look how full the map is */
    uint64_t spin_until_ns;
    uint32_t headroom_percent;
    uint32_t readers_count;
    int reader_fds[LMDB_READERS_MAX + 1]; /* pidfd_open(2); -1: it has ended */
};

/* Opens it beside its users, clears stale readers, and claims a reader slot. guard, shared and
 * answer are set. */
PST_MUST_USE int environment_open(struct environment *environment);
void environment_close(struct environment *environment);

/* Begins a write transaction: waits for other writers. Another process may have made the map
 * larger: its size is taken over. */
PST_MUST_USE int environment_begin(struct environment *environment);

/* The reader pins the newest transaction. */
PST_MUST_USE int environment_renew(struct environment *environment);

/* An LMDB return code as an error of ours, with LMDB's text where ours is less precise. */
PST_MUST_USE int environment_error(struct environment *environment, int rc);

/* Returns error; text explains to people what it means here. */
int environment_say(struct environment *environment, int error, const char *text);

#endif
