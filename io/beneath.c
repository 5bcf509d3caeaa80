/*
 * Opens, finds and removes what lies below a directory, and never leaves it. Blocking: for threads
 * of a restore, the archive and the command line.
 */
#include "io/beneath.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/directory.h"

int pst_beneath_open(int dirfd, const char *path, int flags, mode_t mode)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    for (;;) {
        long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        /* EAGAIN: a rename elsewhere raced with the walk (openat2(2)) */
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    }
}

void pst_parent_close(struct pst_parent *parent)
{
    if (parent->fd >= 0)
        close(parent->fd);
    parent->fd = -1;
    parent->root_fd = -1;
}

int pst_parent_of(struct pst_parent *parent, int root_fd, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    assert(length < sizeof(parent->path));
    *name = slash ? slash + 1 : path;
    if (parent->root_fd == root_fd && strncmp(parent->path, path, length) == 0 &&
        parent->path[length] == '\0')
        return parent->fd;
    pst_parent_close(parent);
    memcpy(parent->path, path, length);
    parent->path[length] = '\0';
    int fd = pst_beneath_open(root_fd, length ? parent->path : ".", O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    parent->fd = fd;
    parent->root_fd = root_fd;
    return fd;
}

/* What one look into a directory came to. */
enum emptied { EMPTIED, DESCEND };

static int open_directory(int dirfd, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dirfd, name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(dirfd, name, 0700, 0) == 0)
        fd = openat(dirfd, name, flags);
    return fd < 0 ? -errno : fd;
}

/* Unlinks the entries of a directory until one is a directory with something in it: then *child is
 * it. */
static int empty_directory(struct pst_directory *directory, int *child)
{
    int dirfd = io_directory_fd(directory);
    const char *name;
    int found;
    while ((found = pst_directory_next(directory, &name)) > 0) {
        if (unlinkat(dirfd, name, 0) == 0)
            continue;
        if (errno != EISDIR && errno != EPERM)
            return -errno;
        if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
            continue;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return -errno;
        *child = open_directory(dirfd, name);
        return *child < 0 ? *child : DESCEND;
    }
    return found < 0 ? found : EMPTIED;
}

/* Empties one directory as far as it can. *next: where to go on, its parent or a child; -1:
 * nowhere. Takes fd. */
static int empty_one(int fd, bool has_parent, int *next)
{
    struct pst_directory directory;
    *next = -1;
    int result = fchmod(fd, 0700) != 0 && errno != EPERM ? -errno : 0;
    if (!result)
        result = pst_directory_open(&directory, fd, ".");
    close(fd);
    if (result)
        return result;
    result = empty_directory(&directory, next);
    if (result == EMPTIED && has_parent) {
        *next = openat(io_directory_fd(&directory), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = *next < 0 ? -errno : EMPTIED;
    }
    pst_directory_close(&directory);
    return result;
}

/* Descends with one descriptor at a time, however deep: back up is "..", and the directory just
 * emptied is then found and removed like any other. Takes fd. */
static int empty_tree(int fd)
{
    for (unsigned depth = 0;;) {
        int result = empty_one(fd, depth > 0, &fd);
        if (result < 0 || (result == EMPTIED && depth == 0))
            return result < 0 ? result : 0;
        depth = result == DESCEND ? depth + 1 : depth - 1;
    }
}

int pst_beneath_remove(int dirfd, const char *name)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    int fd = open_directory(dirfd, name);
    if (fd < 0)
        return fd;
    int error = empty_tree(fd);
    if (!error && unlinkat(dirfd, name, AT_REMOVEDIR) != 0)
        error = -errno;
    return error;
}
