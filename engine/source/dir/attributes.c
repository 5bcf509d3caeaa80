/* Extended attributes and flags of one file after the other. Called by dir_list.c on the source's
 * thread, and attributes_look by ahead_threads.c on threads of its own. */
#include "engine/source/dir/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/base/own_error.h"
#include "engine/source/dir/tree.h"

/* Linux 6.13; the number is the same everywhere. */
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif

/* For those before it, and for values. This path leads to the directory that is open, not
 * to where its name leads by now; "." stands for itself, so that it is not the link that is read.
 */
struct attributes_path {
    bool is_inode; /* the path is a link to what is meant, not a name of it */
    char text[sizeof("/proc/self/fd/2147483647/") + TREE_NAME_MAX];
};

/* XFS shows ACLs a second time, in its own form, which on another file system would be no ACL, and
 * back on XFS take the place of the one that was given there. */
static bool is_shown_twice(const char *name)
{
    return strcmp(name, "trusted.SGI_ACL_FILE") == 0 ||
           strcmp(name, "trusted.SGI_ACL_DEFAULT") == 0;
}

static struct attributes_path path_of(int directory, const char *name)
{
    struct attributes_path path = {.is_inode = false};
    (void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d/%s", directory,
                   *name ? name : ".");
    return path;
}

/* ENOENT of a path in /proc may be said of /proc. */
static int error_of(int error)
{
    struct stat status;
    return error == ENOENT && stat("/proc/self/fd", &status) ? -ENOSYS : -error;
}

/* The name that follows previous (NULL: the first) by strcmp. The order is the format's. */
static const char *next_name(const struct attributes *attributes, size_t bytes,
                             const char *previous)
{
    const char *next = NULL;
    for (size_t at = 0; at < bytes; at += strlen(attributes->names + at) + 1) {
        const char *name = attributes->names + at;
        if ((!previous || strcmp(name, previous) > 0) && (!next || strcmp(name, next) < 0))
            next = name;
    }
    return next;
}

static int read_one(struct attributes *attributes, const struct attributes_path *path,
                    const char *name)
{
    if (is_shown_twice(name))
        return 0;
    if (!pst_xattr_is_kept(name))
        return -EOPNOTSUPP;
    ssize_t bytes = (path->is_inode ? getxattr : lgetxattr)(path->text, name, attributes->value,
                                                            sizeof(attributes->value));
    if (bytes < 0)
        return errno == ENODATA ? 0 : error_of(errno); /* removed meanwhile */
    const struct pst_xattr xattr = {
        .name = name, .value = attributes->value, .value_bytes = (uint32_t)bytes};
    return pst_xattr_append(&xattr, attributes->encoded, ATTRIBUTES_BYTES_MAX, &attributes->bytes)
               ? -EOVERFLOW
               : 0;
}

