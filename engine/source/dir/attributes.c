/* Extended attributes and flags of one file after the other. Called by dir_list.c on the source's
 * thread, and attributes_look by ahead_threads.c on threads of its own. */
#include "engine/source/dir/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "engine/source/dir/tree.h"

/* Linux 6.13; the number is the same everywhere. */
#ifndef SYS_listxattrat
#define SYS_listxattrat 465
#endif

/* For those before it, and for values. This path leads to the directory that is open, not
 * to where its name leads by now; "." stands for itself, so that it is not the link that is read.
 */
struct attributes_path {
    char text[sizeof("/proc/self/fd/2147483647/") + TREE_NAME_MAX];
};

static struct attributes_path path_of(int directory, const char *name)
{
    struct attributes_path path;
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

static int read_one(struct attributes *attributes, const char *path, const char *name)
{
    if (!pst_xattr_is_kept(name))
        return -EOPNOTSUPP;
    ssize_t bytes = lgetxattr(path, name, attributes->value, sizeof(attributes->value));
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

static int read_xattrs(struct attributes *attributes, int directory, const char *name)
{
    const struct attributes_path path = path_of(directory, name);
    ssize_t bytes = list_names(directory, name, attributes->names, sizeof(attributes->names));
    if (bytes < 0)
        return errno == EOPNOTSUPP ? 0 : error_of(errno);
    int first = 0;
    const char *attribute = NULL;
    while ((attribute = next_name(attributes, (size_t)bytes, attribute))) {
        int error = read_one(attributes, path.text, attribute);
        if (error && !first)
            attributes->lost = attribute;
        first = first ? first : error;
    }
    return first;
}

/* Without an open, which a request for the flags would need. The file was just looked at. */
static bool look_at_flags(int directory, const char *name, uint8_t *hints)
{
    struct statx status;
    int how = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    if (statx(directory, name, how, 0, &status))
        return false;
    if (status.stx_attributes & STATX_ATTR_IMMUTABLE)
        *hints |= ATTRIBUTES_IMMUTABLE;
    if (status.stx_attributes & STATX_ATTR_APPEND)
        *hints |= ATTRIBUTES_APPEND_ONLY;
    return true;
}

uint8_t attributes_look(int directory, const char *name, mode_t mode)
{
    uint8_t hints = ATTRIBUTES_KNOWN;
    ssize_t bytes = list_names(directory, name, NULL, 0);
    if (bytes < 0 && errno != EOPNOTSUPP)
        return 0;
    if (bytes > 0)
        hints |= ATTRIBUTES_SOME;
    if ((S_ISREG(mode) || S_ISDIR(mode)) && !look_at_flags(directory, name, &hints))
        return 0;
    return hints;
}

static int append_flags(struct attributes *attributes, uint8_t hints)
{
    uint32_t flags = (hints & ATTRIBUTES_IMMUTABLE ? PST_OBJECT_IMMUTABLE : 0u) |
                     (hints & ATTRIBUTES_APPEND_ONLY ? PST_OBJECT_APPEND_ONLY : 0u);
    return flags ? pst_object_append_inode_flags(flags, attributes->encoded, ATTRIBUTES_BYTES_MAX,
                                                 &attributes->bytes)
                 : 0;
}

int attributes_read(struct attributes *attributes, int directory, const char *name, mode_t mode,
                    uint8_t hints)
{
    attributes->bytes = 0;
    attributes->lost = NULL;
    if (!(hints & ATTRIBUTES_KNOWN)) {
        hints = attributes_look(directory, name, mode);
        if (!(hints & ATTRIBUTES_KNOWN))
            return error_of(errno);
    }
    int error = append_flags(attributes, hints);
    return error || !(hints & ATTRIBUTES_SOME) ? error : read_xattrs(attributes, directory, name);
}
