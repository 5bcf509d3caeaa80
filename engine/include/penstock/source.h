/*
 * What can be backed up: struct pst_source, one for each opened source.
 *
 * A source does no I/O on the data path: it lists fragments (penstock/fragment.h) whose
 * extents the pipeline reads, or whose rows produce() makes. Life of a source:
 *
 *     open ─▶ idle ─freeze─▶ frozen ─snapshot─▶ snapshot ─thaw─▶ thawed ─release─▶ idle …─▶ close
 *                              └──────thaw─────▶ idle                 (list in snapshot or thawed)
 *
 * prepare, if there is one, is called in idle, before freeze. check, if there is one, comes between
 * the last scan and release, where the backup is to be kept. release is legal in every phase, thaws
 * what is frozen and may be repeated: it is the one call that an abort needs. Fragments and
 * literals of a listing are gone after it.
 *
 * Threads: open and close before and after all others. prepare, freeze, snapshot, thaw, list, check
 * and release are called by the source's own thread, one at a time, and may block; list only within
 * the sink and the source's own look-ups. produce is called by any LDM, by several at once, for
 * different fragments; it never blocks. root_fd and the plain fields may be read by any thread.
 *
 * The struct is public ABI: it begins with its size and the ABI version; methods are only ever
 * added at the end. Whoever implements a source embeds it at the start of a struct of their own,
 * fills it and, but for the runtime's fields and root_fd, never changes it while it is open.
 */
#ifndef PENSTOCK_SOURCE_H
#define PENSTOCK_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "penstock/error.h"
#include "penstock/fragment.h"
#include "penstock/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PST_SOURCE_ABI_VERSION 1u
#define PST_SOURCE_DETAILS_BYTES 1024u
#define PST_SOURCE_TEXT_BYTES 256u

enum pst_source_flags {
    PST_SOURCE_CAN_SNAPSHOT = 1, /* what is listed after snapshot is the state at that instant */
    PST_SOURCE_CAN_CAPTURE = 2,  /* reports the changes that follow the snapshot */
    PST_SOURCE_ANY_LDM = 4,      /* any LDM may scan any fragment; else only the fragment's owner */
    PST_SOURCE_CAN_ROWS = 8,     /* follows policy.is_logical */
};

/* Of contains. */
#define PST_SOURCE_LEAVES_OUT 2

enum pst_source_phase {
    PST_SOURCE_IDLE,     /* no backup */
    PST_SOURCE_FROZEN,   /* the source's writers are held up */
    PST_SOURCE_SNAPSHOT, /* pinned, writers still held up */
    PST_SOURCE_THAWED,   /* pinned, writers go on */
};

struct pst_table_filter; /* of the runtime and its own sources */

/* What the runtime asks of a source; set before the first freeze. All zeros are legal. */
struct pst_source_policy {
    uint64_t freeze_hold_ns; /* how long writers may be held up; 0: no limit */
    uint32_t
        headroom_percent; /* of a database's space, that a snapshot must leave to its writers */
    bool is_alone;        /* the backup has no other source to align this one with: freeze may
                             leave the writers alone if snapshot is exact without it */
    bool is_logical;      /* rows (PST_OBJECT_ROWS), not files, of a source that CAN_ROWS */
    bool check_pages;     /* whether a database's own program could read what is backed up */
    uint32_t ldms;        /* so many may call produce at the same time */
    const struct pst_table_filter *tables; /* borrowed while the source is open; NULL: all tables */
};

/* Where produce() stands in a fragment. All zeros at the fragment's start; the source's to use. */
struct pst_row_cursor {
    uint64_t words[4];
};

struct pst_source {
    uint32_t struct_bytes; /* sizeof(struct pst_source) of whoever filled it */
    uint32_t abi_version;  /* PST_SOURCE_ABI_VERSION of the same */
    uint32_t flags;        /* enum pst_source_flags */
    int root_fd;           /* directory (O_PATH) beneath which paths are opened, or -1: no paths;
                              what freeze or snapshot set it to holds until release */
    const char *type;      /* "dir", …; static */

    /* The runtime's. */
    char name[PST_SOURCE_NAME_MAX]; /* unique in a node; a legal file name: [A-Za-z0-9._-] */
    uint32_t instance;              /* 0 … PST_SOURCES_MAX - 1 */
    uint32_t phase;                 /* enum pst_source_phase, of the source's thread */
    struct pst_source_policy policy;

