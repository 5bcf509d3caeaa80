/*
 * The guard of an lmdb: source: a child process that alone opens the environment, holds its write
 * lock and its reader slot, and outlives whoever started it by a moment. docs/adr/ says why it is
 * a process.
 *
 * It lives as long as the other end of its socket is open: if the backup dies, however, the guard
 * sees the end of the socket, lets go of lock and slot, and exits. If the guard is killed, the
 * kernel frees the lock (a robust mutex), and the next guard clears the slot when it starts.
 * While frozen it watches the freeze's limit by itself, so that a stopped backup holds up nobody;
 * while a snapshot is pinned it watches how full the map gets.
 *
 * The source's thread calls everything here, but for start (see there). Errors are logged where
 * they arise, with what to do.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_GUARD_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/source/lmdb/lmdb_meta.h"
#include "penstock/error.h"

#define PST_LMDB_TEXT_BYTES 256u
#define PST_LMDB_ANSWER_NS UINT64_C(5000000000) /* to what waits for nobody */

enum pst_lmdb_order {
    PST_LMDB_FREEZE = 1, /* take the write lock: waits for the environment's writer */
    PST_LMDB_SNAPSHOT,   /* claim a reader slot and capture the meta pages; frozen or not */
    PST_LMDB_THAW,       /* let go of the write lock */
    PST_LMDB_CHECK,      /* release the slot, then see whether someone wrote without locking */
    PST_LMDB_RELEASE,    /* let go of everything */
};

struct pst_lmdb_request {
    uint32_t order; /* enum pst_lmdb_order */
    uint32_t headroom_percent;
    uint64_t freeze_hold_ns; /* 0: no limit */
    bool is_frozen;          /* SNAPSHOT: the lock must still be held, else -PST_E_THAWED */
};

struct pst_lmdb_answer {
    int error;
    char text[PST_LMDB_TEXT_BYTES]; /* of an error; "" if there is no more to say than its own */
};

/* What guard and source share; written by the guard before it answers. */
struct pst_lmdb_shared {
    atomic_int trouble; /* PST_E_… that ended freeze or snapshot in between, positive; 0: none */
    uint32_t stale_readers; /* cleared at the start */
    dev_t device;           /* of the data file that is open */
    ino_t inode;
    struct pst_lmdb_meta meta; /* of the snapshot */
    uint64_t frozen_ns;        /* how long the write lock was held */
    uint64_t pinned_ns;        /* and the snapshot; both 0 if not at all */
    uint64_t grown_bytes;      /* of the environment, from snapshot to release */
    /* Both meta pages of the snapshot, page_bytes each, one behind the other. */
    uint8_t pages[2 * PST_LMDB_PAGE_BYTES_MAX];
};

struct pst_lmdb_guard {
    const char *path; /* as for mdb_env_open; borrowed */
    bool is_file;     /* MDB_NOSUBDIR */
    struct pst_lmdb_shared *shared;
    pid_t pid;  /* 0: there is none */
    int pid_fd; /* pidfd_open(2) */
    int socket;
};

/* Starts the process, which opens the environment, clears stale readers, and says that it did.
 * Forks, in any process: glibc makes malloc usable in the child, and it calls nothing else that
 * another thread may have locked. answer->text says what went wrong. */
PST_MUST_USE int pst_lmdb_guard_start(struct pst_lmdb_guard *guard, struct pst_lmdb_answer *answer);

/* Has an order carried out. A guard that does not answer before deadline_ns (CLOCK_MONOTONIC) is
 * killed: -ETIMEDOUT, and nothing is held. -PST_E_GUARD: it was gone already. */
PST_MUST_USE int pst_lmdb_guard_call(struct pst_lmdb_guard *guard,
                                     const struct pst_lmdb_request *request, uint64_t deadline_ns,
                                     struct pst_lmdb_answer *answer);

/* Orderly, or, if it does not end, by SIGKILL. */
void pst_lmdb_guard_stop(struct pst_lmdb_guard *guard);

/* The guard's own side, lmdb_guard_run.c: opens, answers, and serves until the socket ends. Returns
 * the exit status. */
int pst_lmdb_guard_run(const struct pst_lmdb_guard *guard, int socket);

#endif
