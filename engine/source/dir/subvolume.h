/*
 * Subvolumes of Btrfs that a snapshot does not have. Private to engine/source/dir.
 */
#ifndef PST_ENGINE_SOURCE_DIR_SUBVOLUME_H
#define PST_ENGINE_SOURCE_DIR_SUBVOLUME_H

#include <stdbool.h>
#include <sys/stat.h>

/* Whether the directory stands where another subvolume was when the snapshot was made: it is empty,
 * and what was in it is not in the snapshot. Opens it only if its inode number is that of such
 * ones. Any thread. Source: BTRFS_EMPTY_SUBVOL_DIR_OBJECTID of the kernel's btrfs_tree.h. */
bool subvolume_is_missing(int directory, const char *name, const struct stat *status);

#endif
