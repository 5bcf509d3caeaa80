/* Owner, mode and times by descriptor. Any thread of a restore, or that removes a tree. */
#include "io/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int pst_inode_set_owner(int fd, uid_t uid, gid_t gid)
{
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* fchmod(2) takes no O_PATH, and fchmodat2(2) came with Linux 6.6; the name in /proc is no link
 * that is looked up, but leads to the very inode. */
int pst_inode_set_mode(int fd, mode_t mode)
{
    char path[32];
    if (fchmod(fd, mode) == 0)
        return 0;
    if (errno != EBADF)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return chmod(path, mode) < 0 ? -errno : 0;
}

int pst_inode_set_mtime(int fd, const struct timespec *mtime)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}
