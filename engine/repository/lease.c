/* Opens, locks and closes the backup directory of a node: the thread that starts and stops it.
 * Looks at the start of a backup whether it is still the one of that path: the archive thread. */
#include "engine/repository/lease.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/base/log.h"
#include "engine/base/parent.h"
#include "engine/repository/layout.h"
#include "engine/repository/repository_posix.h"

/* A node alone has the directory to itself: writes, sweeps and numbers in it. Nodes of a cluster
 * may have one directory, each number of them once. */
int lease_lock(struct pst_repository_lease *lease, uint32_t node, bool is_shared)
{
    struct pst_repository *repository = &lease->repository;
    lease->node = node;
    lease->number_lock = -1;
    int error = repository_lock(repository, repository->root,
                                is_shared ? PST_REPOSITORY_SHARED : PST_REPOSITORY_EXCLUSIVE);
    if (error || !is_shared)
        return error;
    int handle = repository_lock_file(repository, repository->root, layout_lock(node).text);
    if (handle < 0)
        return handle;
    lease->number_lock = handle;
    return 0;
}

void lease_unlock(struct pst_repository_lease *lease)
{
    struct pst_repository *repository = &lease->repository;
    if (lease->number_lock < 0)
        return;
    (void)repository_remove(repository, repository->root, layout_lock(lease->node).text);
    repository_close(repository, lease->number_lock);
}

#define CANNOT_BE_MADE "%s: cannot be made: %s; does its parent exist, may you write there?"
#define NOT_WRITABLE "%s: not a directory that can be written to: %s"

static int probe(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        return -ENOTDIR;
    return faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

int pst_repository_lease_probe(const char *path, char *message)
{
    const char *format = NOT_WRITABLE;
    int error = probe(path);
    if (error == -ENOENT) {
        format = CANNOT_BE_MADE;
        error = pst_new_is_possible(path);
    }
    if (error)
        (void)snprintf(message, PST_MESSAGE_BYTES, format, path, pst_error_text(error));
    return error;
}

static int make_directory(struct pst_repository_lease *lease, const char *path)
{
    lease->directory_made = mkdir(path, 0700) == 0;
    if (lease->directory_made || errno == EEXIST)
        return 0;
    int error = -errno;
    pst_log(PST_LOG_ERROR, CANNOT_BE_MADE, path, pst_error_text(error));
    return error;
}

static int open_directory(struct pst_repository_lease *lease, const char *path,
                          struct pst_io_fault *fault)
{
    struct pst_repository *repository = &lease->repository;
    int error = repository_posix_open(repository, path, fault);
    if (!error) {
        error = repository_posix_check_writable(repository);
        if (error)
            repository_close(repository, repository->root);
    }
    if (error)
        pst_log(PST_LOG_ERROR, NOT_WRITABLE, path, pst_error_text(error));
    return error;
}

static int lock(struct pst_repository_lease *lease, uint32_t node, bool is_shared)
{
    const char *path = lease->repository.path;
    int error = lease_lock(lease, node, is_shared);
    if (error) {
        pst_log(PST_LOG_ERROR, "%s: %s", path,
                error == -PST_E_BUSY ? "another process is backing up into it; wait for its end"
                                     : pst_error_text(error));
        return error;
    }
    error = lease->directory_made ? repository_posix_sync_name(&lease->repository) : 0;
    if (!error)
        return 0;
    pst_log(PST_LOG_ERROR, "%s: fsync of its parent: %s", path, pst_error_text(error));
    lease_unlock(lease);
    return error;
}

int pst_repository_lease_take(struct pst_repository_lease *lease, const char *path, uint32_t node,
                              bool is_shared, struct pst_io_fault *fault)
{
    int error = make_directory(lease, path);
    if (error)
        return error;
    error = open_directory(lease, path, fault);
    if (error)
        goto err_after_make;
    error = lock(lease, node, is_shared);
    lease->absolute = error ? NULL : pst_absolute_path(path);
    if (!error)
        return 0;
    repository_close(&lease->repository, lease->repository.root);
err_after_make:
    if (lease->directory_made && error != -PST_E_BUSY)
        (void)rmdir(path);
    return error;
}

/* The descriptor keeps its number, by which LDMs know it. */
static int move(struct pst_repository_lease *lease)
{
    const char *path = lease->repository.path;
    struct pst_repository_lease other = {0};
    int error = open_directory(&other, path, lease->repository.context);
    if (error)
        return error;
    error = lock(&other, lease->node, lease->number_lock >= 0);
    if (error) {
        repository_close(&other.repository, other.repository.root);
        return error;
    }
    lease_unlock(lease);
    (void)repository_lock(&lease->repository, lease->repository.root, PST_REPOSITORY_UNLOCKED);
    while (dup3(other.repository.root, lease->repository.root, O_CLOEXEC) < 0)
        assert(errno == EINTR || errno == EBUSY);
    close(other.repository.root); /* the lock is the other descriptor's, too, and stays */
    lease->number_lock = other.number_lock;
    lease->directory_made = false;
    pst_log(PST_LOG_WARNING,
            "%s is another directory than before: it was replaced, or something was mounted or "
            "unmounted there; backups are written into what is there now, and earlier ones lie "
            "where they were",
            path);
    return 0;
}

/* 1: the path leads to the directory that is open, 0: to another one. */
static int is_named(const struct pst_repository_lease *lease)
{
    const char *path = lease->absolute ? lease->absolute : lease->repository.path;
    struct stat named, held;
    if (stat(path, &named) == 0 && fstat(lease->repository.root, &held) == 0)
        return named.st_dev == held.st_dev && named.st_ino == held.st_ino;
    int error = -errno;
    pst_log(PST_LOG_ERROR,
            "%s: %s: the backup directory was renamed, removed or unmounted; put it back, or make "
            "another",
            path, pst_error_text(error));
    return error;
}

int pst_repository_lease_renew(struct pst_repository_lease *lease, bool must_stay)
{
    int is = is_named(lease);
    if (is != 0)
        return is < 0 ? is : 0;
    if (!must_stay)
        return move(lease);
    pst_log(PST_LOG_ERROR,
            "%s is another directory than before, and backups are in doubt in that one: put it "
            "back until they are settled",
            lease->repository.path);
    return -PST_E_CLEANING;
}

int pst_repository_lease_stays(const struct pst_repository_lease *lease)
{
    int is = is_named(lease);
    if (is != 0)
        return is < 0 ? is : 0;
    pst_log(PST_LOG_ERROR,
            "%s is another directory than when the backup began, which is given up: it was "
            "replaced, or something was mounted or unmounted there",
            lease->repository.path);
    return -ESTALE;
}

void pst_repository_lease_release(struct pst_repository_lease *lease)
{
    lease_unlock(lease);
    if (lease->directory_made)
        (void)rmdir(lease->absolute ? lease->absolute : lease->repository.path);
    free(lease->absolute);
    repository_close(&lease->repository, lease->repository.root);
}
