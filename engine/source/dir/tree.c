/*
 * Walks a tree by descriptors, as deep as names allow, with few of them open. Called by dir_list.c
 * on the source's thread.
 */
#include "engine/source/dir/tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/activity.h"
#include "engine/base/clock.h"
#include "engine/base/own_error.h"
#include "engine/source/dir/kernel_system.h"

/* So often a directory is read, if it changes each time. */
#define READINGS_MAX 8u

#define COARSE_TICK_NS INT64_C(2000000000) /* of file systems with whole seconds */

/* So long the walk rests in all: where many directories change all the time, it would be hours. */
#define RESTS_NS INT64_C(5000000000)

/* So often all directories are looked at again, if things were found each time; and so long, since
 * the last one was found: a listing from which nothing comes must not look like one that hangs. */
#define ROUNDS_MAX 8u
#define AGAIN_NS UINT64_C(20000000000)

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

/* A reading of the level begins, or began when a thread opened it, which may be long ago. A change
 * shows for sure a tick after the ctime; by a clock that is behind, a tick after it was met. */
static void begin_reading(struct tree_level *level, const struct ahead_dir *dir)
{
    int64_t age_ns = tick_ns_of(&dir->opened) - tick_ns_of(&dir->ctime);
    int64_t rest_ns = (dir->ctime.tv_nsec ? TICK_NS : COARSE_TICK_NS) - (age_ns > 0 ? age_ns : 0);
    bool has_rested = level->has_rested && tick_ns_of(&dir->ctime) == tick_ns_of(&level->ctime);
    bool is_safe = rest_ns <= 0 || age_ns < -TICK_AHEAD_NS || has_rested;
    level->ctime = dir->ctime;
    level->rest_ns = is_safe ? 0 : rest_ns;
}

static void push_level(struct tree *tree, struct ahead_dir *dir, uint64_t number)
{
    assert(tree->depth < TREE_DEPTH_MAX);
    if (tree->depth >= TREE_OPEN)
        shut(tree, &tree->levels[tree->depth - TREE_OPEN]);
    tree->levels[tree->depth++] = (struct tree_level){
        .dir = dir,
        .path_bytes = (uint32_t)tree->path_bytes,
        .device = dir->device,
        .inode = dir->inode,
        .number = number,
        .seen_before = tree->seen.count,
        .entered = dir->opened,
        .was_moved = tree->again.was_there,
    };
    begin_reading(top(tree), dir);
}

static void push(struct tree *tree, struct ahead_dir *dir)
{
    uint64_t parent = tree->depth > 0 ? top(tree)->number : 0;
    if (tree->again.is_wanted)
        walked_enter(&tree->walked, tree->entered, parent, tree->depth > 0 ? tree_name(tree) : "",
                     dir->device);
    push_level(tree, dir, tree->entered++);
}

