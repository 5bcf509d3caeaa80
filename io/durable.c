/*
 * Writes, renames and removes small files so that a crash leaves them whole. Blocking: for the
 * archive thread and for a restore.
 */
#include "io/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fault.h"

#define DIRECT_BYTES 4096u

/* 0, or the error with which the system call that is due now shall fail instead. */
static int injected_error(const struct pst_durable_context *context)
{
    struct pst_io_fault *fault = context ? context->fault : NULL;
    if (!fault || ++fault->seen != fault->at || fault->kind != PST_IO_FAULT_ERROR)
        return 0;
    fault->hits++;
    return -fault->error;
}

static size_t injected_short(const struct pst_durable_context *context, size_t bytes)
{
    struct pst_io_fault *fault = context ? context->fault : NULL;
    if (!fault || fault->seen != fault->at || fault->kind != PST_IO_FAULT_SHORT ||
        bytes <= fault->short_bytes)
        return bytes;
    fault->hits++;
    return fault->short_bytes;
}

static ssize_t outcome(ssize_t returned)
{
    return returned < 0 ? -errno : returned;
}

static void note_failure(struct pst_durable_context *context, const char *step, ssize_t result)
{
    if (context && result < 0)
        context->failed_step = step;
}

/* What the system call returns, or -errno; made again when interrupted. */
#define CALL(context, step, call)                                                                  \
    ({                                                                                             \
        ssize_t result_;                                                                           \
        do {                                                                                       \
            result_ = injected_error(context);                                                     \
            if (result_ == 0)                                                                      \
                result_ = outcome(call);                                                           \
        } while (result_ == -EINTR);                                                               \
        note_failure(context, step, result_);                                                      \
        result_;                                                                                   \
    })

static int write_all(int fd, const char *data, size_t bytes, uint64_t offset,
                     struct pst_durable_context *context)
{
    size_t written = 0;
    while (written < bytes) {
        ssize_t result = CALL(context, "write",
                              pwrite(fd, data + written, injected_short(context, bytes - written),
                                     (off_t)(offset + written)));
        if (result < 0)
            return (int)result;
        if (result == 0) {
            note_failure(context, "write", -EIO);
            return -EIO;
        }
        written += (size_t)result;
    }
    return 0;
}

/* The descriptor is gone whatever close(2) returns, so an interrupted one is not repeated. */
static int close_file(int fd, struct pst_durable_context *context)
{
    int error = injected_error(context);
    if (close(fd) != 0 && !error)
        error = -errno;
    if (error == -EINTR)
        error = 0;
    note_failure(context, "close", error);
    return error;
}

/* Closes it in any case. */
static int fill_file(int fd, const void *data, size_t bytes, uint64_t offset,
                     struct pst_durable_context *context)
{
    int error = write_all(fd, data, bytes, offset, context);
    if (!error)
        error = (int)CALL(context, "fsync", fsync(fd));
    if (error) {
        (void)close(fd); /* nobody uses it */
        return error;
    }
    return close_file(fd, context);
}

void pst_give_to_owner(int dirfd, int fd)
{
    struct stat directory;
    if (geteuid() == 0 && fstat(dirfd, &directory) == 0 && directory.st_uid != 0)
        (void)!fchown(fd, directory.st_uid, directory.st_gid); /* a root that may not: as it is */
}

static int create(int dirfd, const char *name, mode_t mode, bool is_the_owners, const void *data,
                  size_t bytes, struct pst_durable_context *context)
{
    int flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
    int fd = (int)CALL(context, "create", openat(dirfd, name, flags, mode));
    if (fd < 0)
        return fd;
    if (is_the_owners)
        pst_give_to_owner(dirfd, fd);
    int error = fill_file(fd, data, bytes, 0, context);
    if (error)
        (void)unlinkat(dirfd, name, 0);
    return error;
}

int pst_step_create(int dirfd, const char *name, const void *data, size_t bytes,
                    struct pst_durable_context *context)
{
    return create(dirfd, name, 0600, true, data, bytes, context);
}

int pst_step_end_file(int dirfd, const char *name, uint64_t offset, const void *data, size_t bytes,
                      struct pst_durable_context *context)
{
    int flags = O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = (int)CALL(context, "open", openat(dirfd, name, flags, 0600));
    if (fd < 0)
        return fd;
    int error = (int)CALL(context, "truncate", ftruncate(fd, (off_t)offset));
    if (!error)
        return fill_file(fd, data, bytes, offset, context);
    (void)close(fd);
    return error;
}

int pst_durable_create(const char *path, mode_t mode, const void *data, size_t bytes)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder)
        return -ENOMEM;
    int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = dirfd < 0 ? -errno : create(dirfd, name, mode, false, data, bytes, NULL);
    if (!error)
        error = pst_durable_sync_dir(dirfd, NULL);
    if (dirfd >= 0)
        close(dirfd);
    free(folder);
    return error;
}

