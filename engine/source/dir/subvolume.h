/*
 * Subvolumes of Btrfs: those that a snapshot does not have, and the file system that several of
 * them are of. Private to engine/source/dir.
 */
#ifndef PST_ENGINE_SOURCE_DIR_SUBVOLUME_H
#define PST_ENGINE_SOURCE_DIR_SUBVOLUME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Whether the directory stands where another subvolume was when the snapshot was made: it is empty,
 * and what was in it is not in the snapshot. Opens it only if its inode number is that of such
 * ones. Any thread. Source: BTRFS_EMPTY_SUBVOL_DIR_OBJECTID of the kernel's btrfs_tree.h. */
bool subvolume_is_missing(int directory, const char *name, const struct stat *status);

/* A file system of Btrfs, whose subvolumes have devices of their own. */
struct subvolume_volume {
    bool is_known;
    uint8_t id[16];
};

/* The one that the path lies in; not known, where it is another kind, or may not be opened. Any
 * thread. Source: BTRFS_IOC_FS_INFO of the kernel's linux/btrfs.h. */
struct subvolume_volume subvolume_find_volume(const char *path);

/* Whether both are known, and are one. */
bool subvolume_is_same_volume(const struct subvolume_volume *one,
                              const struct subvolume_volume *other);

#endif
