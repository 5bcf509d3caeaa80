/*
 * Walks a tree by descriptors, as deep as names allow, with few of them open. Called by dir_list.c
 * on the source's thread.
 */
#include "engine/source/dir/tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/clock.h"
#include "engine/base/own_error.h"

/* So often a directory is read, if it changes each time. */
#define READINGS_MAX 8u

/* Changes closer together than a tick of the kernel's clock, or of the file system's, may leave one
 * ctime. */
#define TICK_NS INT64_C(20000000)
#define COARSE_TICK_NS INT64_C(2000000000)

/* The clock of a file system on another host is no further ahead. */
#define AHEAD_NS INT64_C(60000000000)

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

static struct tree_level *top(struct tree *tree)
{
    return &tree->levels[tree->depth - 1];
}

/* Leaves the level's cookie, by which it can be opened again. */
static void shut(struct tree *tree, struct tree_level *level)
{
    if (level->dir)
        ahead_end(tree->ahead, level->dir, tree->path, level->path_bytes);
    level->dir = NULL;
}

static int64_t ns_of(const struct timespec *time)
{
    return (int64_t)((uint64_t)time->tv_sec * UINT64_C(1000000000) + (uint64_t)time->tv_nsec);
}

/* A reading of the level begins, or began when a thread opened it, which may be long ago. A change
 * shows for sure a tick after the ctime; by a clock that is behind, a tick after it was met. */
static void begin_reading(struct tree_level *level, const struct ahead_dir *dir)
{
    int64_t age_ns = ns_of(&dir->opened) - ns_of(&dir->ctime);
    int64_t rest_ns = (dir->ctime.tv_nsec ? TICK_NS : COARSE_TICK_NS) - (age_ns > 0 ? age_ns : 0);
    bool has_rested = level->has_rested && ns_of(&dir->ctime) == ns_of(&level->ctime);
    bool is_safe = rest_ns <= 0 || age_ns < -AHEAD_NS || has_rested;
    level->ctime = dir->ctime;
    level->rest_ns = is_safe ? 0 : rest_ns;
}

static void push(struct tree *tree, struct ahead_dir *dir)
{
    assert(tree->depth < TREE_DEPTH_MAX);
    if (tree->depth >= TREE_OPEN)
        shut(tree, &tree->levels[tree->depth - TREE_OPEN]);
    tree->levels[tree->depth++] = (struct tree_level){
        .dir = dir,
        .path_bytes = (uint32_t)tree->path_bytes,
        .device = dir->device,
        .inode = dir->inode,
        .number = tree->entered++,
        .seen_before = tree->seen.count,
        .entered = dir->opened,
    };
    begin_reading(top(tree), dir);
}

static void pop(struct tree *tree)
{
    shut(tree, top(tree));
    seen_forget(&tree->seen, top(tree)->seen_before);
    tree->depth--;
}

/* Closes the topmost level that is open, but not the current one. */
static bool spare_one(struct tree *tree)
{
    for (uint32_t i = 0; i + 1 < tree->depth; i++) {
        if (!tree->levels[i].dir)
            continue;
        shut(tree, &tree->levels[i]);
        return true;
    }
    return false;
}

/* After an open that failed with error: whether to try again. LDMs close files all the time. */
static bool is_worth_another_try(struct tree *tree, int error, uint64_t *since_ns)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    if (!pst_is_own_error(error))
        return false;
    if (spare_one(tree))
        return true;
    if (*since_ns == 0)
        *since_ns = pst_monotonic_ns();
    if (pst_monotonic_ns() - *since_ns > PST_SHORTAGE_NS)
        return false;
    nanosleep(&pause, NULL);
    return true;
}

int tree_open_file(struct tree *tree, int directory, const char *name, int flags)
{
    uint64_t since_ns = 0;
    int fd;
    do
        fd = ahead_open_beneath(directory, name, flags);
    while (fd < 0 && is_worth_another_try(tree, fd, &since_ns));
    return fd;
}