static void pop(struct tree *tree)
{
    shut(tree, top(tree));
    if (!top(tree)->is_again)
        walked_leave(&tree->walked, top(tree)->number, top(tree)->asks);
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

int tree_open(struct tree *tree, int root_fd, uint32_t ldms, bool looks_again)
{
    tree->root_fd = root_fd;
    tree->depth = 0;
    tree->path_bytes = 0;
    tree->path[0] = '\0';
    tree->entered = 0;
    tree->rests_ns = 0;
    tree->ticks = (struct ticks){0};
    tree->seen = (struct seen_names){0};
    tree->walked = (struct walked){0};
    tree->again = (struct tree_again){.is_wanted = looks_again};
    if (getrandom(&tree->walked.seed, sizeof(tree->walked.seed), 0) < 0 ||
        clock_gettime(CLOCK_REALTIME_COARSE, &tree->again.began)) /* as the kernel dates files */
        return -errno;
    int error = ahead_open(ldms, tree->walked.seed, &tree->ahead);
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
    walked_free(&tree->walked);
    tree->again.is_wanted = false;
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

/* Begins anew with a level whose end was read. 1 or -errno. */
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
    return 1;
}

/* Nothing of the level is missing but what is moved there later, which a second look finds. */
static int end_reading(struct tree *tree, const struct tree_level *level)
{
    walked_end(&tree->walked, level->number,
               level->rest_ns > 0 ? WALKED_UNSURE : tick_ns_of(&level->ctime));
    return 0;
}

/* At the end of a level: 1: it is read again; 0: nothing is missing, as far as can be told; or
 * -errno. A file that is replaced by a rename, or gets another name, while its directory is read
 * may be in what was read under neither: where the directory has changed, it is read until it did
 * not; and where a change may not have shown, until it would have, unless too many have that: they
 * are left to the second look. In that, it is left to the next round. */
static int end_level(struct tree *tree, struct tree_level *level)
{
    struct stat status;
    if (tree->again.is_on)
        return end_reading(tree, level);
    if (fstat(level->dir->fd, &status))
        return -errno;
    bool has_changed = tick_ns_of(&status.st_ctim) != tick_ns_of(&level->ctime);
    level->readings++;
    level->has_rested = !has_changed;
    level->was_calm |= !has_changed;
    if (!has_changed && (level->rest_ns == 0 || tree->rests_ns >= RESTS_NS))
        return end_reading(tree, level);
    if (level->is_blind || level->readings == READINGS_MAX)
        return level->was_calm ? end_reading(tree, level) : -PST_E_CHANGED;
    if (!has_changed) {
        tree->rests_ns += level->rest_ns;
        tick_rest(level->rest_ns);
    }
    return read_again(tree, level);
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

static int next_in_all(struct tree *tree)
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

/* ---- the second look ---- */

void tree_look_again(struct tree *tree)
{
    tree->again.is_on = tree->again.is_wanted;
    tree->again.until_ns = pst_monotonic_ns() + AGAIN_NS;
}

uint32_t tree_unlooked(const struct tree *tree)
{
    return tree->again.is_on ? tree->walked.count - tree->again.next : 0;
}

static bool is_time_over(const struct tree *tree)
{
    return tree->again.is_on && pst_monotonic_ns() > tree->again.until_ns;
}

/* The next directory, by its path, in this round, or in one more where things were found in this
 * one: others may have been moved meanwhile. */
static bool next_walked(struct tree *tree, uint32_t *number)
{
    struct tree_again *again = &tree->again;
    if (is_time_over(tree))
        return false;
    if (again->next == tree->walked.count && again->found > 0 && again->rounds < ROUNDS_MAX) {
        again->next = 0;
        again->found = 0;
        again->rounds++;
    }
    if (again->next == tree->walked.count)
        return false;
    *number = again->next++;
    tree->path_bytes = walked_path(&tree->walked, *number, tree->path);
    return true;
}

/* Whether the directory at the path has changed since it was read: 1, 0 or -errno. */
static int has_changed_since(struct tree *tree, const struct walked_dir *dir)
{
    struct stat now;
    const char *path = tree->path_bytes ? tree->path : ".";
    if (dir->ctime_ns == WALKED_UNREAD)
        return 0;
    pst_activity_begin("look again at", path);
    int rc = fstatat(tree->root_fd, path, &now, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT);
    pst_activity_end();
    return rc ? -errno : dir->ctime_ns != tick_ns_of(&now.st_ctim);
}

/* Enters it once more. 1 or -errno. */
static int enter_again(struct tree *tree, uint32_t number)
{
    struct stat status;
    pst_activity_begin("open the directory", tree->path);
    int fd =
        tree_open_file(tree, tree->root_fd, tree->path_bytes ? tree->path : ".", DIRECTORY_FLAGS);
    int error = fd < 0 ? fd : ahead_look_at_opened(fd, &status);
    pst_activity_end();
    if (!error && !walked_is_on(&tree->walked, number, status.st_dev))
        error = -EXDEV;
    if (error && fd >= 0)
        close(fd);
    if (error)
        return error;
    tree->again.was_there = false;
    push_level(tree, ahead_begin(tree->ahead, fd, &status, true), number);
    top(tree)->is_again = true;
    top(tree)->asks = tree->walked.dirs[number].asks;
    return 1;
}

/* What was moved or removed, with all below it, or is under a mount by now. */
static bool is_elsewhere(int error)
{
    return error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -EXDEV;
}

/* Enters the next directory that has changed: 1; 0: there is none; or -errno. */
static int enter_next(struct tree *tree)
{
    uint32_t number;
    while (next_walked(tree, &number)) {
        const struct walked_dir dir = tree->walked.dirs[number];
        int result = has_changed_since(tree, &dir);
        if (result == 0)
            continue;
        if (result > 0 && (result = enter_again(tree, number)) > 0)
            return 1;
        if (!is_elsewhere(result))
            return tree->path_bytes ? result : -PST_E_CHANGED;
        tree->again.next = dir.end;
    }
    return 0;
}

static void give_up(struct tree *tree)
{
    tree->again.next -= tree->depth > 0; /* this directory counts as well */
    while (tree->depth > 0)
        pop(tree);
}

int tree_next(struct tree *tree)
{
    int result;
    do {
        if (is_time_over(tree))
            give_up(tree);
        result = next_in_all(tree);
    } while (result == 0 && tree->again.is_on && (result = enter_next(tree)) > 0);
    return result;
}

void tree_keep(struct tree *tree, const char *path, const struct stat *status)
{
    if (!tree->again.is_wanted)
        return;
    walked_keep(&tree->walked, status);
    if (path)
        walked_keep_path(&tree->walked, path);
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

static int check_mount(struct tree *tree, int fd, const struct stat *status)
{
    if (status->st_dev == top(tree)->device)
        return 0;
    int kernels_own = kernel_system_holds(fd);
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

/* Whether what the current entry leads to was born before that time. Where that is not known,
 * unknown is the answer. */
static bool is_older(const struct tree_level *level, const struct timespec *time, bool unknown)
{
    struct statx found;
    if (statx(level->dir->fd, ahead_name(level->dir), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BTIME, &found) ||
        !(found.stx_mask & STATX_BTIME))
        return unknown;
    const struct timespec born = {found.stx_btime.tv_sec, found.stx_btime.tv_nsec};
    return tick_ns_of(&born) < tick_ns_of(time);
}

/* Whether the entry was not met before: 1, 0, -PST_E_CHANGED or -ENOMEM. What was there before its
 * directory was read may have had another name then. */
static int meet(struct tree *tree, uint64_t file)
{
    struct tree_level *level = top(tree);
    int added = seen_add(&tree->seen, level->number, ahead_hash(level->dir), file);
    level->is_blind |= added == -EFBIG;
    if (added == -PST_E_CHANGED)
        return is_older(level, &level->entered, true) ? added : 0;
    return added == -EFBIG ? 1 : added;
}

/* In a second look: whether the entry is missing in the backup, and was there all the time, or is a
 * directory, which may have got what was: 1, 0, or -PST_E_CHANGED: the backup has something else at
 * its path. Where no time of birth is known, what has not been written to since was there. A
 * directory that the backup has under another name may have got something there; of a file with
 * several names those count that are in a directory which was moved, and not listed before. */
static int miss(struct tree *tree, const struct stat *status)
{
    struct walked *walked = &tree->walked;
    struct tree_again *again = &tree->again;
    const struct tree_level *level = top(tree);
    bool is_directory = S_ISDIR(status->st_mode);
    bool is_known = walked_has(walked, status), has_path = walked_has_path(walked, tree->path);
    bool is_further = !has_path && (is_directory || (status->st_nlink > 1 && level->was_moved));
    again->was_there = false;
    if ((is_known && !is_further) || (has_path && walked->is_full))
        return 0;
    if (has_path && is_directory && walked_has_child(walked, level->number, tree_name(tree)))
        return 0; /* it has a second look of its own */
    bool is_old =
        is_older(level, &again->began, tick_ns_of(&status->st_mtim) < tick_ns_of(&again->began));
    if (!is_old && (has_path || !is_directory))
        return 0;
    walked_keep(walked, status);
    again->was_there = is_old && !is_known;
    again->found += is_old;
    again->until_ns = pst_monotonic_ns() + AGAIN_NS;
    return has_path ? -PST_E_CHANGED : 1;
}

int tree_look(struct tree *tree, struct stat *status)
{
    int error = ahead_look(tree->ahead, top(tree)->dir, tree->path, status);
    uint64_t file = error ? UINT64_MAX : file_of(status->st_dev, status->st_ino);
    int met = meet(tree, error == -ENOENT ? SEEN_NOTHING : file); /* it may be back later */
    if (tree->again.is_wanted && met > 0 && error && error != -ENOENT)
        met = walked_fails_first(&tree->walked, tree->path);
    else if (tree->again.is_on && (met > 0 || met == -PST_E_CHANGED))
        met = error ? 0 : miss(tree, status);
    return met == 0 ? TREE_MET : met < 0 ? met : error;
}

uint8_t tree_hints(const struct tree *tree)
{
    return ahead_hints(tree->levels[tree->depth - 1].dir);
}
