/*
 * Opens, finds and removes what lies below a directory, and never leaves it. Blocking: for threads
 * of a restore, the archive and the command line.
 */
#include "io/beneath.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "io/directory.h"
#include "io/inode.h"

/* A rename elsewhere that races with a walk gives EAGAIN (openat2(2)), which a few more walks get
 * past; so does a lease that somebody has on the file (fcntl(2)), which lasts. */
#define WALKS_MAX 32u

static int open_beneath(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    const struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | resolve,
    };
    for (uint32_t walks = 0;;) {
        long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
        if (fd >= 0)
            return (int)fd;
        if (errno == EAGAIN)
            walks++;
        if (errno != EINTR && (errno != EAGAIN || walks == WALKS_MAX))
            return -errno;
    }
}

int pst_beneath_open(int dirfd, const char *path, int flags, mode_t mode)
{
    return open_beneath(dirfd, path, flags, mode, 0);
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

/* ---- removing a tree ---- */

/* A directory on the way from the top of the tree to where the walk is. */
struct removed_level {
    dev_t device;
    ino_t inode;
    char *names; /* of the directories in it, each with its terminator */
    size_t names_bytes;
    size_t next; /* where the name begins that comes next */
    size_t current;
};

struct walk {
    bool is_look;    /* nothing is removed */
    bool any_owner;  /* nobody but the caller could get into the tree */
    uid_t owners[2]; /* of what may be removed, otherwise */
    int fd;          /* the directory where the walk is */
    struct removed_level *levels;
    size_t depth;
    size_t room;
    const struct pst_beneath_kept *kept;
    uint32_t kept_count;
    char *why; /* PST_MESSAGE_BYTES: what stays, and why; "" at first */
};

/* Keeps why an entry of the current directory stays, and returns error. */
__attribute__((format(printf, 4, 5))) static int stay(struct walk *walk, int error,
                                                      const char *name, const char *format, ...)
{
    char link[32], path[PATH_MAX] = "", reason[128];
    va_list arguments;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", walk->fd);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    path[length > 0 ? length : 0] = '\0';
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    snprintf(walk->why, PST_MESSAGE_BYTES, "%.240s%s%.130s: %.130s", path, *name ? "/" : "", name,
             reason);
    return error;
}

static int check_owner(struct walk *walk, const char *name, uid_t uid)
{
    if (walk->any_owner || uid == walk->owners[0] || uid == walk->owners[1])
        return 0;
    return stay(walk, -EPERM, name, "belongs to user %u, and is not removed", (unsigned)uid);
}

static int check_kept(struct walk *walk, const char *name, const struct stat *status)
{
    for (uint32_t i = 0; i < walk->kept_count; i++)
        if (walk->kept[i].device == status->st_dev && walk->kept[i].inode == status->st_ino)
            return stay(walk, -EBUSY, name, "%s", walk->kept[i].reason);
    return 0;
}

/* O_PATH; a mount point is none of the tree's. */
static int open_entry(struct walk *walk, int dirfd, const char *name, int flags)
{
    int fd = open_beneath(dirfd, name, O_PATH | O_NOFOLLOW | flags, 0, RESOLVE_NO_XDEV);
    return fd == -EXDEV ? stay(walk, -EBUSY, name, "something is mounted there") : fd;
}

static int add_name(struct removed_level *level, const char *name)
{
    size_t bytes = strlen(name) + 1;
    char *names = realloc(level->names, level->names_bytes + bytes);
    if (!names)
        return -ENOMEM;
    memcpy(names + level->names_bytes, name, bytes);
    level->names = names;
    level->names_bytes += bytes;
    return 0;
}

/* What a look asks of an entry that is no directory: nothing is mounted on it. */
static int look_at(struct walk *walk, int dirfd, const char *name)
{
    int fd = open_entry(walk, dirfd, name, 0);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int take_entry(struct walk *walk, int dirfd, const char *name)
{
    struct stat status;
    if (fstatat(dirfd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(status.st_mode))
        return add_name(&walk->levels[walk->depth - 1], name);
    int error = check_owner(walk, name, status.st_uid);
    if (!error && walk->is_look)
        return look_at(walk, dirfd, name);
    if (!error && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        error = stay(walk, -errno, name, "could not be removed: %s", strerror(errno));
    return error;
}

/* Removes what is no directory from the one where the walk is, and notes the directories. */
static int take_entries(struct walk *walk)
{
    struct pst_directory directory;
    const char *name;
    int found;
    int error = pst_directory_open(&directory, walk->fd, ".");
    if (error)
        return stay(walk, error, "", "could not be read: %s", strerror(-error));
    while (!error && (found = pst_directory_next(&directory, &name)) != 0)
        error = found < 0 ? found : take_entry(walk, io_directory_fd(&directory), name);
    pst_directory_close(&directory);
    return error;
}

static int push(struct walk *walk, const struct stat *status)
{
    if (walk->depth == walk->room) {
        size_t room = walk->room ? 2 * walk->room : 16;
        struct removed_level *levels = realloc(walk->levels, room * sizeof(*levels));
        if (!levels)
            return -ENOMEM;
        walk->levels = levels;
        walk->room = room;
    }
    walk->levels[walk->depth++] =
        (struct removed_level){.device = status->st_dev, .inode = status->st_ino};
    return 0;
}

static bool is_at(const struct removed_level *level, const struct stat *status)
{
    return level->device == status->st_dev && level->inode == status->st_ino;
}

/* Goes into a directory below the one where the walk is, and empties it but for its directories.
 * That it has gone meanwhile is no error: -ENOENT. */
static int enter(struct walk *walk, const char *name)
{
    struct stat status;
    int fd = open_entry(walk, walk->fd, name, O_DIRECTORY);
    if (fd < 0)
        return fd;
    int error = fstat(fd, &status) < 0 ? -errno : check_owner(walk, name, status.st_uid);
    if (!error && status.st_dev != walk->levels[0].device)
        error = stay(walk, -EBUSY, name, "is on another file system");
    if (!error)
        error = check_kept(walk, name, &status);
    /* without root's rights it must be writable; where it cannot be made so, the next step fails */
    if (!error && !walk->is_look && (~status.st_mode & 0700))
        (void)!pst_inode_set_mode(fd, 0700);
    if (!error)
        error = push(walk, &status);
    if (error) {
        close(fd);
        return error;
    }
    close(walk->fd);
    walk->fd = fd;
    return take_entries(walk);
}

/* Goes up, but only to where the walk came from: a directory that was moved has another above it.
 */
static int leave(struct walk *walk)
{
    struct stat status;
    int fd = openat(walk->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    struct removed_level *above = &walk->levels[walk->depth - 2];
    if (!error && !is_at(above, &status))
        error = stay(walk, -ESTALE, "", "was moved while the tree that held it was being removed");
    if (error) {
        close(fd);
        return error;
    }
    close(walk->fd);
    walk->fd = fd;
    free(walk->levels[--walk->depth].names);
    const char *name = above->names + above->current;
    if (!walk->is_look && unlinkat(fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return stay(walk, -errno, name, "could not be removed: %s", strerror(errno));
    return 0;
}

/* Where the walk is at the top of a tree: all that is in it, with one descriptor at a time however
 * deep it is. */
static int walk_tree(struct walk *walk)
{
    int error = take_entries(walk);
    while (!error) {
        struct removed_level *level = &walk->levels[walk->depth - 1];
        if (level->next < level->names_bytes) {
            level->current = level->next;
            level->next += strlen(level->names + level->current) + 1;
            error = enter(walk, level->names + level->current);
            error = error == -ENOENT ? 0 : error;
        } else if (walk->depth > 1) {
            error = leave(walk);
        } else {
            break;
        }
    }
    return error;
}

/* Opens the top of the tree and decides who owns what may be removed. */
static int enter_top(struct walk *walk, int dirfd, const char *name, enum pst_beneath_tree tree)
{
    struct stat status;
    walk->fd = dirfd; /* for the path in a message */
    int fd = open_entry(walk, dirfd, name, O_DIRECTORY);
    if (fd < 0)
        return fd;
    int error = fstat(fd, &status) < 0 ? -errno : 0;
    walk->any_owner = tree == PST_BENEATH_PRIVATE;
    walk->owners[0] = status.st_uid;
    walk->owners[1] = geteuid();
    if (!error && walk->any_owner && (status.st_uid != walk->owners[1] || (status.st_mode & 077)))
        error = stay(walk, -EPERM, name, "is not a directory that only this user can enter");
    if (!error)
        error = check_kept(walk, name, &status);
    if (!error && !walk->is_look && (~status.st_mode & 0700))
        (void)!pst_inode_set_mode(fd, 0700);
    if (!error)
        error = push(walk, &status);
    if (error)
        close(fd);
    else
        walk->fd = fd;
    return error;
}

static int walk_from(struct walk *walk, int dirfd, const char *name, enum pst_beneath_tree tree)
{
    int error = enter_top(walk, dirfd, name, tree);
    if (error)
        return error;
    error = walk_tree(walk);
    close(walk->fd);
    while (walk->depth > 0)
        free(walk->levels[--walk->depth].names);
    free(walk->levels);
    return error;
}

int pst_beneath_remove(int dirfd, const char *name, enum pst_beneath_tree tree)
{
    char why[PST_MESSAGE_BYTES] = "";
    if (tree != PST_BENEATH_PRIVATE) {
        if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
            return 0;
        if (errno != EISDIR && errno != EPERM)
            return -errno;
    }
    struct walk walk = {.why = why};
    int first_error = -errno;
    int error = walk_from(&walk, dirfd, name, tree);
    if (error == -ENOTDIR && tree != PST_BENEATH_PRIVATE)
        error = first_error; /* a file that may not be removed */
    if (!error && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        error = -errno;
    if (why[0])
        pst_log(PST_LOG_WARNING, "%s", why);
    return error == -ENOENT ? 0 : error;
}

int pst_beneath_check_remove(int dirfd, const char *name, enum pst_beneath_tree tree,
                             const struct pst_beneath_kept *kept, uint32_t kept_count, char *why)
{
    struct walk walk = {.is_look = true, .kept = kept, .kept_count = kept_count, .why = why};
    why[0] = '\0';
    int error = walk_from(&walk, dirfd, name, tree);
    if (error == -ENOTDIR || error == -ELOOP)
        error = look_at(&walk, dirfd, name);
    return error == -ENOENT ? 0 : error;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int pst_beneath_check_place(int root_fd, int dirfd, const struct pst_beneath_kept *kept,
                            uint32_t kept_count, char *why)
{
    struct walk walk = {.kept = kept, .kept_count = kept_count, .why = why};
    struct stat root, status, below = {0};
    why[0] = '\0';
    int error = fstat(root_fd, &root) < 0 ? -errno : 0;
    for (walk.fd = dirfd; !error; below = status) {
        error = fstat(walk.fd, &status) < 0 ? -errno : check_kept(&walk, "", &status);
        if (error || is_same(&status, &root) || is_same(&status, &below)) /* the latter: "/" */
            break;
        int fd = openat(walk.fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        error = fd < 0 ? -errno : 0;
        if (walk.fd != dirfd)
            close(walk.fd);
        walk.fd = fd;
    }
    if (walk.fd != dirfd && walk.fd >= 0)
        close(walk.fd);
    return error;
}
