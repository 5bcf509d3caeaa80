/*
 * A fragment: the unit that is dealt to an LDM, described in one slot of memory.
 *
 * The runtime owns the slots (PST_FRAGMENT_SLOT_BYTES each, aligned to 64). A source's thread
 * fills one with the pst_fragment_add_… functions and emits it through the sink; from then on it
 * is immutable and any thread may read it, until the runtime uses the slot again. All pointers in
 * it point into the slot itself, except literals, which the source keeps until release.
 *
 * What a reader finds:
 *  - entries: the catalogue entries (penstock/object.h) of all objects of the fragment, one
 *    after the other, ready to be copied into catalogue chunks. An object whose data continue from
 *    an earlier fragment has its entry here again, so that each part can hold the catalogue of all
 *    that it holds data of. Directories, symlinks, empty files and the like have an entry only.
 *  - files: what to open, or where the bytes come from; ascending object ids, in the order of their
 *    entries. One with a path and no extents (nothing but a hole) is opened all the same, and
 *    compared with what was listed.
 *  - extents: the runs of bytes to be read, ascending by (file, offset), never overlapping.
 *
 * Each byte of an object's data lies in exactly one extent of one fragment of a listing; what lies
 * in none (a hole) reads as zeros.
 *
 * No two objects of a listing have one id or one path; the directory that an object lies in is
 * listed, before it or after it, unless that is the root, and so is what a hard link leads to.
 */
#ifndef PENSTOCK_FRAGMENT_H
#define PENSTOCK_FRAGMENT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"
#include "penstock/limits.h"
#include "penstock/object.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PST_FRAGMENT_SLOT_BYTES (256u << 10)
#define PST_FRAGMENT_FILES_MAX PST_FRAGMENT_EXTENTS_MAX
#define PST_FRAGMENT_NAMES_BYTES_MAX (16u << 10)

enum pst_fragment_kind {
    PST_FRAGMENT_EXTENTS = 1, /* the pipeline reads files, and copies literals */
    /* One file without a path, one extent: source->produce makes its bytes. Where the extent's
     * length is 0, how many is not known before: the fragment has one entry, of the object that is
     * all of them, and the runtime writes their number into it as the object's size. */
    PST_FRAGMENT_ROWS = 2,
};

enum pst_fragment_file_flags {
    /* The extents' bytes stay as they are while the file around them changes: its size and time
     * are not compared, and what lies beyond its end reads as zeros. But another inode, a read
     * that fails, or an end before size_bytes (0: it has none), fails the scan: there is no use in
     * a part of such a file. */
    PST_FRAGMENT_FILE_PINNED = 1,
    /* It is as it was in an earlier backup, at the place `inode` (pst_fragment_sink.find_in_base):
     * it has no path and no extents, and is not read. */
    PST_FRAGMENT_FILE_IN_BASE = 2,
};

struct pst_fragment_file {
    uint64_t object;
    /* Relative to source->root_fd, never leading out of it; any bytes but NUL. NULL: all extents
     * are literals, or the fragment is PST_FRAGMENT_ROWS. */
    const char *path;
    /* What the file was when it was listed, from stat(2). A reader compares the inode after
     * opening, size and mtime after reading, and the ctime of a file of more than 64 KiB after
     * reading with that after opening, unless mode, owner or names have changed: if they differ,
     * the file changed (PST_E_CHANGED). */
    uint64_t device;
    uint64_t inode;
    uint64_t size_bytes;
    int64_t mtime_ns; /* seconds * 10^9 + ns, modulo 2^64: only compared */
    uint32_t flags;   /* enum pst_fragment_file_flags */
    /* Further names of the same file, hard links: they stand behind path, each with its NUL. Where
     * one cannot be opened, or leads to another inode, the next is tried. All of them together
     * have at most PST_FRAGMENT_NAMES_BYTES_MAX. */
    uint32_t names;
};

struct pst_fragment_extent {
    uint32_t file; /* index into files */
    uint32_t reserved;
    uint64_t offset; /* in the object, and in the file */
    uint64_t length; /* bytes, 1 … PST_FRAGMENT_BYTES_MAX; rows: 0: not known */
    /* Where not NULL, the bytes themselves: nothing is read. Of rows, any pointer that the source
     * needs again in produce. The source's, until release. */
    const void *literal;
};

/* What is left of a slot behind the head, the files and the extents. */
#define PST_FRAGMENT_DATA_BYTES                                                                    \
    (PST_FRAGMENT_SLOT_BYTES - 48u - PST_FRAGMENT_FILES_MAX * 56u - PST_FRAGMENT_EXTENTS_MAX * 32u)

