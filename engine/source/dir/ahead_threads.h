/*
 * What ahead.c (the walk's side) and ahead_threads.c (the threads) know of each other: blocks of
 * entries, directories, and the lock that all of it is under. Private to these two.
 */
#ifndef PST_ENGINE_SOURCE_DIR_AHEAD_THREADS_H
#define PST_ENGINE_SOURCE_DIR_AHEAD_THREADS_H

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine/source/dir/ahead.h"

#define AHEAD_BUFFER_BYTES (4u << 10)
#define AHEAD_ENTRIES_MAX (AHEAD_BUFFER_BYTES / 24) /* the shortest record has 24 bytes */
#define AHEAD_DIRS_MAX 512u
#define AHEAD_CHILD_BLOCKS 16u   /* of a directory that the walk has not come to */
#define AHEAD_SPARE_BLOCKS 16u   /* that these leave to others, but for the first of each */
#define AHEAD_CHILDREN 24u       /* of one that it is in, to be read ahead */
#define AHEAD_LEAVING 1u         /* blocks that are no longer queued, and not free: see drop() */
#define AHEAD_STARTING_BLOCKS 2u /* as many as the walk takes before it gets help */

enum ahead_entry_state {
    AHEAD_ENTRY_NEW,
    AHEAD_ENTRY_SEEN,
    AHEAD_ENTRY_FAILED, /* the walk tries again */
};

struct ahead_entry {
    struct stat status; /* once it is seen */
    const struct dirent64 *record;
    uint64_t hash;           /* of its name */
    struct ahead_dir *child; /* lock */
    _Atomic uint8_t state;   /* enum ahead_entry_state */
    uint8_t hints;           /* enum attributes_hints, once it is seen */
};

/* What one reading of a directory brought. */
struct ahead_block {
    struct ahead_block *next; /* in its directory, or free */
    struct ahead_dir *dir;
    uint32_t count;
    bool is_last;             /* of its directory */
    bool is_in_use;           /* lock: a thread looks at its entries */
    _Atomic uint32_t claimed; /* entries that somebody looks at, or has */
    struct ahead_entry entries[AHEAD_ENTRIES_MAX];
    _Alignas(16) uint8_t buffer[AHEAD_BUFFER_BYTES];
};

struct ahead {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the threads */
    pthread_cond_t moved;   /* for the walk */
    atomic_bool is_awaited; /* the walk sleeps, or is about to */
    bool must_stop;
    uint64_t seed;
    uint32_t idle; /* threads */
    uint32_t threads_max;
    uint32_t reach; /* directories, and blocks of one, that may be ahead of the walk */
    uint32_t threads_count;
    pthread_t threads[AHEAD_THREADS_MAX];
    uint32_t taken;        /* blocks by the walk, up to AHEAD_STARTING_BLOCKS */
    uint32_t queued;       /* blocks, in all directories */
    uint32_t opened;       /* directories by threads, that the walk has not entered */
    struct ahead_dir *top; /* where the walk is */
    struct ahead_block *blocks, *free_blocks;
    uint32_t blocks_count, blocks_used; /* of blocks; those never used are not in free_blocks */
    struct ahead_dir *free_dirs;        /* by sibling */
    uint32_t free_dirs_count;
    struct ahead_dir dirs[AHEAD_DIRS_MAX];
};

/* These are called under the lock. The free lists are never empty where take is called. */
struct ahead_block *ahead_take_block(struct ahead *ahead, struct ahead_dir *dir);
void ahead_free_block(struct ahead *ahead, struct ahead_block *block);
struct ahead_dir *ahead_take_dir(struct ahead *ahead);
void ahead_free_dir(struct ahead *ahead, struct ahead_dir *dir); /* closes it */

/* Under the lock: there is something to do that there was not before. */
void ahead_wake_a_thread(struct ahead *ahead);

/* Under the lock, once. One that cannot be started is done without. */
void ahead_start_threads(struct ahead *ahead);

/* Without the lock: fills an empty block. 1, 0 at the directory's end, or -errno. */
PST_MUST_USE int ahead_read_entries(const struct ahead *ahead, int fd, struct ahead_block *block);

/* Without the lock: the next entry that nobody looks at, NULL: there is none; and looks at it.
 * is_for_later: it may be read ahead if it is a directory. */
struct ahead_entry *ahead_claim(struct ahead_block *block);
void ahead_look_at(struct ahead *ahead, struct ahead_block *block, struct ahead_entry *entry,
                   bool is_for_later);

#endif