int pst_step_mkdir(int dirfd, const char *name, mode_t mode, struct pst_durable_context *context)
{
    return (int)CALL(context, "mkdir", mkdirat(dirfd, name, mode));
}

/* NFS and others have no RENAME_NOREPLACE; link(2) never replaces, but it makes no second name of a
 * directory. */
static int rename_no_replace(int dirfd, const char *from, const char *to)
{
    int result = renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE);
    if (result == 0 || errno != EINVAL)
        return result;
    result = linkat(dirfd, from, dirfd, to, 0);
    if (result == 0)
        (void)unlinkat(dirfd, from, 0);
    else if (errno == EPERM)
        errno = EINVAL;
    return result;
}

int pst_step_rename(int dirfd, const char *from, const char *to, bool replace,
                    struct pst_durable_context *context)
{
    if (replace)
        return (int)CALL(context, "rename", renameat(dirfd, from, dirfd, to));
    return (int)CALL(context, "rename", rename_no_replace(dirfd, from, to));
}

int pst_durable_write(int dirfd, const char *name, const void *data, size_t bytes, bool replace,
                      struct pst_durable_context *context)
{
    char temporary[NAME_MAX + 1];
    if (snprintf(temporary, sizeof(temporary), ".%s.tmp", name) >= (int)sizeof(temporary)) {
        note_failure(context, "create", -ENAMETOOLONG);
        return -ENAMETOOLONG;
    }
    (void)unlinkat(dirfd, temporary, 0); /* left by a crash: only one thread writes a name */
    int error = pst_step_create(dirfd, temporary, data, bytes, context);
    if (error)
        return error;
    error = pst_step_rename(dirfd, temporary, name, replace, context);
    if (error) {
        (void)unlinkat(dirfd, temporary, 0);
        return error;
    }
    error = pst_durable_sync_dir(dirfd, context);
    if (error && !replace)
        (void)unlinkat(dirfd, name, 0);
    return error;
}

int pst_durable_rename(int old_dirfd, const char *old_name, int new_dirfd, const char *new_name,
                       unsigned flags, struct pst_durable_context *context)
{
    int error =
        (int)CALL(context, "rename", renameat2(old_dirfd, old_name, new_dirfd, new_name, flags));
    if (!error)
        error = pst_durable_sync_dir(new_dirfd, context);
    if (!error && old_dirfd != new_dirfd)
        error = pst_durable_sync_dir(old_dirfd, context);
    return error;
}

int pst_durable_unlink(int dirfd, const char *name, int flags, struct pst_durable_context *context)
{
    int error = (int)CALL(context, "unlink", unlinkat(dirfd, name, flags));
    return error ? error : pst_durable_sync_dir(dirfd, context);
}

int pst_durable_sync_dir(int dirfd, struct pst_durable_context *context)
{
    int error = (int)CALL(context, "fsync of the directory", fsync(dirfd));
    return error == -EINVAL ? 0 : error;
}

/* Reads what is on the disk from now on. O_DIRECT where the file takes it; else it was synced, so
 * that no page of it is dirty, and all can be dropped. */
static void pass_over_cache(int fd, bool direct)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0 &&
        direct)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* room: of bytes, size or more. */
static int read_all(int fd, char *bytes, size_t room, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, bytes + done, room - done);
        if (got < 0 && errno == EINVAL && fcntl(fd, F_GETFL) & O_DIRECT) {
            pass_over_cache(fd, false); /* it was taken, and is refused here */
            continue;
        }
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -PST_E_CHANGED;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int size_of(int fd, size_t bytes_max, size_t *size)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    if ((uint64_t)status.st_size > bytes_max)
        return -EFBIG;
    *size = (size_t)status.st_size;
    return 0;
}

static int read_file(int dirfd, const char *name, size_t bytes_max, bool is_stored, char **bytes,
                     size_t *size)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = size_of(fd, bytes_max, size);
    if (error)
        goto err_after_open;
    size_t room = (*size / DIRECT_BYTES + 1) * DIRECT_BYTES; /* O_DIRECT needs whole blocks */
    *bytes = aligned_alloc(DIRECT_BYTES, room);
    if (!*bytes) {
        error = -ENOMEM;
        goto err_after_open;
    }
    if (is_stored)
        pass_over_cache(fd, true);
    error = read_all(fd, *bytes, room, *size);
    if (error)
        free(*bytes);
err_after_open:
    close(fd);
    return error;
}

int pst_small_file_read(int dirfd, const char *name, size_t bytes_max, char **bytes, size_t *size)
{
    return read_file(dirfd, name, bytes_max, false, bytes, size);
}

int pst_small_file_read_stored(int dirfd, const char *name, size_t bytes_max, char **bytes,
                               size_t *size)
{
    return read_file(dirfd, name, bytes_max, true, bytes, size);
}
