/* Owner, mode, times and attributes by descriptor. Any thread of a restore, or that removes a tree.
 */
#include "io/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct proc_path {
    char text[32];
};

/* A name that is no link to be looked up, but leads to the very inode of an O_PATH. */
static struct proc_path proc_path(int fd)
{
    struct proc_path path;
    snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

int pst_inode_set_owner(int fd, uid_t uid, gid_t gid)
{
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/* fchmod(2) takes no O_PATH, and fchmodat2(2) came with Linux 6.6. */
int pst_inode_set_mode(int fd, mode_t mode)
{
    if (fchmod(fd, mode) == 0)
        return 0;
    if (errno != EBADF)
        return -errno;
    return chmod(proc_path(fd).text, mode) < 0 ? -errno : 0;
}

int pst_inode_set_mtime(int fd, const struct timespec *mtime)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, *mtime};
    return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int pst_inode_set_xattr(int fd, const char *name, const void *value, size_t bytes)
{
    if (fsetxattr(fd, name, value, bytes, 0) == 0)
        return 0;
    if (errno != EBADF)
        return -errno;
    return setxattr(proc_path(fd).text, name, value, bytes, 0) < 0 ? -errno : 0;
}

/* Mostly there is none, and to remove that would be a change of the inode. */
static int drop_acl(int fd, const char *name)
{
    ssize_t bytes = fgetxattr(fd, name, NULL, 0);
    if (bytes < 0 && errno == EBADF)
        bytes = getxattr(proc_path(fd).text, name, NULL, 0);
    if (bytes < 0)
        return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
    if (fremovexattr(fd, name) < 0 &&
        (errno != EBADF || removexattr(proc_path(fd).text, name) < 0) && errno != ENODATA)
        return -errno;
    return 0;
}

int pst_inode_drop_acls(int fd)
{
    int error = drop_acl(fd, "system.posix_acl_access");
    return error ? error : drop_acl(fd, "system.posix_acl_default");
}

int pst_inode_add_flags(int fd, uint32_t flags)
{
    unsigned now = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return errno == ENOTTY ? -EOPNOTSUPP : -errno;
    now |= flags;
    return ioctl(fd, FS_IOC_SETFLAGS, &now) < 0 ? -errno : 0;
}
