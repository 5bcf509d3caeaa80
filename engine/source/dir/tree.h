/*
 * Walks a directory tree, one entry at a time, parents first, in the order that the file system
 * has: nothing is collected or sorted, so the first entries come at once and memory is bounded
 * however wide or deep the tree is. Threads may read ahead (ahead.h); the order is the same.
 *
 * What is moved meanwhile, from where the walk has not been to where it has, it has not met: a
 * second look at the directories that have changed since finds it.
 *
 * Only TREE_OPEN directories are open at a time. Deeper down, the topmost are closed and, on
 * the way back, opened again by their path beneath the root and read on from where they were.
 * Symlinks are never followed. One thread calls.
 */
#ifndef PST_ENGINE_SOURCE_DIR_TREE_H
#define PST_ENGINE_SOURCE_DIR_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "engine/base/limits.h"
#include "engine/source/dir/ahead.h"
#include "engine/source/dir/seen.h"
#include "engine/source/dir/tick.h"
#include "engine/source/dir/walked.h"
#include "penstock/error.h"

#define TREE_OPEN AHEAD_OPEN
#define TREE_NAME_MAX 1024u /* FUSE allows so many; all others 255 */
/* A directory's path is at least two bytes longer than its parent's. */
#define TREE_DEPTH_MAX (PST_PATH_BYTES_MAX / 2 + 1)

/* Of which files in a directory flags are asked (inode_flags.h). */
enum tree_asks { TREE_ASKS_NONE, TREE_ASKS_LARGE, TREE_ASKS_EACH };

struct tree_level {
    struct ahead_dir *dir; /* NULL: closed for the time being */
    uint32_t path_bytes;
    int64_t cookie; /* where to read on after the last entry that was used */
    dev_t device;
    ino_t inode;
    enum tree_asks asks;
    /* Whether it is read again when it has been read (tree.c): */
    struct timespec ctime; /* when this reading began */
    int64_t rest_ns;       /* so long a change may leave it as it is */
    bool has_rested;       /* since the reading before, which saw no change */
    bool was_calm;         /* some reading saw none */
    bool is_blind;         /* not all of its names are in seen */
    uint32_t readings;     /* that have ended */
    uint64_t number;       /* of the directory, in seen */
    size_t seen_before;    /* names in seen when it was entered */
    struct timespec entered;
    bool is_again;  /* it is looked at once more */
    bool was_moved; /* a second look has found it, and it was there all the time */
};

/* The second look. */
struct tree_again {
    bool is_wanted;
    bool is_on;
    struct timespec began; /* the walk: what was born before was there all the time */
    uint32_t rounds;       /* that have begun */
    uint32_t next;         /* directory to look at, of this round */
    uint64_t found;        /* in this round */
    bool was_there;        /* what was found last */
    uint64_t until_ns;     /* CLOCK_MONOTONIC */
};

struct tree {
    int root_fd;
    struct ahead *ahead;
    uint32_t depth;
    /* Relative to the root: of the entry, or of the directory that there was trouble with. */
    char path[PST_PATH_BYTES_MAX + TREE_NAME_MAX + 1];
    size_t path_bytes;
    uint64_t entered; /* directories */
    int64_t rests_ns; /* in all of them */
    struct seen_names seen;
    struct walked walked;
    struct tree_again again;
    struct ticks ticks;
    struct tree_level levels[TREE_DEPTH_MAX];
};

/* Begins at root_fd (any directory fd, O_PATH too; not owned). threads_max: that read ahead, at
 * most AHEAD_THREADS_MAX. looks_again: there is to be a second look. 0 or -errno. */
PST_MUST_USE int tree_open(struct tree *tree, int root_fd, uint32_t threads_max, bool looks_again);

void tree_close(struct tree *tree);

/* The backup has what was looked at with this status, at this path, or is not to have it (path
 * NULL). In vain after tree_close(). */
void tree_keep(struct tree *tree, const char *path, const struct stat *status);

/* When tree_next() has returned 0, and all that was met is kept: tree_next() goes on with the
 * entries of directories that have changed since they were read. tree_look() passes over those
 * whose files are kept, and those of new files. */
void tree_look_again(struct tree *tree);

/* When tree_next() has returned 0 again: directories that were not looked at, for it took too long.
 */
uint32_t tree_unlooked(const struct tree *tree);

/* Goes to the next entry, which may be one that was met before: tree_look() tells. 1: tree->path is
 * it, and may be longer than PST_PATH_BYTES_MAX - 1. 0: there are no more. -errno: the directory
 * tree->path ("": the root) could not be read to its end; call again to go on behind it. */
PST_MUST_USE int tree_next(struct tree *tree);

/* The directory that holds the current entry, valid until the next call; the entry's name in it. */
int tree_fd(const struct tree *tree);
const char *tree_name(const struct tree *tree);

#define TREE_MET 1

/* Looks at the current entry (fstatat(2)): 0 or -errno. TREE_MET: the walk has met it before, and
 * passes over it. -PST_E_CHANGED: it has met the name, which now leads to another file, one that
 * may have had a name before that the walk has not met, or, in a second look, had one. */
PST_MUST_USE int tree_look(struct tree *tree, struct stat *status);

/* The entry that was looked at has gone since: its name is met again if it comes back. */
void tree_forget(struct tree *tree);

/* Of the entry that was looked at: enum attributes_hints (attributes.h). */
uint8_t tree_hints(const struct tree *tree);

/* Opens a path beneath a directory, without following symlinks. Where descriptors or memory have
 * run out, directories further up are closed for the time being, then it is tried again until
 * PST_SHORTAGE_NS are over. depth may be 0: there is no walk. A descriptor, the caller's, or
 * -errno. */
PST_MUST_USE int tree_open_file(struct tree *tree, int directory, const char *name, int flags);

/* Enters the current entry, a directory whose path is shorter than PST_PATH_BYTES_MAX. 0, -errno,
 * or -EXDEV: it is the mount point of a file system of the kernel's own. */
PST_MUST_USE int tree_enter(struct tree *tree);

/* Leaves the directory that was just entered: tree_next goes on behind it. */
void tree_leave(struct tree *tree);

/* Whether that is the directory which the walk is in. */
bool tree_is_in(const struct tree *tree, const struct stat *status);

/* Of the directory that the walk is in; and of its root: also of a source that is a file, and when
 * the walk is over, TREE_ASKS_EACH. */
void tree_set_asks(struct tree *tree, enum tree_asks asks);
enum tree_asks tree_asks(const struct tree *tree);
enum tree_asks tree_root_asks(const struct tree *tree);

#endif
