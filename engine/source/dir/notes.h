/*
 * What a listing reports of single files: in the log, in its counts, and to whoever collects the
 * names. On the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_NOTES_H
#define PST_ENGINE_SOURCE_DIR_NOTES_H

#include <stdbool.h>

#include "engine/source/source.h"

struct notes {
    const struct pst_source *source;
    struct pst_fragment_sink *sink;
    struct pst_source_listing *listing;
    bool is_still;           /* nothing is removed meanwhile */
    uint64_t kernel_systems; /* whose contents were left out */
    uint64_t other_systems;  /* likewise */
    uint64_t excluded;       /* names that were left out, or whose contents were, as asked for */
    uint64_t databases;      /* in use */
    uint64_t unlooked;       /* directories without a second look */
    uint64_t apart;          /* names that became files of their own, though others of one inode */
};

/* Only one error proves that a path was removed; others say that it cannot be reached. */
bool notes_is_gone(const struct notes *notes, int error);

/* Trouble with one path: 0 if the listing goes on without it, else error, which ends it. */
PST_MUST_USE int notes_trouble(struct notes *notes, const char *path, const char *what, int error);

/* The same of an attribute of it; NULL: of all. */
PST_MUST_USE int notes_lost(struct notes *notes, const char *path, const char *attribute,
                            int error);

/* A file of a kind that is not backed up. */
void notes_skip(struct notes *notes, const char *path);

/* Nobody misses what is in /proc, but a backup of / is not all of / then: the first is logged. */
void notes_kernel_system(struct notes *notes, const char *path);

/* Likewise of other file systems. */
void notes_other_system(struct notes *notes, const char *path);

/* A subvolume that the snapshot lacks, which counts as what cannot be read. */
void notes_missing_subvolume(struct notes *notes, const char *path);

/* The backup directory, which is not backed up into itself. */
void notes_own(struct notes *notes, const char *path);

/* Its contents are kept, but not that it is another name: because the file changed meanwhile, or
 * its file system gives one inode number to several. The first is logged. */
void notes_apart(struct notes *notes, const char *path);

/* A database in use: of this kind, at path ("": the source itself), and how to back it up. The
 * first ones are named. */
void notes_database(struct notes *notes, const char *kind, const char *path, const char *advice);

/* The listing is through. */
void notes_end(const struct notes *notes);

#endif
