/*
 * Finds what the path of a dir: source leads to, anew for each backup, and answers what lies inside
 * it. Called by the registry, and on the source's thread.
 */
#include "engine/source/dir/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/base/parent.h"
#include "engine/source/dir/kernel_system.h"

static bool is_root(const struct dir_source *dir, const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && status.st_dev == dir->place.device &&
           status.st_ino == dir->place.inode;
}

/* rest: of the path, below the source; NULL: it does not lead there, but to what may lie there all
 * the same, by a bind mount. In a snapshot it is there as well, as it was then. */
static void note_own(struct dir_source *dir, const char *path, const char *rest)
{
    struct stat status;
    bool is_shown = rest && dir->shown.path;
    int error = is_shown ? fstatat(dir->source.root_fd, rest, &status, 0) : stat(path, &status);
    dir->own = (struct dir_own){0};
    if (!error)
        dir->own = (struct dir_own){true, status.st_dev, status.st_ino};
}

/* The device of the file system that the path, or what there is of it, is in; 0: not known. Cuts
 * the path. */
static dev_t device_of(char *path)
{
    struct stat status;
    char *slash;
    while (stat(path, &status) && errno == ENOENT && (slash = strrchr(path, '/')) && slash != path)
        *slash = '\0';
    return stat(path, &status) == 0 ? status.st_dev : 0;
}

/* By device and inode of each directory on the way up, so that bind mounts do not hide it. */
static int dir_contains(struct pst_source *source, const char *path)
{
    struct dir_source *dir = (struct dir_source *)source;
    dir->own.is_below = false;
    char *prefix = strdup(path);
    if (!prefix)
        return -ENOMEM;
    dir->target = device_of(prefix);
    dir->target_volume = subvolume_find_volume(prefix);
    strcpy(prefix, path);
    if (dir->place.file) {
        free(prefix);
        return dir->place.medium && dir->target == dir->place.medium;
    }
    bool is_itself = is_root(dir, prefix), inside = is_itself;
    char *slash;
    while (!inside && (slash = strrchr(prefix, '/')) && slash != prefix) {
        *slash = '\0';
        inside = is_root(dir, prefix);
    }
    const char *rest = path + (inside ? strlen(prefix) : 0) + 1;
    inside = inside || is_root(dir, "/");
    free(prefix);
    if (!is_itself)
        note_own(dir, path, inside ? rest : NULL);
    return inside && !is_itself ? PST_SOURCE_LEAVES_OUT : inside;
}

/* ---- what the path leads to ---- */

static void close_root(struct dir_source *dir)
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
    int kernels_own = kernel_system_holds(root_fd);
    if (kernels_own > 0)
        *advice = "it lies in a file system of the kernel's own (such as /proc or /sys), which "
                  "holds no data to back up";
    if (kernels_own)
        return kernels_own < 0 ? kernels_own : -EINVAL;
    return check_readable(place, root_fd);
}

/* Fills *place from a path. Returns the descriptor of its root, or a negative error, with nothing
 * open. */
static int find(const char *path, struct dir_place *place, const char **advice)
{
    struct stat status;
    *advice = "check the path and its permissions";
    *place = (struct dir_place){.path = realpath(path, NULL)};
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
    int root_fd = find(dir->argument, &place, advice);
    if (root_fd < 0) {
        free(place.path);
        return root_fd;
    }
    close_root(dir);
    free(dir->place.path);
    dir->place = place;
    dir->source.root_fd = root_fd;
    return 0;
}

/* ---- freeze and thaw ---- */

static void forget_shown(struct dir_source *dir)
{
    free(dir->shown.path);
    dir->shown = (struct dir_place){0};
    dir->is_still = false;
}

/* Between backups nothing is open, so that a file system can be unmounted; nor when the thaw
 * command is to do that. */
static void let_go(struct dir_source *dir)
{
    close_root(dir);
    freeze_end(&dir->freeze);
}

static bool is_on_target(const struct dir_source *dir)
{
    const struct subvolume_volume volume = subvolume_find_volume(dir->place.path);
    return dir->target == dir->place.device ||
           subvolume_is_same_volume(&volume, &dir->target_volume);
}

/* A file system that is frozen until the source is read cannot take the backup meanwhile. */
static int check_target(struct dir_source *dir)
{
    if (dir->freeze.snapshot[0] || dir->freeze.commands->thaws_at_cut || !is_on_target(dir))
        return 0;
    freeze_fail(&dir->freeze,
                "--freeze-command has printed no path, so the source's file system stays frozen "
                "until it is read, but the backup is to be written to the same one: choose another "
                "directory for it, or have the command make a snapshot and print its path");
    return -PST_E_COMMAND;
}

static int dir_freeze(struct pst_source *source, uint64_t deadline_ns)
{
    struct dir_source *dir = (struct dir_source *)source;
    if (!freeze_is_wanted(&dir->freeze))
        return 0;
    int error = freeze_begin(&dir->freeze, deadline_ns);
    if (!error)
        error = check_target(dir);
    if (error)
        freeze_end(&dir->freeze);
    return error;
}

static void dir_thaw(struct pst_source *source)
{
    struct dir_source *dir = (struct dir_source *)source;
    if (source->phase == PST_SOURCE_FROZEN)
        let_go(dir);
    else if (freeze_is_wanted(&dir->freeze) && dir->freeze.commands->thaws_at_cut)
        freeze_end(&dir->freeze);
}

