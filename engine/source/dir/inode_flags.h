/*
 * Finds out the flags of chattr(1) and the project id of what is listed. To ask a file takes an
 * open, which is much beside a look (statx(2)), and this tells a few flags only. So directories,
 * which are open anyway, are asked each; and files where the directory has something that it hands
 * down, where a look tells of a flag, where nobody has looked, where the file is large, and all
 * where their file system counts what each project has. On the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_INODE_FLAGS_H
#define PST_ENGINE_SOURCE_DIR_INODE_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/source/dir/tree.h"

struct inode_flags {
    uint32_t flags; /* enum pst_object_inode_flags */
    uint32_t project;
    int error; /* negative: why they are not known */
};

struct inode_flags_of {
    int directory; /* that name is in */
    const char *name;
    const struct stat *status;
    uint8_t hints;   /* enum attributes_hints */
    bool is_entered; /* a directory, which the walk has just entered */
    bool is_counted; /* inode_flags_are_counted() */
};

/* Whether the file system that fd (O_PATH too) lies in counts what each project has. */
bool inode_flags_are_counted(int fd);

/* Where nothing was asked, or nothing can be known, *found has nothing. */
void inode_flags_find(struct tree *tree, const struct inode_flags_of *of,
                      struct inode_flags *found);

#endif
