/* Finds subvolumes that a snapshot lacks. Called by dir_list.c on the source's thread. */
#include "engine/source/dir/subvolume.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#define EMPTY_SUBVOLUME_INODE 2

bool subvolume_is_missing(int directory, const char *name, const struct stat *status)
{
    struct statfs system;
    if (status->st_ino != EMPTY_SUBVOLUME_INODE)
        return false;
    int fd = openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false; /* whoever enters it meets that error */
    bool is_missing = fstatfs(fd, &system) == 0 && system.f_type == BTRFS_SUPER_MAGIC;
    (void)close(fd);
    return is_missing;
}
