/*
 * One lmdb: source and what it asks of its guard. Private to the lmdb: source; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_SOURCE_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_SOURCE_H

#include <sys/stat.h>

#include "engine/base/check.h"
#include "engine/source/lmdb/lmdb_guard.h"
#include "engine/source/source.h"

#define LMDB_DETAILS_BYTES 320u

struct lmdb_rows;

/* What the source's path led to when it was looked up last: at open, then at each freeze. */
struct lmdb_place {
    char *path;       /* absolute, no symlinks; owned */
    const char *data; /* the data file's name below root_fd */
    int root_fd;      /* owned; -1: none */
    bool is_file;     /* MDB_NOSUBDIR */
    uid_t owner;      /* of the data file */
    struct lmdb_inodes inodes;
};

struct lmdb_source {
    struct pst_source source;      /* first */
    struct pst_thread_owner owner; /* the source's thread, from freeze to release */
    struct lmdb_guard guard;
    char *argument; /* the path as it was given, but absolute; owned */
    struct lmdb_place place;
    struct stat directory; /* of the environment, at the snapshot; unused for a single file */
    struct stat file;
    struct lmdb_meta meta;  /* of the snapshot, from the listing on: as the pages have it */
    uint64_t file_bytes;    /* of the data file, at the listing */
    struct lmdb_rows *rows; /* the readers, from the listing to release */
    char details[LMDB_DETAILS_BYTES];
    uint8_t pages[2 * LMDB_PAGE_BYTES_MAX]; /* the meta pages */
};

static inline struct lmdb_source *lmdb_of(struct pst_source *source)
{
    return (struct lmdb_source *)source;
}

/* Looks up what the path leads to. On an error, of which *advice says more, all stays as it was. */
PST_MUST_USE int lmdb_find(struct lmdb_source *lmdb, const char **advice);
void lmdb_place_free(struct lmdb_place *place);

/* The same before a backup: a guard that is dead, or has no room for the tables that its readers
 * will open, is replaced; so is one that has other files open than the path leads to now, which is
 * logged. Errors are logged too. */
PST_MUST_USE int lmdb_find_again(struct lmdb_source *lmdb);

/* Starts the guard, which opens the environment. 0, or an error with the answer's text. */
PST_MUST_USE int lmdb_start_guard(struct lmdb_source *lmdb, struct lmdb_answer *answer);

/* Whether the guard is alive. It sends nothing unasked: what can be read between two orders is its
 * end. */
bool lmdb_has_guard(const struct lmdb_source *lmdb);

/* After a guard was killed: the next one clears its reader slot as it starts. */
PST_MUST_USE int lmdb_replace_guard(struct lmdb_source *lmdb);

/* Has the guard carry out an order, and logs the text that it gives with an error. As
 * lmdb_guard_call. */
PST_MUST_USE int lmdb_order(struct lmdb_source *lmdb, const struct lmdb_request *request,
                            uint64_t deadline_ns);

/* The deadline of an order that does not wait for writers. */
uint64_t lmdb_soon_ns(void);

/* Has the guard let go of lock and snapshot; one that does not is replaced. */
void lmdb_let_go(struct lmdb_source *lmdb);

/* Copies the snapshot's meta pages from what the guard shares, and decodes them. -PST_E_GUARD: they
 * are no meta pages. */
PST_MUST_USE int lmdb_take_metas(struct lmdb_source *lmdb);

/* Whether the snapshot is still pinned: 0, or why not. */
PST_MUST_USE int lmdb_look_at_guard(struct lmdb_source *lmdb);

/* Whether the names still stand for the file and the directory that are open; keeps their
 * attributes. 0, -errno, or -PST_E_CHANGED, which is logged. */
PST_MUST_USE int lmdb_look_at_files(struct lmdb_source *lmdb);

#endif
