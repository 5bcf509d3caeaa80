/*
 * What an lmdb: source asks of its guard, and of the names of its files. Called on the source's
 * thread, lmdb_start_guard() also by whoever opens the source.
 */
#include "engine/source/lmdb/lmdb_source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

/* Logs the text that the guard gave with an error; returns the error. */
static int log_answer(const struct lmdb_source *lmdb, int error, const struct lmdb_answer *answer)
{
    if (error && answer->text[0])
        pst_log(PST_LOG_ERROR, "source %s: %s: %s", lmdb->source.name, lmdb->place.path,
                answer->text);
    return error;
}

int lmdb_order(struct lmdb_source *lmdb, const struct lmdb_request *request, uint64_t deadline_ns)
{
    struct lmdb_answer answer;
    PST_CHECK_THREAD(&lmdb->owner);
    return log_answer(lmdb, lmdb_guard_call(&lmdb->guard, request, deadline_ns, &answer), &answer);
}

uint64_t lmdb_soon_ns(void)
{
    return pst_monotonic_ns() + LMDB_ANSWER_NS;
}

int lmdb_start_guard(struct lmdb_source *lmdb, struct lmdb_answer *answer)
{
    int error = lmdb_guard_start(&lmdb->guard, answer);
    if (!error && lmdb->guard.shared->stale_readers > 0)
        pst_log(PST_LOG_INFO, "lmdb:%s: %u reader slots of dead processes were cleared",
                lmdb->place.path, lmdb->guard.shared->stale_readers);
    return error;
}

bool lmdb_has_guard(const struct lmdb_source *lmdb)
{
    struct pollfd ended = {.fd = lmdb->guard.process.socket, .events = POLLIN};
    return lmdb->guard.process.pid != 0 && poll(&ended, 1, 0) == 0;
}

int lmdb_replace_guard(struct lmdb_source *lmdb)
{
    struct lmdb_answer answer = {0};
    lmdb_guard_stop(&lmdb->guard);
    return log_answer(lmdb, lmdb_start_guard(lmdb, &answer), &answer);
}

void lmdb_let_go(struct lmdb_source *lmdb)
{
    const struct lmdb_request request = {.order = LMDB_RELEASE};
    if (lmdb->guard.process.pid != 0 && lmdb_order(lmdb, &request, lmdb_soon_ns()) == 0)
        return;
    if (lmdb_replace_guard(lmdb) < 0)
        pst_log(PST_LOG_WARNING,
                "source %s: the reader slot of its guard, which was killed, could not be cleared: "
                "run mdb_stat -rr %s",
                lmdb->source.name, lmdb->place.path);
}

/* ---- the files ---- */

void lmdb_place_free(struct lmdb_place *place)
{
    if (place->root_fd >= 0)
        close(place->root_fd);
    free(place->path);
    *place = (struct lmdb_place){.root_fd = -1};
}