/* A directory fd opened for the walk, or -errno: checks, then pushes it; closes it on failure. */
static int push_opened(struct tree *tree, int fd,
                       int (*check)(struct tree *tree, int fd, const struct stat *status))
{
    struct stat status;
    if (fd < 0)
        return fd;
    int error = ahead_look_at_opened(fd, &status);
    if (!error && check)
        error = check(tree, fd, &status);
    if (error) {
        close(fd);
        return error;
    }
    push(tree, ahead_begin(tree->ahead, fd, &status, false));
    return 0;
}

int tree_open(struct tree *tree, int root_fd, uint32_t ldms)
{
    tree->root_fd = root_fd;
    tree->depth = 0;
    tree->path_bytes = 0;
    tree->path[0] = '\0';
    tree->entered = 0;
    tree->seen = (struct seen_names){0};
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) < 0)
        return -errno;
    int error = ahead_open(ldms, seed, &tree->ahead);
    if (error)
        return error;
    int fd = openat(root_fd, ".", DIRECTORY_FLAGS);
    error = push_opened(tree, fd < 0 ? -errno : fd, NULL);
    if (error)
        ahead_close(tree->ahead);
    return error;
}

void tree_close(struct tree *tree)
{
    while (tree->depth > 0)
        pop(tree);
    ahead_close(tree->ahead);
    seen_free(&tree->seen);
}

static void set_path_to_level(struct tree *tree, const struct tree_level *level)
{
    tree->path_bytes = level->path_bytes;
    tree->path[tree->path_bytes] = '\0';
}

/* Opens a level again that was shut to save descriptors. ENOENT becomes ESTALE: the directory may
 * have been renamed, and then the rest of it is still there, unlisted. */
static int reopen(struct tree *tree, struct tree_level *level)
{
    int fd =
        tree_open_file(tree, tree->root_fd, level->path_bytes ? tree->path : ".", DIRECTORY_FLAGS);
    if (fd < 0)
        return fd == -ENOENT ? -ESTALE : fd;
    struct stat status;
    int error = fstat(fd, &status) ? -errno : 0;
    if (!error && (status.st_dev != level->device || status.st_ino != level->inode))
        error = -ESTALE;
    if (!error && lseek(fd, level->cookie, SEEK_SET) < 0)
        error = -errno;
    if (error)
        close(fd);
    else
        level->dir = ahead_begin(tree->ahead, fd, &status, level->readings > 0);
    return error;
}

/* To the level's next entry: 1, 0 at the directory's end, -errno. */
static int go_on(struct tree *tree, struct tree_level *level)
{
    if (level->dir && ahead_has_next(level->dir))
        return ahead_next(tree->ahead, level->dir, tree->path);
    set_path_to_level(tree, level);
    pst_activity_begin("read the directory", tree->path);
    int error = level->dir ? 0 : reopen(tree, level);
    int result = error ? error : ahead_next(tree->ahead, level->dir, tree->path);
    pst_activity_end();
    return result;
}

static int set_path_to_entry(struct tree *tree, const struct tree_level *level, const char *name)
{
    size_t name_bytes = strlen(name);
    set_path_to_level(tree, level);
    if (name_bytes > TREE_NAME_MAX)
        return -ENAMETOOLONG;
    if (tree->path_bytes > 0)
        tree->path[tree->path_bytes++] = '/';
    memcpy(tree->path + tree->path_bytes, name, name_bytes + 1);
    tree->path_bytes += name_bytes;
    return 1;
}

static void rest(int64_t ns)
{
    const struct timespec pause = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&pause, NULL);
}

/* Begins anew with a level whose end was read. 0 or -errno. */
static int read_again(struct tree *tree, struct tree_level *level)
{
    struct stat status;
    int fd = tree_open_file(tree, level->dir->fd, ".", DIRECTORY_FLAGS);
    int error = fd < 0 ? fd : ahead_look_at_opened(fd, &status);
    if (error && fd >= 0)
        close(fd);
    if (error)
        return error;
    shut(tree, level);
    level->dir = ahead_begin(tree->ahead, fd, &status, true);
    level->cookie = 0;
    begin_reading(level, level->dir);
    return 0;
}

