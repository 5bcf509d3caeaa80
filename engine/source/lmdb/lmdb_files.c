/*
 * Opens an environment for its guard by a directory of links of our own, each of which leads to a
 * descriptor that was checked. Called by lmdb_environment.c, in the guard's process.
 */
#include "engine/source/lmdb/lmdb_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/source/lmdb/lmdb_identity.h"

/* Where a directory of links may be made: the first that lets us. */
static const char *const places[] = {"/tmp", "/dev/shm", "/run"};

struct files {
    int directory; /* of the environment */
    int data;      /* O_PATH, like the lock file: closing one drops no lock of LMDB's */
    int lock;
    char data_name[NAME_MAX + 1];
    char lock_name[NAME_MAX + 1];
    struct stat data_status;
    char *text; /* LMDB_TEXT_BYTES, for people */
};

static int say(const struct files *files, int error, const char *text)
{
    snprintf(files->text, LMDB_TEXT_BYTES, "%s", text);
    return error;
}

/* The environment's path has no symlink, or had none when the source was opened. */
static int open_directory(const struct lmdb_guard *guard, struct files *files)
{
    const struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                 .resolve = RESOLVE_NO_SYMLINKS};
    char path[PATH_MAX];
    const char *name = "data.mdb", *lock = "lock.mdb";
    int length = snprintf(path, sizeof(path), "%s", guard->path);
    if (length < 0 || (size_t)length >= sizeof(path))
        return -ENAMETOOLONG;
    if (guard->is_file) {
        char *slash = strrchr(path, '/');
        name = guard->path + (slash + 1 - path);
        lock = name;
        slash[slash == path] = '\0';
    }
    snprintf(files->data_name, sizeof(files->data_name), "%s", name);
    length = snprintf(files->lock_name, sizeof(files->lock_name), "%s%s", lock,
                      guard->is_file ? "-lock" : "");
    if ((size_t)length >= sizeof(files->lock_name))
        return -ENAMETOOLONG;
    files->directory = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
    return files->directory < 0 ? -errno : 0;
}

/* The one that the checks below are of: nothing that happens to the name matters any more. */
static int open_checked(const struct files *files, const char *name, struct stat *status)
{
    int fd = openat(files->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, status) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* A lock file that the owner's own program could have made, and not a name of something else. */
static bool is_own_lock_file(const struct files *files, const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_nlink == 1 &&
           (status->st_uid == files->data_status.st_uid || status->st_uid == geteuid());
}

/* As the data file is, or the environment's users could not open it. */
static int make_lock_file(const struct files *files)
{
    if (files->data_status.st_uid != geteuid())
        return say(files, -EPERM,
                   "has no lock file, and only its owner may make one that its other "
                   "users can open: open it once as its owner");
    int fd = openat(files->directory, files->lock_name,
                    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno; /* its user was quicker */
    /* Another group than one of ours cannot be given: then the mode must do. */
    int error = fchown(fd, (uid_t)-1, files->data_status.st_gid) < 0 && errno != EPERM ? -errno : 0;
    if (!error && fchmod(fd, files->data_status.st_mode & 0666) < 0)
        error = -errno;
    if (error)
        (void)unlinkat(files->directory, files->lock_name, 0); /* none is better than one of ours */
    close(fd);
    return error;
}

static int open_lock(struct files *files)
{
    struct stat status;
    files->lock = open_checked(files, files->lock_name, &status);
    if (files->lock == -ENOENT) {
        int error = make_lock_file(files);
        if (error)
            return error;
        files->lock = open_checked(files, files->lock_name, &status);
    }
    if (files->lock < 0)
        return files->lock;
    return is_own_lock_file(files, &status)
               ? 0
               : say(files, -EPERM,
                     "its lock file is no plain file of its owner's: a link, or a file "
                     "with another owner or name");
}

static int open_data(struct files *files)
{
    files->data = open_checked(files, files->data_name, &files->data_status);
    if (files->data < 0)
        return files->data;
    return S_ISREG(files->data_status.st_mode)
               ? 0
               : say(files, -ELOOP, "its data file is no plain file, or a link");
}

/* So that the source notices when the name comes to stand for another file. */
static int note_lock(const struct files *files, struct lmdb_shared *shared)
{
    struct stat status;
    if (fstat(files->lock, &status) < 0)
        return -errno;
    shared->inodes.lock_device = status.st_dev;
    shared->inodes.lock_inode = status.st_ino;
    return 0;
}

static int make_link(int directory, const char *name, int fd)
{
    char target[40];
    snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
    return symlinkat(target, directory, name) < 0 ? -errno : 0;
}

static int make_place(char path[PATH_MAX])
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, PATH_MAX, "%s/penstock-guard.XXXXXX", places[i]);
        if (mkdtemp(path))
            return 0;
    }
    return -errno;
}

static int open_by_links(MDB_env *env, const struct files *files, int *rc)
{
    char path[PATH_MAX];
    int error = make_place(path);
    if (error)
        return say(files, error, "no directory can be made in /tmp, /dev/shm or /run");
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    error = directory < 0 ? -errno : make_link(directory, "data.mdb", files->data);
    if (!error)
        error = make_link(directory, "lock.mdb", files->lock);
    if (!error)
        *rc = mdb_env_open(env, path, MDB_NOTLS, 0600);
    if (directory >= 0) {
        unlinkat(directory, "data.mdb", 0);
        unlinkat(directory, "lock.mdb", 0);
        close(directory);
    }
    rmdir(path);
    return error;
}

int lmdb_files_open(const struct lmdb_guard *guard, MDB_env *env, char *text, int *rc)
{
    struct files files = {.directory = -1, .data = -1, .lock = -1, .text = text};
    int error = open_directory(guard, &files); /* the owner may not be able to reach it by path */
    if (!error) {
        error = lmdb_identity_take(&guard->owner);
        if (error)
            say(&files, error,
                "the identity of its owner cannot be taken: CAP_SETUID and CAP_SETGID "
                "are needed");
    }
    if (!error)
        error = open_data(&files);
    if (!error)
        error = open_lock(&files);
    if (!error)
        error = note_lock(&files, guard->shared);
    if (!error)
        error = open_by_links(env, &files, rc);
    if (files.lock >= 0)
        close(files.lock);
    if (files.data >= 0)
        close(files.data);
    if (files.directory >= 0)
        close(files.directory);
    return error;
}