static bool are_alike(const struct dir_place *shown, const struct dir_place *place)
{
    if (!shown->file || !place->file)
        return !shown->file && !place->file;
    return shown->medium ? place->medium != 0
                         : place->medium == 0 && strcmp(shown->file, place->file) == 0;
}

/* 1: the directory has entries; 0: none; -1: that cannot be known. */
static int has_entries(int at, const char *path)
{
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream && fd >= 0)
        close(fd);
    if (!stream)
        return -1;
    const struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(stream);
    } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    int has = entry ? 1 : errno ? -1 : 0;
    closedir(stream);
    return has;
}

/* Such as the place that a snapshot is to be mounted at, where it is not. */
static bool is_lacking(const struct dir_source *dir, int shown_fd)
{
    return !dir->place.file && has_entries(shown_fd, ".") == 0 &&
           has_entries(AT_FDCWD, dir->place.path) == 1;
}

/* Why what was found at the printed path cannot stand for the source; NULL: it can. */
static const char *fault_of_shown(const struct dir_source *dir, const struct dir_place *shown,
                                  int shown_fd)
{
    if (!are_alike(shown, &dir->place))
        return "it is no snapshot of the source: want a directory in place of a directory, a block "
               "device of a block device, and a file of the same name of a file";
    if (is_lacking(dir, shown_fd))
        return "it is no snapshot of the source: it is empty, and the source is not";
    return NULL;
}

/* Opens what the freeze command has printed, in place of PATH. */
static int open_shown(struct dir_source *dir)
{
    const char *path = dir->freeze.snapshot, *advice, *fault;
    struct dir_place shown;
    int root_fd = find(path, &shown, &advice);
    fault = root_fd >= 0 ? fault_of_shown(dir, &shown, root_fd) : pst_error_text(root_fd);
    if (!fault) {
        close_root(dir);
        dir->source.root_fd = root_fd;
        dir->shown = shown;
        return 0;
    }
    if (root_fd >= 0)
        close(root_fd);
    free(shown.path);
    freeze_fail(&dir->freeze, "--freeze-command has printed the path \"%.200s\": %s%s%s", path,
                fault, root_fd < 0 ? ": " : "", root_fd < 0 ? advice : "");
    return -PST_E_COMMAND;
}

/* The path counts, not what it led to when the source was opened: a file system may have been
 * mounted there since, or the directory renamed and another put in its place. */
static int dir_snapshot(struct pst_source *source, uint64_t gci)
{
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
    forget_shown(dir);
    source->details = NULL;
    if (!dir->freeze.is_frozen)
        return 0;
    dir->freeze.gci = gci;
    error = dir->freeze.snapshot[0] ? open_shown(dir) : 0;
    dir->is_still = dir->freeze.snapshot[0] || !dir->freeze.commands->thaws_at_cut;
    return error;
}

/* Of most sources there is nothing to say. */
static void write_details(struct dir_source *dir)
{
    char frozen[96] = "";
    if (!freeze_is_wanted(&dir->freeze) && dir->databases == 0)
        return;
    if (freeze_is_wanted(&dir->freeze))
        snprintf(frozen, sizeof(frozen), ",\"snapshot\":%s,\"frozen_ns\":%llu%s",
                 dir->shown.path ? "true" : "false", (unsigned long long)dir->freeze.frozen_ns,
                 dir->source.is_left_frozen ? ",\"left_frozen\":true" : "");
    snprintf(dir->details, sizeof(dir->details), "{\"type\":\"dir\",\"databases_in_use\":%llu%s}",
             (unsigned long long)dir->databases, frozen);
    dir->source.details = dir->details;
    dir->freeze.is_told = true;
}

/* Nothing is read any more, and what the thaw command did is to be known before the end. */
static int dir_check(struct pst_source *source, uint64_t deadline_ns)
{
    struct dir_source *dir = (struct dir_source *)source;
    (void)deadline_ns;
    let_go(dir);
    write_details(dir);
    return 0;
}

static void dir_release(struct pst_source *source)
{
    let_go((struct dir_source *)source);
    forget_shown((struct dir_source *)source);
}

/* ---- open and close ---- */

void pst_dir_filter(struct pst_source *source, const struct pst_file_filter *filter)
{
    ((struct dir_source *)source)->filter = filter;
}

void pst_dir_freeze_by(struct pst_source *source, const struct pst_freeze_commands *commands)
{
    struct dir_source *dir = (struct dir_source *)source;
    dir->freeze.commands = commands;
    source->freeze = commands ? dir_freeze : NULL;
    if (commands)
        source->flags |= PST_SOURCE_CAN_SNAPSHOT;
}

static void dir_close(struct pst_source *source)
{
    struct dir_source *dir = (struct dir_source *)source;
    let_go(dir);
    forget_shown(dir);
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
        .thaw = dir_thaw,
        .list = dir_list,
        .check = dir_check,
        .release = dir_release,
        .contains = dir_contains,
        .close = dir_close,
    };
    const char *advice = "check the working directory";
    dir->argument = pst_absolute_path(argument);
    dir->freeze.source = &dir->source;
    dir->freeze.path = dir->argument;
    int error = dir->argument ? resolve(dir, &advice) : -errno;
    if (error) {
        dir_close(&dir->source);
        return fail(error, argument, advice, error_text, error_bytes);
    }
    close_root(dir);
    *source = &dir->source;
    return 0;
}
