/*
 * dir: every file below a directory, or one file, with its metadata; or what is on a block device.
 *
 * The walk crosses mount points only if its filter says so, and never into the kernel's own file
 * systems (proc, sysfs, …), which hold no data and are refused as PATH itself. What is left out is
 * logged: the first, and how many in all. So is the backup directory, where it lies below PATH.
 * Symlinks are stored, never followed; only PATH itself may lead through some. PATH is looked up at
 * open and again at the start of each backup, which logs if it leads to something else than before.
 * Names are bytes: any but NUL and '/'.
 *
 * Holes: a file with fewer blocks than bytes is asked for its data with SEEK_DATA; extents are of
 * data only. Hard links: names of one inode are one file where size and times agree. They are
 * collected until all are found; the first is the FILE, the others are
 * HARD_LINKs to its object, and the data is read through any of them. So are names of one symlink,
 * FIFO, socket or device, which are kept as such: nothing is read from them.
 *
 * A command of the user's may freeze the source (freeze.h), and print a path: then what is there is
 * read as if it were PATH.
 *
 * What changes meanwhile: directories that have changed are looked at once more at the end, for
 * what was moved there (tree.h). Gone (ENOENT only) is counted as vanished; a file that changes
 * between listing and reading is the reader's to find out (pst_fragment_file). What may not be read
 * is counted as unreadable and logged. A file's own permission is tested only where it is opened,
 * by the reader.
 *
 * Where backups have a base, a file is looked for in that by its path, size, mtime, ctime, device
 * and inode, and, if it is there, neither opened nor read.
 *
 * Memory of a listing: about 1.3 MiB, 2.1 MiB more where threads read ahead (for several LDMs), up
 * to 160 bytes for each inode with several links, with at most 16 MiB of names, and what the second
 * look needs (walked.h).
 */
#ifndef PST_ENGINE_SOURCE_DIR_DIR_H
#define PST_ENGINE_SOURCE_DIR_DIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "engine/source/dir/freeze.h"
#include "engine/source/dir/subvolume.h"
#include "engine/source/source.h"

#define DIR_DETAILS_BYTES 256u

/* What PATH led to when it was looked up last: at open, then at the start of each backup. */
struct dir_place {
    char *path;       /* absolute, no symlinks; owned */
    const char *file; /* last component of path if PATH is a file, else NULL */
    dev_t device;     /* of PATH */
    ino_t inode;
    dev_t medium; /* the block device that PATH is; 0: none */
};

/* The backup directory, where it lies below PATH: its contents are left out. */
struct dir_own {
    bool is_below; /* and exists */
    dev_t device;
    ino_t inode;
};

struct dir_source {
    struct pst_source source; /* first; root_fd is open from snapshot to check, or release */
    char *argument;           /* PATH as it was given, but absolute; owned */
    struct dir_place place;
    const struct pst_file_filter *filter; /* NULL: nothing is left out */
    struct dir_own own;
    struct freeze freeze;
    struct dir_place shown; /* what the freeze command has printed; path NULL: nothing */
    bool is_still;          /* a snapshot, or taken to be frozen: nothing is to change in it */
    dev_t target;           /* device of the backup directory, or where it will be; 0: not known */
    struct subvolume_volume target_volume; /* likewise */
    uint64_t databases;                    /* in use, of the last listing */
    char details[DIR_DETAILS_BYTES];
};

/* What is read: PATH, or the snapshot of it. */
static inline const struct dir_place *dir_scanned(const struct dir_source *dir)
{
    return dir->shown.path ? &dir->shown : &dir->place;
}

/* For the registry: as registry_open, but for the name. */
PST_MUST_USE int pst_dir_open(const char *argument, struct pst_source **source, char *error_text,
                              size_t error_bytes);

/* What such a source leaves out; borrowed until it is closed. */
void pst_dir_filter(struct pst_source *source, const struct pst_file_filter *filter);

/* How such a source is frozen; borrowed until it is closed. NULL: not at all. In idle. */
void pst_dir_freeze_by(struct pst_source *source, const struct pst_freeze_commands *commands);

/* The list method of dir. */
PST_MUST_USE int dir_list(struct pst_source *source, struct pst_fragment_sink *sink,
                          struct pst_source_listing *listing);

#endif
