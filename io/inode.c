/* Owner, mode, times and attributes by descriptor. Any thread of a restore, or that removes a tree.
 */
#include "io/inode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/base/file_attr.h"

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

/* Some is what the file system cannot do, or the kernel cannot. */
static int error_of_asking(void)
{
    return errno == ENOTTY || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

static int add_flags(int fd, uint32_t flags)
{
    unsigned now = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return error_of_asking();
    now |= flags;
    return ioctl(fd, FS_IOC_SETFLAGS, &now) < 0 ? error_of_asking() : 0;
}

/* One that is refused is not to be in the way of others; and some are passed over without a word.
 * ext4 sets no other of a file that is immutable, so this one comes last. */
static void add_one_by_one(int fd, uint32_t flags)
{
    for (uint32_t bit = 1; bit; bit <<= 1) {
        if (flags & bit & ~(uint32_t)FS_IMMUTABLE_FL)
            (void)!add_flags(fd, bit);
    }
    if (flags & FS_IMMUTABLE_FL)
        (void)!add_flags(fd, FS_IMMUTABLE_FL);
}

int pst_inode_add_flags(int fd, uint32_t flags, uint32_t *missed)
{
    unsigned now = 0;
    *missed = flags;
    int error = add_flags(fd, flags);
    if (error && (flags & (flags - 1)))
        add_one_by_one(fd, flags);
    if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return error ? error : error_of_asking();
    *missed = flags & ~now;
    return *missed ? error : 0;
}

static int set_unopened_project(int fd, uint32_t project)
{
    const struct proc_path path = proc_path(fd);
    struct pst_file_attr attributes = {0};
    if (syscall(SYS_file_getattr, AT_FDCWD, path.text, &attributes, sizeof(attributes), 0) < 0)
        return error_of_asking();
    attributes.project = project;
    return syscall(SYS_file_setattr, AT_FDCWD, path.text, &attributes, sizeof(attributes), 0) < 0
               ? -errno
               : 0;
}

int pst_inode_set_project(int fd, uint32_t project)
{
    struct fsxattr attributes;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0)
        return errno == EBADF ? set_unopened_project(fd, project) : error_of_asking();
    if (attributes.fsx_projid == project)
        return 0;
    attributes.fsx_projid = project;
    return ioctl(fd, FS_IOC_FSSETXATTR, &attributes) < 0 ? error_of_asking() : 0;
}