struct pst_fragment_descriptor {
    uint32_t kind;          /* enum pst_fragment_kind */
    uint32_t owner;         /* the only LDM instance that may scan it, or 0 for any */
    uint64_t number;        /* 1, 2, … in the order of the listing */
    uint64_t bytes;         /* sum of the extents' lengths, <= PST_FRAGMENT_BYTES_MAX; an estimate
                               for rows of unknown length */
    uint32_t entries_count; /* catalogue entries */
    uint32_t objects_count; /* entries that stand here for the first time in this listing */
    uint32_t entries_bytes; /* length of data that the entries fill */
    uint32_t files_count;   /* <= PST_FRAGMENT_FILES_MAX */
    uint32_t extents_count; /* <= PST_FRAGMENT_EXTENTS_MAX */
    uint32_t paths_offset;  /* private: the paths fill data from here to the end */
    struct pst_fragment_file files[PST_FRAGMENT_FILES_MAX];
    struct pst_fragment_extent extents[PST_FRAGMENT_EXTENTS_MAX];
    uint8_t data[PST_FRAGMENT_DATA_BYTES]; /* entries from the front, paths from the back */
};

/* Makes the slot an empty fragment. Nothing is cleared but the head: cheap. */
void pst_fragment_init(struct pst_fragment_descriptor *fragment, enum pst_fragment_kind kind);

/* Room for one more object: an entry, a file with path_bytes (pst_fragment_path_bytes; 0: no file),
 * and one extent. */
bool pst_fragment_has_room(const struct pst_fragment_descriptor *fragment, size_t entry_bytes,
                           size_t path_bytes);

/* Appends an encoded catalogue entry. first: this object has no entry in an earlier fragment.
 * 0 or -ENOSPC (the fragment is unchanged: emit it and take another). */
PST_MUST_USE int pst_fragment_add_entry(struct pst_fragment_descriptor *fragment, const void *entry,
                                        size_t entry_bytes, bool first);

/* Bytes of a file's path and further names, but for the last NUL; 0: no path. */
size_t pst_fragment_path_bytes(const struct pst_fragment_file *file);

/* Appends a file; *file, whose path (may be NULL) and names are copied. 0 or -ENOSPC. */
PST_MUST_USE int pst_fragment_add_file(struct pst_fragment_descriptor *fragment,
                                       const struct pst_fragment_file *file);

/* Appends an extent, which has bytes, of the file that was added last: there must be one. 0, or
 * -ENOSPC: no extent is left, or the fragment would exceed PST_FRAGMENT_BYTES_MAX. */
PST_MUST_USE int pst_fragment_add_extent(struct pst_fragment_descriptor *fragment, uint64_t offset,
                                         uint64_t length, const void *literal);

/* Makes it a fragment of rows of unknown length, some expected_bytes, of the file added last.
 * handle comes to lie in extents[0].literal. */
void pst_fragment_add_rows(struct pst_fragment_descriptor *fragment, uint64_t expected_bytes,
                           const void *handle);

/* What a listing came to. */
struct pst_source_listing {
    uint64_t fragments;
    uint64_t bytes;      /* in all extents */
    uint64_t objects;    /* listed, hard links too */
    uint64_t unreadable; /* could not be listed, each logged with its path: exit code 3 */
    uint64_t vanished;   /* removed during the walk: no error in a live tree */
    uint64_t skipped;    /* of kinds that are not backed up */
};

struct pst_object_identity; /* of the runtime and its own sources */

/* Where a listing's fragments go. The runtime owns it; called on the source's thread only. */
struct pst_fragment_sink {
    /* Blocks until a slot is free: this is the back-pressure. The slot is the source's until it is
     * emitted; one at a time: called again before that, it gives the same one, so that a source
     * that waits for something else learns of the end. 0, or -ECANCELED: list() must return that at
     * once. A slot that was not emitted when list() returns goes back to the runtime by itself. */
    int (*acquire)(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot);
    /* Hands the slot over, filled; the source touches it no more. Sets its number. 0, -ECANCELED
     * (the fragment was dropped), or -EINVAL: it is not a legal fragment, or not a slot that
     * acquire gave, which is logged and fails the backup: list() returns it. */
    int (*emit)(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot);
    /* Names what the listing could not read, and counts in listing->unreadable; path is borrowed
     * for the call. NULL: the names are not collected. */
    void (*unreadable)(struct pst_fragment_sink *sink, const char *path);
    /* For sources of Penstock's own: whether a file is as it was in the base of the backup, and if
     * so at which place, with how many bytes of data. object's id and attributes are not looked at.
     * NULL: backups have no base, and nobody asks for the identity of files. */
    bool (*find_in_base)(struct pst_fragment_sink *sink, const struct pst_object *object,
                         const struct pst_object_identity *identity, uint64_t *place,
                         uint64_t *data_bytes);
    /* Waits until all fragments emitted so far are read, for a source that can list the rest only
     * then. Not between acquire and emit. 0, or -ECANCELED as acquire: also where the backup is
     * aborted meanwhile. */
    int (*wait_read)(struct pst_fragment_sink *sink);
};

static_assert(sizeof(struct pst_fragment_file) == 56, "written down, part of the ABI");
static_assert(sizeof(struct pst_fragment_extent) == 32, "written down, part of the ABI");
static_assert(sizeof(struct pst_fragment_descriptor) == PST_FRAGMENT_SLOT_BYTES, "fills its slot");
static_assert(PST_FRAGMENT_DATA_BYTES >=
                  PST_OBJECT_BYTES_MAX + PST_PATH_BYTES_MAX + PST_FRAGMENT_NAMES_BYTES_MAX,
              "an empty slot holds any object");

#ifdef __cplusplus
}
#endif

#endif
