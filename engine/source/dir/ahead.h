/*
 * Directories that are read before the walk (tree.h) comes to them. A few threads open the
 * directories whose names the walk has met, read them, and look at (stat) what is in them; the walk
 * takes over what is ready, does itself what no thread has begun, and waits for a thread only
 * where that is in the very call whose result the walk wants. So the walk meets the same names in
 * the same order as it would alone. What failed for a thread is tried again by the walk, whose
 * error counts.
 *
 * Read ahead are the innermost directory of the walk, and the next ones in it and in each one
 * above, to their ends, on the same file system. Memory and descriptors are bounded:
 * AHEAD_BLOCKS_MAX blocks of entries, each of a directory that may be open, beside a block for each
 * directory that the walk is in, and one that it leaves.
 *
 * The walk's thread calls all functions.
 */
#ifndef PST_ENGINE_SOURCE_DIR_AHEAD_H
#define PST_ENGINE_SOURCE_DIR_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "penstock/error.h"

#define AHEAD_OPEN 32u /* directories that the walk has open at a time */
#define AHEAD_BLOCKS_MAX 64u
#define AHEAD_THREADS_MAX 8u

struct ahead;
struct ahead_block;

enum ahead_state {
    AHEAD_WANTED, /* not open yet */
    AHEAD_BUSY,   /* a thread opens or reads it */
    AHEAD_READY,  /* may be read on */
    AHEAD_ENDED,  /* read to its end */
    AHEAD_LEFT,   /* a thread met an error, which is for the walk to meet */
};

/* A directory. The walk's while it is in it, but for what the lock protects. */
struct ahead_dir {
    int fd;
    dev_t device;
    ino_t inode;
    struct timespec ctime;       /* when it was opened */
    struct timespec opened;      /* CLOCK_REALTIME: then, before any of it was read */
    struct ahead_block *current; /* whose entries the walk is at; NULL: none */
    uint32_t used;               /* the entry in it */

    /* ahead.c's, by its lock. */
    enum ahead_state state;
    bool is_dropped; /* the walk does not come to what is left of it */
    bool is_again;   /* little in it is new: threads look at no entries */
    bool is_ahead;   /* a thread has opened it, and the walk has not come to it */
    uint32_t queued; /* blocks behind the current one, or being read */
    struct ahead_block *first, *last;
    struct ahead_dir *outer;    /* that the walk came from, where it is open */
    struct ahead_dir *children; /* that the walk will come to, in about its order */
    struct ahead_dir *sibling;
    struct ahead_dir *parent; /* of one that the walk is not in */
    const char *name;         /* in parent */
};

/* ldms: that wait for what is listed; for one, and for 0, the walk does all itself. Threads are
 * started once there is something to do for them. seed: of hashes of names. 0 or -ENOMEM. */
PST_MUST_USE int ahead_open(uint32_t ldms, uint64_t seed, struct ahead **ahead);

/* The walk has left all directories. NULL is allowed. */
void ahead_close(struct ahead *ahead);

/* openat2(2), not past symlinks and not out of the directory. A descriptor or -errno. */
PST_MUST_USE int ahead_open_beneath(int directory, const char *name, int flags);

/* What was just opened is read from its beginning as it is now: on Btrfs, what comes into a
 * directory after the opening or this is not read. *status: as of before. 0 or -errno. */
PST_MUST_USE int ahead_look_at_opened(int fd, struct stat *status);

/* The walk enters a directory that it has opened, and reads on where fd stands, which now is the
 * directory's. is_again: the walk has met most of its entries. Not more than AHEAD_OPEN at a time.
 */
struct ahead_dir *ahead_begin(struct ahead *ahead, int fd, const struct stat *status,
                              bool is_again);

/* The walk enters the current entry of a directory. NULL: it has to open that itself. */
struct ahead_dir *ahead_enter(struct ahead *ahead, struct ahead_dir *dir);

/* The walk leaves a directory, the innermost or the outermost of those that are open. Its path, of
 * path_bytes, names it if a thread hangs in it. */
void ahead_end(struct ahead *ahead, struct ahead_dir *dir, const char *path, size_t path_bytes);

/* Goes to the next entry, but to "." and "..": 1; 0: there are no more; -errno: of getdents64(2).
 * path: of the directory.
 */
PST_MUST_USE int ahead_next(struct ahead *ahead, struct ahead_dir *dir, const char *path);

/* Whether ahead_next will do nothing that takes time. */
bool ahead_has_next(const struct ahead_dir *dir);

/* The current entry: its name, valid until ahead_next, and where to read on behind it. */
const char *ahead_name(const struct ahead_dir *dir);
int64_t ahead_cookie(const struct ahead_dir *dir);

/* seen_hash() of its name; and of one that comes some entries later, where that is known. */
uint64_t ahead_hash(const struct ahead_dir *dir);
uint64_t ahead_hash_further_on(const struct ahead_dir *dir);

/* Looks at the current entry, whose path this is. 0 or -errno: of fstatat(2). */
PST_MUST_USE int ahead_look(struct ahead *ahead, struct ahead_dir *dir, const char *path,
                            struct stat *status);

/* Of the entry that was looked at: enum attributes_hints. */
uint8_t ahead_hints(const struct ahead_dir *dir);

#endif
