/* Finds subvolumes that a snapshot lacks, and what file system a subvolume is of. Called by
 * dir_list.c and dir.c on the source's thread. */
#include "engine/source/dir/subvolume.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
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

struct subvolume_volume subvolume_find_volume(const char *path)
{
    struct subvolume_volume volume = {0};
    struct btrfs_ioctl_fs_info_args info = {0};
    struct statfs system;
    if (statfs(path, &system) < 0 || system.f_type != BTRFS_SUPER_MAGIC)
        return volume;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return volume;
    if (ioctl(fd, BTRFS_IOC_FS_INFO, &info) == 0) {
        volume.is_known = true;
        memcpy(volume.id, info.fsid, sizeof(volume.id));
    }
    (void)close(fd);
    return volume;
}

bool subvolume_is_same_volume(const struct subvolume_volume *one,
                              const struct subvolume_volume *other)
{
    return one->is_known && other->is_known && memcmp(one->id, other->id, sizeof(one->id)) == 0;
}