/* At the end of a level: 1: it is read again; 0: nothing is missing, as far as can be told; or
 * -errno. A file that is replaced by a rename, or gets another name, while its directory is read
 * may be in what was read under neither: where the directory has changed, it is read until it did
 * not; and where a change may not have shown, until it would have. */
static int end_level(struct tree *tree, struct tree_level *level)
{
    struct stat status;
    if (fstat(level->dir->fd, &status))
        return -errno;
    bool has_changed = ns_of(&status.st_ctim) != ns_of(&level->ctime);
    level->readings++;
    level->has_rested = !has_changed;
    if (!has_changed && level->rest_ns == 0)
        return 0;
    if (level->is_blind || level->readings == READINGS_MAX)
        return has_changed ? -PST_E_CHANGED : 0;
    if (!has_changed)
        rest(level->rest_ns);
    int error = read_again(tree, level);
    return error ? error : 1;
}

/* To the level's next entry, which may have been met before. 1; 0: there are no more; or -errno. */
static int next_in(struct tree *tree, struct tree_level *level)
{
    for (;;) {
        int result = go_on(tree, level);
        if (result > 0) {
            level->cookie = ahead_cookie(level->dir);
            seen_expect(&tree->seen, level->number, ahead_hash_further_on(level->dir));
            return result;
        }
        int again = result < 0 ? result : end_level(tree, level);
        if (again <= 0)
            return again;
    }
}

int tree_next(struct tree *tree)
{
    while (tree->depth > 0) {
        struct tree_level *level = top(tree);
        int result = next_in(tree, level);
        if (result > 0)
            return set_path_to_entry(tree, level, ahead_name(level->dir));
        if (result < 0)
            set_path_to_level(tree, level);
        pop(tree);
        if (result < 0)
            return result;
    }
    return 0;
}

int tree_fd(const struct tree *tree)
{
    return tree->levels[tree->depth - 1].dir->fd;
}

const char *tree_name(const struct tree *tree)
{
    uint32_t parent_bytes = tree->levels[tree->depth - 1].path_bytes;
    return tree->path + parent_bytes + (parent_bytes > 0);
}

bool tree_is_in(const struct tree *tree, const struct stat *status)
{
    const struct tree_level *level = &tree->levels[tree->depth - 1];
    return level->device == status->st_dev && level->inode == status->st_ino;
}

void tree_set_asks(struct tree *tree, enum tree_asks asks)
{
    top(tree)->asks = asks;
}

enum tree_asks tree_asks(const struct tree *tree)
{
    return tree->levels[tree->depth - 1].asks;
}

enum tree_asks tree_root_asks(const struct tree *tree)
{
    return tree->depth > 0 ? tree->levels[0].asks : TREE_ASKS_EACH;
}

/* Not in linux/magic.h. */
#define CONFIGFS_MAGIC 0x62656570
#define FUSE_CONTROL_MAGIC 0x65735543
#define MQUEUE_MAGIC 0x19800202
#define NFSD_MAGIC 0x6e667364
#define RPC_PIPEFS_MAGIC 0x67596969

/* Those of the kernel's own that hold no data of anybody's; some of their files never end. */
static const uint32_t kernel_file_systems[] = {
    PROC_SUPER_MAGIC,     SYSFS_MAGIC,   CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
    DEBUGFS_MAGIC,        TRACEFS_MAGIC, DEVPTS_SUPER_MAGIC, SECURITYFS_MAGIC,
    SELINUX_MAGIC,        BPF_FS_MAGIC,  PSTOREFS_MAGIC,     EFIVARFS_MAGIC,
    BINFMTFS_MAGIC,       NSFS_MAGIC,    SMACK_MAGIC,        CONFIGFS_MAGIC,
    FUSE_CONTROL_MAGIC,   MQUEUE_MAGIC,  NFSD_MAGIC,         RPC_PIPEFS_MAGIC,
    RDTGROUP_SUPER_MAGIC,
};

