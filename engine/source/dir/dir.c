/*
 * Opens a dir: source and answers what lies inside it. Called by the registry, and on the source's
 * thread.
 */
#include "engine/source/dir/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_root(const struct dir_source *dir, const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_dev == dir->device && status.st_ino == dir->inode;
}

/* By device and inode of each directory on the way up, so that bind mounts do not hide it. */
static int dir_contains(struct pst_source *source, const char *path)
{
    const struct dir_source *dir = (const struct dir_source *)source;
    if (dir->file)
        return 0;
    char *prefix = strdup(path);
    if (!prefix)
        return -ENOMEM;
    bool inside = is_root(dir, prefix);
    char *slash;
    while (!inside && (slash = strrchr(prefix, '/')) && slash != prefix) {
        *slash = '\0';
        inside = is_root(dir, prefix);
    }
    inside = inside || is_root(dir, "/");
    free(prefix);
    return inside;
}

static void dir_close(struct pst_source *source)
{
    struct dir_source *dir = (struct dir_source *)source;
    close(source->root_fd);
    free(dir->path);
    free(dir);
}

static int fail(int error, const char *path, const char *advice, char *error_text,
                size_t error_bytes)
{
    snprintf(error_text, error_bytes, "source dir:%s: %s: %s", path, pst_error_text(error), advice);
    return error;
}

/* Opens the directory that paths are relative to: PATH, or the one that PATH's file is in. */
static int open_root(struct dir_source *dir)
{
    if (!dir->file) {
        dir->source.root_fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return dir->source.root_fd < 0 ? -errno : 0;
    }
    char *parent = strndup(dir->path, (size_t)(dir->file - dir->path));
    if (!parent)
        return -ENOMEM;
    dir->source.root_fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = dir->source.root_fd < 0 ? -errno : 0;
    free(parent);
    return error;
}

/* An early word on what would make the whole backup empty. */
static int check_readable(const struct dir_source *dir)
{
    const char *name = dir->file ? dir->file : ".";
    int fd = openat(dir->source.root_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

/* Fills what depends on PATH; on failure path and root_fd may be set. */
static int resolve(struct dir_source *dir, const char *argument, const char **advice)
{
    *advice = "check the path and its permissions";
    dir->path = realpath(argument, NULL);
    struct stat status;
    if (!dir->path || stat(dir->path, &status))
        return -errno;
    dir->device = status.st_dev;
    dir->inode = status.st_ino;
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) {
        *advice = "want a directory or a regular file";
        return -EINVAL;
    }
    if (S_ISREG(status.st_mode))
        dir->file = strrchr(dir->path, '/') + 1;
    int error = open_root(dir);
    return error ? error : check_readable(dir);
}

int pst_dir_open(const char *argument, struct pst_source **source, char *error_text,
                 size_t error_bytes)
{
    if (*argument == '\0')
        return fail(-EINVAL, argument, "name a directory: dir:/path", error_text, error_bytes);
    struct dir_source *dir = calloc(1, sizeof(*dir));
    if (!dir)
        return fail(-ENOMEM, argument, "free some memory", error_text, error_bytes);
    dir->source = (struct pst_source){
        .struct_bytes = sizeof(struct pst_source),
        .abi_version = PST_SOURCE_ABI_VERSION,
        .flags = PST_SOURCE_ANY_LDM,
        .root_fd = -1,
        .type = "dir",
        .list = dir_list,
        .contains = dir_contains,
        .close = dir_close,
    };
    const char *advice;
    int error = resolve(dir, argument, &advice);
    if (error)
        goto err_after_alloc;
    *source = &dir->source;
    return 0;

err_after_alloc:
    if (dir->source.root_fd >= 0)
        close(dir->source.root_fd);
    free(dir->path);
    free(dir);
    return fail(error, argument, advice, error_text, error_bytes);
}
