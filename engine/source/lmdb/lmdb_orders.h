/*
 * What an lmdb: source and its guard send each other, and the memory that they share. Private to
 * the lmdb: source.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_ORDERS_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_ORDERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/source/guard.h"
#include "engine/source/lmdb/lmdb_identity.h"
#include "engine/source/lmdb/lmdb_meta.h"
#include "engine/source/lmdb/lmdb_slot.h"
#include "penstock/error.h"

#define LMDB_ANSWER_NS UINT64_C(5000000000) /* to what does not wait for writers */

enum lmdb_order {
    LMDB_PREPARE = 1, /* do once, for nothing, what a snapshot does: so its memory is in place */
    LMDB_FREEZE,      /* take the write lock: waits for the environment's writer */
    LMDB_SNAPSHOT,    /* claim a reader slot and capture the meta pages, frozen or not; then let go
                         of the write lock */
    LMDB_THAW,        /* let go of the write lock, without a snapshot */
    LMDB_READ,        /* start the readers of the snapshot that is pinned: processes of their own */
    LMDB_CHECK,       /* end the readers, release the slot, then see whether someone wrote without
                         locking */
    LMDB_RELEASE,     /* let go of everything */
};

struct lmdb_request {
    uint32_t order; /* enum lmdb_order */
    uint32_t headroom_percent;
    uint32_t readers;        /* READ: 1 … LMDB_READERS_MAX + 1 */
    uint64_t freeze_hold_ns; /* 0: no limit */
    bool spins;              /* PREPARE, FREEZE: wait awake for the next order, for a moment */
    bool is_frozen;          /* SNAPSHOT: the lock must still be held, else -PST_E_THAWED */
};

struct lmdb_answer {
    int error;
    char text[LMDB_TEXT_BYTES]; /* of an error; "": the error's own text says it all */
};

/* The two files of an environment, by which it is known again. */
struct lmdb_inodes {
    dev_t device; /* of the data file */
    ino_t inode;
    dev_t lock_device; /* of the lock file; both 0: there is none yet */
    ino_t lock_inode;
};

/* What guard and source share; written by the guard before it answers. Like a reader the guard runs
 * liblmdb on whatever the environment's owner has made of it: the source takes these for numbers to
 * be shown and compared, and decodes the pages itself. */
struct lmdb_shared {
    atomic_int trouble;        /* -PST_E_… that ended freeze or snapshot in between; 0: none */
    uint32_t stale_readers;    /* cleared at the start */
    struct lmdb_inodes inodes; /* that are open */
    struct lmdb_meta meta;     /* of the snapshot */
    uint64_t frozen_ns;        /* how long the write lock was held */
    uint64_t pinned_ns;        /* and the snapshot; both 0 if not at all */
    uint64_t grown_bytes;      /* of the environment, from snapshot to release */
    /* Both meta pages of the snapshot, page_bytes each, one behind the other. */
    uint8_t pages[2 * LMDB_PAGE_BYTES_MAX];
    struct lmdb_slot slots[LMDB_READERS_MAX + 1]; /* memory only as far as they are used */
};

struct lmdb_guard {
    const char *path;           /* as for mdb_env_open; borrowed */
    bool is_file;               /* MDB_NOSUBDIR */
    bool has_tables;            /* room for those that its readers open */
    struct lmdb_identity owner; /* that the process takes */
    struct lmdb_shared *shared;
    struct pst_guard process;
};

#endif
