/*
 * By what a file is known again, and whether the base of the backup has it as it is: then it is
 * neither opened nor read. Private to engine/source/dir/; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_IDENTITY_H
#define PST_ENGINE_SOURCE_DIR_IDENTITY_H

#include <stdbool.h>
#include <sys/stat.h>

#include "engine/format/object.h"
#include "engine/source/dir/attributes.h"
#include "penstock/packer.h"

/* Whether the times of a file show each change. */
enum identity_trust {
    IDENTITY_HIDDEN,   /* no */
    IDENTITY_IF_APART, /* where its ctime is not its mtime, for then that is no copy of this */
    IDENTITY_SURE,
};

/* The file system of the file before. */
struct identity_system {
    dev_t device;
    enum identity_trust trust;
    bool is_known, has_said; /* that files are read for that */
};

/* Whose identity. */
struct identity_of {
    int directory; /* fd of the directory that name is in */
    const char *name;
    const struct stat *status;
    dev_t device; /* that it is known by */
};

/* Adds a file's identity to its attributes, where backups have bases. true: it is in the base, how
 * many of its bytes are data is added too, and *file is what a fragment is to have in place of its
 * extents. Never so on a file system in memory, where nothing is written back and so no change
 * through a mapping shows in the times, nor on FAT and exFAT; and where it is not known that the
 * file system has a ctime of its own, only if that is not the file's mtime. */
bool identity_find(struct identity_system *system, struct pst_fragment_sink *sink,
                   const struct identity_of *of, const struct pst_object *object,
                   struct attributes *attributes, struct pst_fragment_file *file);

/* Whether the open fd is the regular file that status is of. */
bool identity_is_of(int fd, const struct stat *status);

#endif