/* Which files the names stand for now. Only the data file must be there. */
static int look_at_names(const struct lmdb_place *place, struct stat *data,
                         struct lmdb_inodes *inodes)
{
    char lock[NAME_MAX + 1] = "lock.mdb";
    struct stat status;
    if (place->is_file &&
        (size_t)snprintf(lock, sizeof(lock), "%s-lock", place->data) >= sizeof(lock))
        return -ENAMETOOLONG;
    if (fstatat(place->root_fd, place->data, data, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *inodes = (struct lmdb_inodes){.device = data->st_dev, .inode = data->st_ino};
    if (fstatat(place->root_fd, lock, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    inodes->lock_device = status.st_dev;
    inodes->lock_inode = status.st_ino;
    return 0;
}

/* mdb_env_open would make an environment where there is none. */
static int check_data_file(struct lmdb_place *place, const char **advice)
{
    struct lmdb_meta meta;
    struct stat status;
    int fd = openat(place->root_fd, place->data, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        *advice = "the data file is a symlink: name the environment that it leads to";
    if (fd < 0)
        return -errno;
    int error = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
    /* A page that is being written may look torn; the guard looks again. */
    if (!error)
        error = lmdb_meta_newest(fd, &meta);
    if (!error)
        place->owner = status.st_uid;
    if (error == -PST_E_DAMAGED && status.st_size == 0)
        *advice = "its data file is empty: want an LMDB environment that was ever written to";
    if (error == -PST_E_FOREIGN)
        *advice = "only the data format of LMDB 0.9 (version 1) can be read";
    close(fd);
    return error ? error : look_at_names(place, &status, &place->inodes);
}

/* One and the same data.mdb can be opened by its directory and as a file, with a lock file for
 * each: who opens it the other way than its users is not seen by them. */
static int check_kind(const struct lmdb_place *place, const char **advice)
{
    bool has_lock = faccessat(place->root_fd, "lock.mdb", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    bool has_file_lock = faccessat(place->root_fd, "data.mdb-lock", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    bool is_directory = has_lock || !has_file_lock;
    if (strcmp(place->data, "data.mdb") != 0 || is_directory != place->is_file)
        return 0;
    *advice = is_directory ? "it is the data file of an environment: give that one's directory"
                           : "its lock file is data.mdb-lock: its users have opened data.mdb as a "
                             "file (MDB_NOSUBDIR), so give that";
    return -EINVAL;
}

static int open_place(struct lmdb_place *place, const char *argument, const char **advice)
{
    struct stat status;
    *advice = "want an LMDB environment: a directory with data.mdb in it, or a data file "
              "(MDB_NOSUBDIR)";
    *place = (struct lmdb_place){.path = realpath(argument, NULL), .root_fd = -1};
    if (!place->path || stat(place->path, &status))
        return -errno;
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return -EINVAL;
    place->is_file = S_ISREG(status.st_mode);
    char *slash = strrchr(place->path, '/');
    place->data = place->is_file ? slash + 1 : "data.mdb";
    char *root = place->is_file ? strndup(place->path, (size_t)(slash + 1 - place->path))
                                : strdup(place->path);
    if (!root)
        return -ENOMEM;
    place->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = place->root_fd < 0 ? -errno : 0;
    free(root);
    if (!error)
        error = check_data_file(place, advice);
    return error ? error : check_kind(place, advice);
}

int lmdb_find(struct lmdb_source *lmdb, const char **advice)
{
    struct lmdb_place place;
    int error = open_place(&place, lmdb->argument, advice);
    if (error) {
        lmdb_place_free(&place);
        return error;
    }
    lmdb_place_free(&lmdb->place);
    lmdb->place = place;
    lmdb->source.root_fd = place.root_fd;
    lmdb->guard.path = place.path;
    lmdb->guard.is_file = place.is_file;
    lmdb->guard.owner = lmdb_identity_of(place.owner);
    return 0;
}

static bool are_same(const struct lmdb_inodes *one, const struct lmdb_inodes *other)
{
    return one->device == other->device && one->inode == other->inode &&
           one->lock_device == other->lock_device && one->lock_inode == other->lock_inode;
}

/* Whether its readers will open tables, which the guard is too small for: it is started without,
 * for a write transaction copies a number for each that there is room for, at the first time into
 * memory that is touched for the first time, and with the lock held. */
static bool is_too_small(struct lmdb_source *lmdb)
{
    const struct pst_source_policy *policy = &lmdb->source.policy;
    bool was_small = !lmdb->guard.has_tables;
    lmdb->guard.has_tables |= policy->is_logical || policy->check_pages;
    return was_small && lmdb->guard.has_tables;
}

/* A guard that has another lock file open than the environment's users would hold up nobody. */
int lmdb_find_again(struct lmdb_source *lmdb)
{
    const char *advice;
    int error = lmdb_find(lmdb, &advice);
    if (error) {
        pst_log(PST_LOG_ERROR, "source %s: %s: %s: %s", lmdb->source.name, lmdb->argument,
                pst_error_text(error), advice);
        return error;
    }
    bool is_other = !are_same(&lmdb->place.inodes, &lmdb->guard.shared->inodes);
    if (is_other)
        pst_log(PST_LOG_WARNING,
                "source %s: %s is another environment than before, or has another lock file: it "
                "was opened again, and what is there now is backed up",
                lmdb->source.name, lmdb->argument);
    bool is_replaced = is_too_small(lmdb) || is_other || !lmdb_has_guard(lmdb);
    return is_replaced ? lmdb_replace_guard(lmdb) : 0;
}

int lmdb_look_at_files(struct lmdb_source *lmdb)
{
    const struct lmdb_place *place = &lmdb->place;
    const struct stat *open = place->is_file ? &lmdb->file : &lmdb->directory;
    struct lmdb_inodes inodes;
    struct stat named;
    int error = look_at_names(place, &lmdb->file, &inodes);
    if (error)
        return error;
    if (fstatat(place->root_fd, "", &lmdb->directory, AT_EMPTY_PATH) < 0)
        return -errno;
    if (are_same(&inodes, &lmdb->guard.shared->inodes) && stat(place->path, &named) == 0 &&
        named.st_dev == open->st_dev && named.st_ino == open->st_ino)
        return 0;
    pst_log(PST_LOG_ERROR,
            "source %s: %s or its lock file was renamed or replaced during the backup; the next "
            "backup takes what is there then",
            lmdb->source.name, place->path);
    return -PST_E_CHANGED;
}

int lmdb_take_metas(struct lmdb_source *lmdb)
{
    memcpy(lmdb->pages, lmdb->guard.shared->pages, sizeof(lmdb->pages));
    return lmdb_meta_newest_of(lmdb->pages, &lmdb->meta) ? -PST_E_GUARD : 0;
}

int lmdb_look_at_guard(struct lmdb_source *lmdb)
{
    int trouble = lmdb_claimed_error(atomic_load(&lmdb->guard.shared->trouble));
    if (trouble)
        return trouble;
    return lmdb_has_guard(lmdb) ? 0 : -PST_E_GUARD;
}