    /* Facts about this source for the manifest of this backup: the text of a JSON object, of at
     * most PST_SOURCE_DETAILS_BYTES with its NUL, or NULL. The source's; stays as it is from check
     * until the next freeze. */
    const char *details;

    /* Methods; freeze … release, contains and produce may be NULL where there is nothing to do.
     * Times are CLOCK_MONOTONIC. Callers use the pst_source_… functions below. */

    /* Holds up all writers, or -PST_E_FREEZE at the deadline, with nothing held. */
    int (*freeze)(struct pst_source *source, uint64_t deadline_ns);
    /* Pins the state as it is, frozen, as that of the cut gci. thaw follows at once, so it may let
     * the writers go on itself once it has pinned. */
    int (*snapshot)(struct pst_source *source, uint64_t gci);
    /* Lets writers go on; does not fail. */
    void (*thaw)(struct pst_source *source);
    /* Lists the whole source. 0; -ECANCELED if the sink returned it; else why it could not. Objects
     * that cannot be read do not end the listing: they are counted and logged. */
    int (*list)(struct pst_source *source, struct pst_fragment_sink *sink,
                struct pst_source_listing *listing);
    /* Unpins; does not fail. After an abort a produce that does not return in the limits may still
     * run beside it. */
    void (*release)(struct pst_source *source);
    /* Makes the next bytes of a PST_FRAGMENT_ROWS fragment: up to capacity_bytes into buffer,
     * *produced_bytes of them; 0 at the fragment's end, and only then. -EAGAIN: there are none yet;
     * it has waited as long as an LDM may, some 0.4 ms, and is called again. Of a PST_OBJECT_ROWS,
     * what makes no stream of rows (penstock/rows.h) fails the backup. */
    int (*produce)(struct pst_source *source, const struct pst_fragment_descriptor *fragment,
                   struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                   size_t *produced_bytes);
    /* 1 if the absolute path with no symlink in it lies inside what is backed up, 0 if not,
     * PST_SOURCE_LEAVES_OUT if it does, and the next list leaves out what is in it; -errno. It need
     * not exist yet. Before the backup, and before each list on its thread. */
    int (*contains)(struct pst_source *source, const char *path);
    /* Frees the source itself; called in idle. */
    void (*close)(struct pst_source *source);
    /* Called once all fragments are scanned, before release: whether what was read is the snapshot.
     * Whatever waits for writers gives up at the deadline. 0, or why the backup is worthless. */
    int (*check)(struct pst_source *source, uint64_t deadline_ns);
    /* Called in idle before each freeze, while no source of the node holds writers up: what a
     * freeze needs and can be done before it, for others' writers wait meanwhile. The
     * freeze, snapshot and thaw of a source with this method may run at real-time priority, and
     * must sleep where they wait. 0, or why there can be no backup. */
    int (*prepare)(struct pst_source *source);

    /* Why a method failed, and what to do, for people: set by it before it returns an error, on the
     * source's thread, so not by produce. The runtime empties it before each call, logs it with
     * the error, and passes it on to all nodes: who asked for the backup gets it. */
    char error_text[PST_SOURCE_TEXT_BYTES];

    /* What a freeze did could not be undone, and may still be in place: set by the source, which
     * logs why; stays as it is from check until the next freeze. The backup is good, but who asked
     * for it hears of it. */
    bool is_left_frozen;
    uint8_t reserved[7]; /* zeros */
};

/* A source without methods and without a directory, named after its type: a static text of
 * [A-Za-z0-9._-]. */
static inline void pst_source_init(struct pst_source *source, const char *type)
{
    memset(source, 0, sizeof(*source));
    source->struct_bytes = (uint32_t)sizeof(*source);
    source->abi_version = PST_SOURCE_ABI_VERSION;
    source->root_fd = -1;
    source->type = type;
    strncpy(source->name, type, sizeof(source->name) - 1);
}

/* Of the oldest struct of this ABI version: without check and what follows it. */
#define PST_SOURCE_BYTES_MIN offsetof(struct pst_source, check)

/* Object ids of a source: instance << 48 | counter, counters from 1 in each listing. */
uint64_t pst_source_object_id(const struct pst_source *source, uint64_t counter);

#ifdef __cplusplus
}
#endif

#endif
