/*
 * The directory that is restored into: made beside the target and renamed, or marked and filled in
 * place. Called by restore.c on its thread.
 */
#include "engine/restore/target.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/repository/reader.h"
#include "io/beneath.h"
#include "io/directory.h"
#include "io/durable.h"
#include "io/inode.h"

static int fail(struct target *target, const char *step, int error)
{
    target->step = step;
    return error;
}

/* Splits an absolute path without symlinks into parent and name. */
static int split(struct target *target, const char *path)
{
    char copy[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    memcpy(copy, path, length);
    copy[length] = '\0';
    const char *name = slash + 1;
    if (strlen(name) > NAME_MAX)
        return -ENAMETOOLONG;
    snprintf(target->name, sizeof(target->name), "%s", name);
    target->parent_fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return target->parent_fd < 0 ? -errno : 0;
}

/* Parent and name of a path whose last component may not exist. */
static int resolve(struct target *target, const char *path)
{
    char resolved[PATH_MAX], parent[PATH_MAX], last[PATH_MAX], whole[2 * PATH_MAX];
    if (strlen(path) >= PATH_MAX)
        return -ENAMETOOLONG;
    if (realpath(path, resolved) != NULL)
        return split(target, resolved);
    if (errno != ENOENT)
        return -errno;
    strcpy(parent, path);
    strcpy(last, path);
    if (realpath(dirname(parent), resolved) == NULL)
        return -errno;
    const char *name = basename(last);
    if (strcmp(name, "..") == 0 || strcmp(name, ".") == 0)
        return -ENOENT;
    snprintf(whole, sizeof(whole), "%s/%s", strcmp(resolved, "/") ? resolved : "", name);
    return strlen(whole) < PATH_MAX ? split(target, whole) : -ENAMETOOLONG;
}

/* 1, 0 or -errno. */
static int is_empty(int root_fd)
{
    struct pst_directory directory;
    const char *name;
    int error = pst_directory_open(&directory, root_fd, ".");
    if (error)
        return error;
    int found = pst_directory_next(&directory, &name);
    pst_directory_close(&directory);
    return found < 0 ? found : found == 0;
}

/* Those that a directory hands down to what is made in it. */
static unsigned flags_of(int fd)
{
    unsigned flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return 0;
    return flags & (FS_ENCRYPT_FL | FS_CASEFOLD_FL | FS_NOCOW_FL | FS_COMPR_FL | FS_NOCOMP_FL |
                    FS_DAX_FL | FS_PROJINHERIT_FL | FS_SYNC_FL | FS_DIRSYNC_FL);
}

/* Whether no directory that is made beside it can take its place: it is a mount point or a
 * subvolume, or has flags that another would not have. */
static bool is_irreplaceable(const struct target *target)
{
    struct statx status, parent;
    if (target->name[0] == '\0')
        return true; /* "/" */
    if (statx(target->root_fd, "", AT_EMPTY_PATH, 0, &status) != 0 ||
        statx(target->parent_fd, "", AT_EMPTY_PATH, 0, &parent) != 0)
        return false;
    return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 ||
           status.stx_dev_major != parent.stx_dev_major ||
           status.stx_dev_minor != parent.stx_dev_minor ||
           (flags_of(target->root_fd) & ~flags_of(target->parent_fd)) != 0;
}

/* Whether an earlier restore of the same backup was cut off here. */
static bool has_own_marker(const struct target *target)
{
    char *bytes;
    size_t size;
    if (pst_small_file_read(target->root_fd, PST_RESTORE_MARKER, sizeof(target->marker), &bytes,
                            &size) != 0)
        return false;
    bool own = size == strlen(target->marker) && memcmp(bytes, target->marker, size) == 0;
    free(bytes);
    return own;
}

int target_begin(struct target *target)
{
    if (!target->in_place)
        return 0;
    if (flock(target->root_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        return fail(target, "another restore into the target is under way", -EBUSY);
    int error = pst_durable_write(target->root_fd, PST_RESTORE_MARKER, target->marker,
                                  strlen(target->marker), true, NULL);
    return error ? fail(target, "the marker file in the target could not be written", error) : 0;
}

/* Looks at a target that exists: either it is marked, or it is empty and a sibling will do. */
static int open_existing(struct target *target, bool force)
{
    target->root_fd = openat(target->parent_fd, target->name[0] ? target->name : ".",
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target->root_fd < 0)
        return fail(target, "the target is not a directory that can be opened", -errno);
    int empty = is_empty(target->root_fd);
    int error = empty < 0 ? fail(target, "the target could not be read", empty) : 0;
    if (!error && !empty && !force && !has_own_marker(target))
        error = fail(target, "the target is not empty: name another", -ENOTEMPTY);
    target->in_place = !empty || is_irreplaceable(target);
    if (error)
        close(target->root_fd);
    return error;
}

/* Nothing may be made beside the target: then it is filled in place, if it is there. */
static bool must_be_in_place(const struct target *target, int error)
{
    return target->exists && (error == -EACCES || error == -EPERM || error == -EROFS);
}

static bool is_locked(const struct target *target)
{
    int fd = openat(target->parent_fd, target->temporary,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool locked = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

/* What was left has the owner and mode of the backup's already, by which it cannot be told from
 * somebody else's: a restore that was killed just before it gave the target its name. */
static int refuse_leftover(struct target *target, int error)
{
    if (error != -EPERM)
        return fail(target, "what an earlier restore left could not be removed", error);
    snprintf(target->advice, sizeof(target->advice),
             "%s beside it may be left from a restore of this backup that was killed when all was "
             "in it, or be somebody else's: look at it, then rename it to %s, or remove it",
             target->temporary, target->name);
    return fail(target, target->advice, error);
}

static int open_sibling(struct target *target)
{
    int length = snprintf(target->temporary, sizeof(target->temporary), ".%.*s.penstock-%.16s",
                          (int)(NAME_MAX - 32), target->name, target->marker);
    if (length < 0 || (size_t)length >= sizeof(target->temporary))
        return fail(target, "the target's name is too long", -ENAMETOOLONG);
    /* a killed restore of the same backup left it: its name has the uid, and while one lives the
     * directory is locked */
    if (is_locked(target))
        return fail(target, "another restore of this backup into it is under way", -EBUSY);
    int error = pst_beneath_remove(target->parent_fd, target->temporary, PST_BENEATH_PRIVATE);
    if (error)
        return refuse_leftover(target, error);
    if (mkdirat(target->parent_fd, target->temporary, 0700) != 0) {
        error = fail(target, "a directory beside the target could not be made", -errno);
        target->in_place = must_be_in_place(target, error);
        return target->in_place ? 0 : error;
    }
    int fd = openat(target->parent_fd, target->temporary,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        error = fail(target, "a directory beside the target could not be opened", -errno);
        unlinkat(target->parent_fd, target->temporary, AT_REMOVEDIR);
        return error;
    }
    if (target->root_fd >= 0)
        close(target->root_fd);
    target->root_fd = fd;
    (void)!flock(fd, LOCK_EX | LOCK_NB); /* on a file system without locks, go without */
    /* by an ACL of the directory above, users would get into what is restored; none: an error */
    (void)!pst_inode_drop_acls(fd);
    return 0;
}

int target_open(struct target *target, const char *path, const uint8_t uid[PST_UID_BYTES],
                bool force)
{
    *target = (struct target){.root_fd = -1, .parent_fd = -1, .step = ""};
    pst_hex_encode(uid, PST_UID_BYTES, target->marker);
    strcat(target->marker, "\n");
    int error = resolve(target, path);
    if (error)
        return fail(target, "the directory that is to hold the target cannot be opened", error);
    struct stat status;
    target->exists = fstatat(target->parent_fd, target->name[0] ? target->name : ".", &status,
                             AT_SYMLINK_NOFOLLOW) == 0;
    if (target->exists)
        error = open_existing(target, force);
    if (!error && !target->in_place) {
        error = open_sibling(target);
        if (error && target->root_fd >= 0)
            close(target->root_fd);
    }
    if (error)
        close(target->parent_fd);
    return error;
}

/* The directory has its owner, mode and time. Who is not root may need another mode to remove the
 * marker, and its removal touches the directory: both are put back. */
static int remove_marker(struct target *target)
{
    struct stat status;
    if (fstat(target->root_fd, &status) != 0)
        return -errno;
    mode_t mode = status.st_mode & 07777;
    bool is_opened = (~mode & 0300) && pst_inode_set_mode(target->root_fd, mode | 0300) == 0;
    int error = pst_durable_unlink(target->root_fd, PST_RESTORE_MARKER, 0, NULL);
    int closed = is_opened ? pst_inode_set_mode(target->root_fd, mode) : 0;
    if (!error)
        error = closed;
    if (!error)
        error = pst_inode_set_mtime(target->root_fd, &status.st_mtim);
    return error ? error : pst_durable_sync_dir(target->root_fd, NULL);
}

struct target_mount {
    uint64_t id;
    int fd; /* of one of its directories: syncfs(2) tells of errors since it was opened */
};

static int add_mount(struct target *target, int dirfd, uint64_t id)
{
    struct target_mount *mounts =
        realloc(target->mounts, (target->mounts_count + 1) * sizeof(*mounts));
    if (!mounts)
        return -ENOMEM;
    target->mounts = mounts;
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    mounts[target->mounts_count++] = (struct target_mount){id, fd};
    return 0;
}

int target_note_mount(struct target *target, int dirfd)
{
    struct statx root, status;
    if (statx(target->root_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &root) != 0 ||
        statx(dirfd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) != 0)
        return -errno;
    bool is_known = status.stx_mnt_id == root.stx_mnt_id;
    for (uint32_t i = 0; !is_known && i < target->mounts_count; i++)
        is_known = target->mounts[i].id == status.stx_mnt_id;
    return is_known ? 0 : add_mount(target, dirfd, status.stx_mnt_id);
}

int target_settle(struct target *target)
{
    int error = syncfs(target->root_fd) != 0 ? -errno : 0;
    for (uint32_t i = 0; i < target->mounts_count; i++) {
        if (syncfs(target->mounts[i].fd) != 0 && !error)
            error = -errno;
    }
    return error ? fail(target, "the target's file system could not be synced", error) : 0;
}

int target_commit(struct target *target)
{
    if (fsync(target->root_fd) != 0)
        return fail(target, "the target could not be synced", -errno);
    if (target->in_place) {
        int error = remove_marker(target);
        return error ? fail(target, "the marker file could not be removed", error) : 0;
    }
    int error = pst_durable_rename(target->parent_fd, target->temporary, target->parent_fd,
                                   target->name, target->exists ? 0 : RENAME_NOREPLACE, NULL);
    return error ? fail(target, "the restored directory could not be given its name", error) : 0;
}

/* The directory may have its final owner and mode already; it must be private to be removed. */
int target_abandon(struct target *target)
{
    if (!target->in_place) {
        (void)!pst_inode_set_owner(target->root_fd, geteuid(), (gid_t)-1);
        (void)!pst_inode_set_mode(target->root_fd, 0700);
    }
    return target->in_place
               ? 0
               : pst_beneath_remove(target->parent_fd, target->temporary, PST_BENEATH_PRIVATE);
}

void target_close(struct target *target)
{
    for (uint32_t i = 0; i < target->mounts_count; i++)
        close(target->mounts[i].fd);
    free(target->mounts);
    (void)flock(target->root_fd, LOCK_UN); /* a child of the process may have it open, too */
    close(target->root_fd);
    close(target->parent_fd);
}
