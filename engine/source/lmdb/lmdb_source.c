/*
 * What an lmdb: source asks of its guard, and of the names of its files. Called on the source's
 * thread, lmdb_start_guard() also by whoever opens the source.
 */
#include "engine/source/lmdb/lmdb_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"

/* Logs the text that the guard gave with an error; returns the error. */
static int log_answer(const struct lmdb_source *lmdb, int error, const struct lmdb_answer *answer)
{
    if (error && answer->text[0])
        pst_log(PST_LOG_ERROR, "source %s: %s: %s", lmdb->source.name, lmdb->path, answer->text);
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
        pst_log(PST_LOG_INFO, "lmdb:%s: %u reader slots of dead processes were cleared", lmdb->path,
                lmdb->guard.shared->stale_readers);
    return error;
}

bool lmdb_has_guard(const struct lmdb_source *lmdb)
{
    struct pollfd ended = {.fd = lmdb->guard.socket, .events = POLLIN};
    return lmdb->guard.pid != 0 && poll(&ended, 1, 0) == 0;
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
    if (lmdb->guard.pid != 0 && lmdb_order(lmdb, &request, lmdb_soon_ns()) == 0)
        return;
    if (lmdb_replace_guard(lmdb) < 0)
        pst_log(PST_LOG_WARNING,
                "source %s: the reader slot of its guard, which was killed, could not be cleared: "
                "run mdb_stat -rr %s",
                lmdb->source.name, lmdb->path);
}

static bool is_same(const struct stat *status, dev_t device, ino_t inode)
{
    return status->st_dev == device && status->st_ino == inode;
}

int lmdb_look_at_files(struct lmdb_source *lmdb)
{
    const struct lmdb_shared *shared = lmdb->guard.shared;
    const struct stat *open = lmdb->guard.is_file ? &lmdb->file : &lmdb->directory;
    struct stat named;
    if (fstatat(lmdb->source.root_fd, lmdb->data, &lmdb->file, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(lmdb->source.root_fd, "", &lmdb->directory, AT_EMPTY_PATH) < 0)
        return -errno;
    if (is_same(&lmdb->file, shared->device, shared->inode) && stat(lmdb->path, &named) == 0 &&
        is_same(&named, open->st_dev, open->st_ino))
        return 0;
    pst_log(PST_LOG_ERROR,
            "source %s: %s was renamed, or replaced by another of that name: open it again",
            lmdb->source.name, lmdb->path);
    return -PST_E_CHANGED;
}

int lmdb_look_at_guard(struct lmdb_source *lmdb)
{
    int trouble = atomic_load(&lmdb->guard.shared->trouble);
    if (trouble)
        return trouble;
    return lmdb_has_guard(lmdb) ? 0 : -PST_E_GUARD;
}
