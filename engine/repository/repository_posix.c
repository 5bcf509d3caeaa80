/* A directory of a file system behind struct pst_repository_ops. The thread that uses the
 * repository: a node's archive, or a reader of backups. */
#include "engine/repository/repository_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "io/beneath.h"
#include "io/directory.h"
#include "io/durable.h"

static int fail(struct pst_repository *repository, const char *step, int error)
{
    repository->failed_step = step;
    return error;
}

/* The result of a step of io/durable.h, which names the system call that failed. */
static int outcome(struct pst_repository *repository, const struct pst_durable_context *context,
                   int error)
{
    return error ? fail(repository, context->failed_step, error) : 0;
}

static int posix_open(struct pst_repository *repository, int directory, const char *path)
{
    int fd = pst_beneath_open(directory, path, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? fail(repository, "open", fd) : fd;
}

static void posix_close(struct pst_repository *repository, int directory)
{
    (void)repository;
    (void)flock(directory, LOCK_UN); /* a child that the process has forked may have it open, too */
    close(directory);
}

static int posix_list(struct pst_repository *repository, int directory,
                      struct pst_repository_names *names)
{
    struct pst_directory stream;
    const char *name;
    int found;
    *names = (struct pst_repository_names){0};
    int error = pst_directory_open(&stream, directory, ".");
    if (error)
        return fail(repository, "read the directory", error);
    while (!error && (found = pst_directory_next(&stream, &name)) != 0)
        error = found < 0 ? found : repository_names_add(names, name);
    pst_directory_close(&stream);
    if (!error)
        return 0;
    repository_names_free(names);
    return fail(repository, "read the directory", error);
}

static uint64_t ns_of(struct statx_timestamp time)
{
    return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int posix_status(struct pst_repository *repository, int directory, const char *path,
                        struct pst_repository_status *status)
{
    struct statx found;
    int fd = path ? pst_beneath_open(directory, path, O_PATH | O_NOFOLLOW, 0) : directory;
    if (fd < 0)
        return fail(repository, "stat", fd);
    unsigned wanted = STATX_BASIC_STATS | STATX_BTIME;
    int error = statx(fd, "", AT_EMPTY_PATH, wanted, &found) < 0 ? -errno : 0;
    if (path)
        close(fd);
    if (error)
        return fail(repository, "stat", error);
    *status = (struct pst_repository_status){
        .kind = S_ISREG(found.stx_mode)   ? PST_REPOSITORY_FILE
                : S_ISDIR(found.stx_mode) ? PST_REPOSITORY_DIRECTORY
                                          : PST_REPOSITORY_OTHER,
        .bytes = found.stx_size,
        .device = makedev(found.stx_dev_major, found.stx_dev_minor),
        .inode = found.stx_ino,
        .changed_ns = ns_of(found.stx_ctime),
        .made_ns = found.stx_mask & STATX_BTIME ? ns_of(found.stx_btime) : 0,
    };
    return 0;
}

static int posix_read_head(struct pst_repository *repository, int directory, const char *name,
                           void *bytes, size_t bytes_max)
{
    /* O_NONBLOCK: a FIFO in the place of a file must not hang us */
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail(repository, "open", -errno);
    ssize_t got = pread(fd, bytes, bytes_max, 0);
    int error = got < 0 ? -errno : 0;
    close(fd);
    return error ? fail(repository, "read", error) : (int)got;
}

static int posix_read(struct pst_repository *repository, int directory, const char *name,
                      size_t bytes_max, char **bytes, size_t *size)
{
    int error = pst_small_file_read(directory, name, bytes_max, bytes, size);
    return error ? fail(repository, "read", error) : 0;
}

static int posix_read_stored(struct pst_repository *repository, int directory, const char *name,
                             size_t bytes_max, char **bytes, size_t *size)
{
    int error = pst_small_file_read_stored(directory, name, bytes_max, bytes, size);
    return error ? fail(repository, "read back", error) : 0;
}

static int posix_create(struct pst_repository *repository, int directory, const char *name,
                        const void *data, size_t bytes)
{
    struct pst_durable_context context = {.fault = repository->context};
    int error = pst_step_create(directory, name, data, bytes, &context);
    return outcome(repository, &context, error);
}

static int posix_overwrite(struct pst_repository *repository, int directory, const char *name,
                           const void *data, size_t bytes)
{
    int flags = O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(directory, name, flags | O_CREAT | O_EXCL, 0600);
    if (fd >= 0)
        pst_give_to_owner(directory, fd);
    else if (errno == EEXIST)
        fd = openat(directory, name, flags);
    if (fd < 0)
        return fail(repository, "create", -errno);
    ssize_t written = write(fd, data, bytes);
    int error = written < 0 ? -errno : (size_t)written < bytes ? -ENOSPC : 0;
    if (close(fd) < 0 && !error)
        error = -errno;
    return error ? fail(repository, "write", error) : 0;
}

static int posix_end_file(struct pst_repository *repository, int directory, const char *name,
                          uint64_t offset, const void *data, size_t bytes)
{
    struct pst_durable_context context = {.fault = repository->context};
    int error = pst_step_end_file(directory, name, offset, data, bytes, &context);
    return outcome(repository, &context, error);
}

static int posix_make_directory(struct pst_repository *repository, int directory, const char *name)
{
    struct pst_durable_context context = {.fault = repository->context};
    int error = pst_step_mkdir(directory, name, 0700, &context);
    return outcome(repository, &context, error);
}

static int posix_rename(struct pst_repository *repository, int directory, const char *from,
                        const char *to, bool replace)
{
    struct pst_durable_context context = {.fault = repository->context};
    int error = pst_step_rename(directory, from, to, replace, &context);
    return outcome(repository, &context, error);
}

static int posix_remove(struct pst_repository *repository, int directory, const char *name)
{
    return unlinkat(directory, name, 0) < 0 ? fail(repository, "unlink", -errno) : 0;
}

static int posix_remove_directory(struct pst_repository *repository, int directory,
                                  const char *name)
{
    return unlinkat(directory, name, AT_REMOVEDIR) < 0 ? fail(repository, "rmdir", -errno) : 0;
}

static int posix_remove_tree(struct pst_repository *repository, int directory, const char *name)
{
    int error = pst_beneath_remove(directory, name, PST_BENEATH_SAME_OWNER);
    return error ? fail(repository, "remove", error) : 0;
}

static int posix_sync(struct pst_repository *repository, int directory)
{
    struct pst_durable_context context = {.fault = repository->context};
    int error = pst_durable_sync_dir(directory, &context);
    return outcome(repository, &context, error);
}

static int posix_lock(struct pst_repository *repository, int directory,
                      enum pst_repository_lock how)
{
    static const int operations[] = {
        [PST_REPOSITORY_UNLOCKED] = LOCK_UN,
        [PST_REPOSITORY_SHARED] = LOCK_SH | LOCK_NB,
        [PST_REPOSITORY_EXCLUSIVE] = LOCK_EX | LOCK_NB,
    };
    if (flock(directory, operations[how]) == 0)
        return 0;
    return fail(repository, "lock", errno == EWOULDBLOCK ? -PST_E_BUSY : -errno);
}

static int posix_lock_file(struct pst_repository *repository, int directory, const char *name)
{
    struct stat status;
    int fd, error;
    do { /* until it is the file that the name leads to; NFS locks only what is open for writing */
        fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
            return fail(repository, "open", -errno);
        error = posix_lock(repository, fd, PST_REPOSITORY_EXCLUSIVE);
        if (!error && fstat(fd, &status) < 0)
            error = fail(repository, "stat", -errno);
        if (error || status.st_nlink == 0)
            close(fd);
    } while (!error && status.st_nlink == 0);
    return error ? error : fd;
}

static const struct pst_repository_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .list = posix_list,
    .status = posix_status,
    .read_head = posix_read_head,
    .read = posix_read,
    .read_stored = posix_read_stored,
    .create = posix_create,
    .overwrite = posix_overwrite,
    .end_file = posix_end_file,
    .make_directory = posix_make_directory,
    .rename = posix_rename,
    .remove = posix_remove,
    .remove_directory = posix_remove_directory,
    .remove_tree = posix_remove_tree,
    .sync = posix_sync,
    .lock = posix_lock,
    .lock_file = posix_lock_file,
};

int repository_posix_open(struct pst_repository *repository, const char *path,
                          struct pst_io_fault *fault)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *repository = (struct pst_repository){
        .ops = &posix_ops,
        .features = PST_REPOSITORY_CAN_LOCK | PST_REPOSITORY_CAN_SYNC | PST_REPOSITORY_CAN_APPEND |
                    PST_REPOSITORY_HAS_DIRECTORIES | PST_REPOSITORY_HAS_DESCRIPTORS,
        .root = fd,
        .path = path,
        .context = fault,
    };
    return 0;
}

int repository_posix_sync_name(struct pst_repository *repository)
{
    int parent_fd = openat(repository->root, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent_fd < 0) /* one may be allowed to make names in it and not to read it */
        return syncfs(repository->root) < 0 ? -errno : 0;
    int error = pst_durable_sync_dir(parent_fd, NULL);
    close(parent_fd);
    return error;
}

int repository_posix_check_writable(struct pst_repository *repository)
{
    return faccessat(repository->root, ".", W_OK, AT_EACCESS) < 0 ? -errno : 0;
}