/* As llistxattr(2). */
static ssize_t list_names(int directory, const char *name, char *list, size_t bytes)
{
    const char *path = *name ? name : "."; /* an O_PATH will do for this, and not for "" */
    long got = syscall(SYS_listxattrat, directory, path, AT_SYMLINK_NOFOLLOW, list, bytes);
    if (got >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: of filters of system calls */
        return got;
    return llistxattr(path_of(directory, name).text, list, bytes);
}

/* Else who owns a directory could put another file under a name for a moment, so that its
 * capability is kept, and restored, with what is in his own. */
static int open_inode(int directory, const char *name, const struct stat *status)
{
    struct stat now;
    int fd = openat(directory, *name ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &now) ? -errno : 0;
    if (!error && (now.st_dev != status->st_dev || now.st_ino != status->st_ino))
        error = -PST_E_CHANGED;
    if (error)
        close(fd);
    return error ? error : fd;
}

static int read_by_path(struct attributes *attributes, const struct attributes_path *path)
{
    ssize_t bytes = (path->is_inode ? listxattr : llistxattr)(path->text, attributes->names,
                                                              sizeof(attributes->names));
    if (bytes < 0)
        return errno == EOPNOTSUPP ? 0 : error_of(errno);
    int first = 0;
    const char *attribute = NULL;
    while ((attribute = next_name(attributes, (size_t)bytes, attribute))) {
        int error = read_one(attributes, path, attribute);
        if (error && !first)
            attributes->lost = attribute;
        first = first ? first : error;
    }
    return first;
}

/* Of the very inode; where no descriptor is left for that, of what has the name. */
static int read_xattrs(struct attributes *attributes, int directory, const char *name,
                       const struct stat *status)
{
    struct attributes_path path = path_of(directory, name);
    int fd = open_inode(directory, name, status);
    if (fd < 0 && !pst_is_own_error(fd))
        return fd;
    path.is_inode = fd >= 0;
    if (path.is_inode)
        (void)snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    int error = read_by_path(attributes, &path);
    if (fd >= 0)
        close(fd);
    return error;
}

static struct timespec time_of(struct statx_timestamp stamp)
{
    return (struct timespec){.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

static struct stat status_of(const struct statx *found)
{
    return (struct stat){
        .st_dev = makedev(found->stx_dev_major, found->stx_dev_minor),
        .st_ino = found->stx_ino,
        .st_mode = found->stx_mode,
        .st_nlink = found->stx_nlink,
        .st_uid = found->stx_uid,
        .st_gid = found->stx_gid,
        .st_rdev = makedev(found->stx_rdev_major, found->stx_rdev_minor),
        .st_size = (off_t)found->stx_size,
        .st_blksize = (blksize_t)found->stx_blksize,
        .st_blocks = (blkcnt_t)found->stx_blocks,
        .st_atim = time_of(found->stx_atime),
        .st_mtim = time_of(found->stx_mtime),
        .st_ctim = time_of(found->stx_ctime),
    };
}

/* By statx(2), without an open, which a request for the flags would need. */
static uint8_t flags_of(const struct statx *found)
{
    if (!S_ISREG(found->stx_mode) && !S_ISDIR(found->stx_mode))
        return 0;
    return (found->stx_attributes & STATX_ATTR_IMMUTABLE ? ATTRIBUTES_IMMUTABLE : 0) |
           (found->stx_attributes & STATX_ATTR_APPEND ? ATTRIBUTES_APPEND_ONLY : 0) |
           (found->stx_attributes & STATX_ATTR_NODUMP ? ATTRIBUTES_NO_DUMP : 0) |
           (found->stx_attributes & STATX_ATTR_COMPRESSED ? ATTRIBUTES_COMPRESSED : 0);
}

int attributes_look(int directory, const char *name, struct stat *status, uint8_t *hints)
{
    struct statx found;
    int how = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    *hints = 0;
    if (statx(directory, name, how, STATX_BASIC_STATS, &found))
        return -errno;
    *status = status_of(&found);
    ssize_t bytes = list_names(directory, name, NULL, 0);
    if (bytes >= 0 || errno == EOPNOTSUPP)
        *hints = ATTRIBUTES_KNOWN | (bytes > 0 ? ATTRIBUTES_SOME : 0) | flags_of(&found);
    return 0;
}

static int append_flags(struct attributes *attributes, uint8_t hints)
{
    uint32_t flags = attributes->flags.flags |
                     (hints & ATTRIBUTES_IMMUTABLE ? PST_OBJECT_IMMUTABLE : 0u) |
                     (hints & ATTRIBUTES_APPEND_ONLY ? PST_OBJECT_APPEND_ONLY : 0u) |
                     (hints & ATTRIBUTES_NO_DUMP ? PST_OBJECT_NO_DUMP : 0u) |
                     (hints & ATTRIBUTES_COMPRESSED ? PST_OBJECT_COMPRESS : 0u);
    uint32_t project = attributes->flags.project;
    int error = flags ? pst_object_append_inode_flags(flags, attributes->encoded,
                                                      ATTRIBUTES_BYTES_MAX, &attributes->bytes)
                      : 0;
    return error || !project ? error
                             : pst_object_append_project(project, attributes->encoded,
                                                         ATTRIBUTES_BYTES_MAX, &attributes->bytes);
}

int attributes_read(struct attributes *attributes, int directory, const char *name,
                    const struct stat *status, uint8_t hints)
{
    attributes->bytes = 0;
    attributes->lost = NULL;
    if (!(hints & ATTRIBUTES_KNOWN)) {
        struct stat now;
        int error = attributes_look(directory, name, &now, &hints);
        if (error || !(hints & ATTRIBUTES_KNOWN))
            return error ? error : error_of(errno);
    }
    int error = append_flags(attributes, hints);
    if (!error && (hints & ATTRIBUTES_SOME))
        error = read_xattrs(attributes, directory, name, status);
    if (error || !attributes->flags.error)
        return error;
    attributes->lost = "flags";
    return attributes->flags.error;
}
