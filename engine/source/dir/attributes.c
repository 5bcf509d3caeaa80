/* Extended attributes and flags of one file after the other. Called by dir_list.c on the source's
 * thread. */
#include "engine/source/dir/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "engine/source/dir/tree.h"

/* There is no listxattrat(2) before Linux 6.13. This path leads to the directory that is open, not
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

static int read_xattrs(struct attributes *attributes, const char *path)
{
    ssize_t bytes = llistxattr(path, attributes->names, sizeof(attributes->names));
    if (bytes < 0)
        return errno == EOPNOTSUPP ? 0 : error_of(errno);
    int first = 0;
    const char *name = NULL;
    while ((name = next_name(attributes, (size_t)bytes, name))) {
        int error = read_one(attributes, path, name);
        if (error && !first)
            attributes->lost = name;
        first = first ? first : error;
    }
    return first;
}

/* Without an open, which a flag's own request would need. */
static int read_flags(struct attributes *attributes, int directory, const char *name)
{
    struct statx status;
    uint32_t flags = 0;
    if (statx(directory, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &status))
        return -errno;
    if (status.stx_attributes & STATX_ATTR_IMMUTABLE)
        flags |= PST_OBJECT_IMMUTABLE;
    if (status.stx_attributes & STATX_ATTR_APPEND)
        flags |= PST_OBJECT_APPEND_ONLY;
    return flags ? pst_object_append_inode_flags(flags, attributes->encoded, ATTRIBUTES_BYTES_MAX,
                                                 &attributes->bytes)
                 : 0;
}

int attributes_read(struct attributes *attributes, int directory, const char *name, mode_t mode)
{
    const struct attributes_path path = path_of(directory, name);
    attributes->bytes = 0;
    attributes->lost = NULL;
    int flags = S_ISREG(mode) || S_ISDIR(mode) ? read_flags(attributes, directory, name) : 0;
    int error = read_xattrs(attributes, path.text);
    return flags ? flags : error;
}