int tree_is_kernel_file_system(int fd)
{
    struct statfs file_system;
    if (fstatfs(fd, &file_system))
        return -errno;
    for (size_t i = 0; i < sizeof(kernel_file_systems) / sizeof(kernel_file_systems[0]); i++)
        if ((uint32_t)file_system.f_type == kernel_file_systems[i])
            return 1;
    return 0;
}

static int check_mount(struct tree *tree, int fd, const struct stat *status)
{
    if (status->st_dev == top(tree)->device)
        return 0;
    int kernels_own = tree_is_kernel_file_system(fd);
    return kernels_own > 0 ? -EXDEV : kernels_own;
}

void tree_forget(struct tree *tree)
{
    const struct tree_level *level = top(tree);
    seen_set(&tree->seen, level->number, ahead_hash(level->dir), SEEN_NOTHING);
}

/* Never SEEN_NOTHING. */
static uint64_t file_of(dev_t device, ino_t inode)
{
    uint64_t hash = inode ^ (uint64_t)device << 40;
    return hash ? hash : UINT64_MAX;
}

/* What was opened counts, which may be another directory than the one that was looked at. */
int tree_enter(struct tree *tree)
{
    assert(tree->path_bytes < PST_PATH_BYTES_MAX);
    struct tree_level *level = top(tree);
    uint64_t name = ahead_hash(level->dir);
    pst_activity_begin("open the directory", tree->path);
    struct ahead_dir *dir = ahead_enter(tree->ahead, level->dir);
    int error = 0;
    if (dir)
        push(tree, dir);
    else
        error =
            push_opened(tree, tree_open_file(tree, tree_fd(tree), tree_name(tree), DIRECTORY_FLAGS),
                        check_mount);
    pst_activity_end();
    if (error == -ENOENT)
        tree_forget(tree);
    if (!error)
        seen_set(&tree->seen, level->number, name, file_of(top(tree)->device, top(tree)->inode));
    return error;
}

void tree_leave(struct tree *tree)
{
    pop(tree);
}

/* Whether what the current entry leads to was there before its directory was read, and so may have
 * had another name then. Where that is not known, it was. */
static bool is_older_than_reading(const struct tree_level *level)
{
    struct statx found;
    if (statx(level->dir->fd, ahead_name(level->dir), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BTIME, &found) ||
        !(found.stx_mask & STATX_BTIME))
        return true;
    const struct timespec born = {found.stx_btime.tv_sec, found.stx_btime.tv_nsec};
    return ns_of(&born) < ns_of(&level->entered);
}

/* Whether the entry was not met before: 1, 0, -PST_E_CHANGED or -ENOMEM. */
static int meet(struct tree *tree, uint64_t file)
{
    struct tree_level *level = top(tree);
    int added = seen_add(&tree->seen, level->number, ahead_hash(level->dir), file);
    level->is_blind |= added == -EFBIG;
    if (added == -PST_E_CHANGED)
        return is_older_than_reading(level) ? added : 0;
    return added == -EFBIG ? 1 : added;
}

int tree_look(struct tree *tree, struct stat *status)
{
    int error = ahead_look(tree->ahead, top(tree)->dir, tree->path, status);
    uint64_t file = error ? UINT64_MAX : file_of(status->st_dev, status->st_ino);
    int met = meet(tree, error == -ENOENT ? SEEN_NOTHING : file); /* it may be back later */
    return met == 0 ? TREE_MET : met < 0 ? met : error;
}

uint8_t tree_hints(const struct tree *tree)
{
    return ahead_hints(tree->levels[tree->depth - 1].dir);
}

bool tree_is_file(int fd, const struct stat *status)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_dev == status->st_dev && now.st_ino == status->st_ino &&
           S_ISREG(now.st_mode);
}

const char *tree_printable(const char *path, char *text, size_t text_bytes)
{
    size_t used = 0;
    for (; *path && used + 5 < text_bytes; path++) {
        unsigned char byte = (unsigned char)*path;
        if (byte < ' ' || byte == 0x7f || byte == '\\')
            used += (size_t)snprintf(text + used, text_bytes - used, "\\x%02x", byte);
        else
            text[used++] = *path;
    }
    text[used] = '\0';
    return text;
}
