/*
 * Finds what the path of a dir: source leads to, anew for each backup, and answers what lies inside
 * it. Called by the registry, and on the source's thread.
 */
#include "engine/source/dir/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/source/dir/tree.h"

static bool is_root(const struct dir_source *dir, const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_dev == dir->place.device &&
           status.st_ino == dir->place.inode;
}

static void note_own(struct dir_source *dir, const char *path)
{
    struct stat status;
    dir->own = (struct dir_own){0};
    if (stat(path, &status) == 0)
        dir->own = (struct dir_own){true, status.st_dev, status.st_ino};
}

/* Whether the path, or what there is of it, is in a file system on that device. Cuts it. */
static bool lies_on(char *path, dev_t medium)
{
    struct stat status;
    char *slash;
    while (stat(path, &status) && errno == ENOENT && (slash = strrchr(path, '/')) && slash != path)
        *slash = '\0';
    return stat(path, &status) == 0 && status.st_dev == medium;
}

/* By device and inode of each directory on the way up, so that bind mounts do not hide it. */
static int dir_contains(struct pst_source *source, const char *path)
{
    struct dir_source *dir = (struct dir_source *)source;
    dir->own.is_below = false;
    char *prefix = strdup(path);
    if (!prefix)
        return -ENOMEM;
    if (dir->place.file) {
        bool is_on = dir->place.medium && lies_on(prefix, dir->place.medium);
        free(prefix);
        return is_on;
    }
    bool is_itself = is_root(dir, prefix), inside = is_itself;
    char *slash;
    while (!inside && (slash = strrchr(prefix, '/')) && slash != prefix) {
        *slash = '\0';
        inside = is_root(dir, prefix);
    }
    inside = inside || is_root(dir, "/");
    free(prefix);
    if (inside && !is_itself)
        note_own(dir, path);
    return inside && !is_itself ? PST_SOURCE_LEAVES_OUT : inside;
}

/* ---- what the path leads to ---- */

static void shut(struct dir_source *dir)
{
    if (dir->source.root_fd >= 0)
        close(dir->source.root_fd);
    dir->source.root_fd = -1;
}

/* Opens the directory that paths are relative to: PATH, or the one that PATH's file is in. */
static int open_root(const struct dir_place *place)
{
    if (!place->file) {
        int fd = open(place->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    char *parent = strndup(place->path, (size_t)(place->file - place->path));
    if (!parent)
        return -ENOMEM;
    int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 ? -errno : fd;
    free(parent);
    return error;
}

/* An early word on what would make the whole backup empty. */
static int check_readable(const struct dir_place *place, int root_fd)
{
    const char *name = place->file ? place->file : ".";
    int fd = openat(root_fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int look(struct dir_place *place, int root_fd, const char **advice)
{
    struct stat status;
    if (fstatat(root_fd, place->file ? place->file : "", &status,
                place->file ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH))
        return -errno;
    place->device = status.st_dev;
    place->inode = status.st_ino;
    place->medium = S_ISBLK(status.st_mode) ? status.st_rdev : 0;
    if (place->file && !S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return -PST_E_CHANGED;
    int kernels_own = tree_is_kernel_file_system(root_fd);
    if (kernels_own > 0)
        *advice = "it lies in a file system of the kernel's own (such as /proc or /sys), which "
                  "holds no data to back up";
    if (kernels_own)
        return kernels_own < 0 ? kernels_own : -EINVAL;
    return check_readable(place, root_fd);
}

/* Fills *place from the source's argument. Returns the descriptor of its root, or a negative
 * error, with nothing open. */
static int find(const struct dir_source *dir, struct dir_place *place, const char **advice)
{
    struct stat status;
    *advice = "check the path and its permissions";
    *place = (struct dir_place){.path = realpath(dir->argument, NULL)};
    if (!place->path || stat(place->path, &status))
        return -errno;
    bool is_file = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
    if (!S_ISDIR(status.st_mode) && !is_file) {
        *advice = "want a directory, a regular file or a block device";
        return -EINVAL;
    }
    if (is_file)
        place->file = strrchr(place->path, '/') + 1;
    int root_fd = open_root(place);
    if (root_fd < 0)
        return root_fd;
    int error = look(place, root_fd, advice);
    if (error)
        close(root_fd);
    return error ? error : root_fd;
}

static int resolve(struct dir_source *dir, const char **advice)
{
    struct dir_place place;
    int root_fd = find(dir, &place, advice);
    if (root_fd < 0) {
        free(place.path);
        return root_fd;
    }
    shut(dir);
    free(dir->place.path);
    dir->place = place;
    dir->source.root_fd = root_fd;
    return 0;
}

/* The path counts, not what it led to when the source was opened: a file system may have been
 * mounted there since, or the directory renamed and another put in its place. */
static int dir_snapshot(struct pst_source *source, uint64_t gci)
{
    (void)gci;
    struct dir_source *dir = (struct dir_source *)source;
    dev_t device = dir->place.device;
    ino_t inode = dir->place.inode;
    const char *advice;
    int error = resolve(dir, &advice);
    if (error) {
        pst_log(PST_LOG_ERROR, "source %s: %s: %s: %s", source->name, dir->argument,
                pst_error_text(error), advice);
        return error;
    }
    /* A file is often replaced by a new one of its name. */
    if (dir->place.device != device || dir->place.inode != inode)
        pst_log(dir->place.file ? PST_LOG_INFO : PST_LOG_WARNING,
                "source %s: %s is another %s than before: it was replaced, or something was "
                "mounted or unmounted there; what is there now is backed up",
                source->name, dir->argument, dir->place.file ? "file" : "directory");
    return 0;
}

/* Between backups nothing is open, so that a file system can be unmounted. */
static void dir_release(struct pst_source *source)
{
    shut((struct dir_source *)source);
}

/* ---- open and close ---- */

void pst_dir_filter(struct pst_source *source, const struct pst_file_filter *filter)
{
    ((struct dir_source *)source)->filter = filter;
}

static void dir_close(struct pst_source *source)
{
    struct dir_source *dir = (struct dir_source *)source;
    shut(dir);
    free(dir->place.path);
    free(dir->argument);
    free(dir);
}

static int fail(int error, const char *path, const char *advice, char *error_text,
                size_t error_bytes)
{
    snprintf(error_text, error_bytes, "source dir:%s: %s: %s", path, pst_error_text(error), advice);
    return error;
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
        .snapshot = dir_snapshot,
        .list = dir_list,
        .release = dir_release,
        .contains = dir_contains,
        .close = dir_close,
    };
    const char *advice = "check the working directory";
    dir->argument = pst_source_absolute_path(argument);
    int error = dir->argument ? resolve(dir, &advice) : -errno;
    if (error) {
        dir_close(&dir->source);
        return fail(error, argument, advice, error_text, error_bytes);
    }
    shut(dir);
    *source = &dir->source;
    return 0;
}
