/*
 * The guard's own side: it carries out orders, and does by itself what is due: thawing, and
 * watching the map. Runs in the guard's process, which has one thread; called by lmdb_guard.c after
 * the fork.
 */
#include "engine/source/lmdb/lmdb_guard_run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/priority.h"
#include "engine/source/lmdb/lmdb_environment.h"
#include "engine/source/lmdb/lmdb_readers.h"

#define NS_PER_MS UINT64_C(1000000)
/* How often the map's filling is looked at: before a writer of 4 GB/s, faster than memory is copied
 * here, can have used half of what is left. */
#define WATCH_BYTES_PER_NS 8u
#define WATCH_NS_MIN (NS_PER_MS / 5)
#define WATCH_NS_MAX (20 * NS_PER_MS)
#define CAPTURE_NS (2000 * NS_PER_MS)
#define CAPTURE_PAUSE_NS 20000
#define CHECKS_MAX 200u

/* ---- freeze and thaw ---- */

static void thaw(struct environment *environment)
{
    if (!environment->writer)
        return;
    mdb_txn_abort(environment->writer);
    environment->writer = NULL;
    environment->shared->frozen_ns = pst_monotonic_ns() - environment->frozen_at_ns;
}

static int freeze(struct environment *environment, const struct lmdb_request *request)
{
    int error = environment_begin(environment);
    if (error)
        return error;
    environment->frozen_at_ns = pst_monotonic_ns();
    environment->thaw_at_ns =
        request->freeze_hold_ns ? environment->frozen_at_ns + request->freeze_hold_ns : UINT64_MAX;
    return 0;
}

/* ---- how full the map is ---- */

static uint64_t used_bytes(const struct lmdb_meta *meta)
{
    return (meta->last_page + 1) * meta->page_bytes;
}

static uint64_t left_bytes(const struct lmdb_meta *meta)
{
    uint64_t used = used_bytes(meta);
    return meta->map_bytes > used ? meta->map_bytes - used : 0;
}

static void watch_again(struct environment *environment, const struct lmdb_meta *meta)
{
    uint64_t in_ns = left_bytes(meta) / WATCH_BYTES_PER_NS;
    in_ns = in_ns < WATCH_NS_MIN ? WATCH_NS_MIN : in_ns > WATCH_NS_MAX ? WATCH_NS_MAX : in_ns;
    environment->watch_at_ns = pst_monotonic_ns() + in_ns;
}

/* ---- snapshot ---- */

static void *page_of(struct environment *environment, uint64_t slot)
{
    return environment->shared->pages + (slot & 1) * environment->page_bytes;
}

/* Reads our transaction's page, then the other one. As long as that is of an earlier transaction,
 * the next commit is not done, so none has begun that would overwrite ours. -EAGAIN: one may. */
static int capture(struct environment *environment, uint64_t transaction)
{
    struct lmdb_meta metas[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t slot = (transaction + i) & 1;
        void *page = page_of(environment, slot);
        int error = lmdb_meta_read(environment->fd, slot, environment->page_bytes, page);
        if (!error)
            error = lmdb_meta_decode(page, &metas[i]);
        if (error)
            return error;
    }
    environment->shared->meta = metas[0];
    if (metas[0].page_bytes != environment->page_bytes)
        return -PST_E_DAMAGED;
    if (metas[0].transaction != transaction)
        return -EAGAIN;
    return metas[1].transaction < transaction || metas[1].transaction == 0 ? 0 : -EAGAIN;
}

/* Writers go on: try until no commit comes between. The other page may be overwritten at any
 * moment, so it is made of ours. */
static int pin_live(struct environment *environment)
{
    const struct timespec pause = {.tv_nsec = CAPTURE_PAUSE_NS};
    uint64_t until_ns = pst_monotonic_ns() + CAPTURE_NS;
    for (;;) {
        int error = environment_renew(environment);
        if (error)
            return error;
        uint64_t transaction = mdb_txn_id(environment->reader);
        error = capture(environment, transaction);
        if (!error)
            lmdb_meta_make_previous(page_of(environment, transaction), environment->page_bytes,
                                    page_of(environment, transaction + 1));
        else
            mdb_txn_reset(environment->reader);
        if (error != -EAGAIN || pst_monotonic_ns() > until_ns)
            return error;
        nanosleep(&pause, NULL);
    }
}

static int pin(struct environment *environment)
{
    int error;
    if (!environment->writer) {
        error = pin_live(environment);
    } else {
        error = environment_renew(environment);
        if (error)
            return error;
        error = capture(environment, mdb_txn_id(environment->reader));
        if (error)
            mdb_txn_reset(environment->reader);
    }
    if (error == -EAGAIN)
        return environment_say(environment, -PST_E_CHANGED,
                               "some process writes it with MDB_NOLOCK: no snapshot is possible");
    return error;
}

static int snapshot(struct environment *environment, const struct lmdb_request *request)
{
    if (request->is_frozen && !environment->writer)
        return -PST_E_THAWED;
    int error = pin(environment);
    if (error)
        return error;
    thaw(environment);
    environment->is_pinned = true;
    environment->pinned_at_ns = pst_monotonic_ns();
    environment->headroom_percent = request->headroom_percent;
    watch_again(environment, &environment->shared->meta);
    return 0;
}

/* What it captures may be torn: nobody looks at it. */
static int prepare(struct environment *environment)
{
    int error = environment_renew(environment);
    if (error)
        return error;
    (void)capture(environment, mdb_txn_id(environment->reader));
    mdb_txn_reset(environment->reader);
    return 0;
}

/* ---- while a snapshot is pinned ---- */

static void unpin(struct environment *environment)
{
    struct lmdb_meta now;
    readers_end(environment); /* before their pages are another's */
    if (!environment->is_pinned)
        return;
    mdb_txn_reset(environment->reader);
    environment->is_pinned = false;
    struct lmdb_shared *shared = environment->shared;
    shared->pinned_ns = pst_monotonic_ns() - environment->pinned_at_ns;
    if (lmdb_meta_newest(environment->fd, &now) == 0 && now.last_page > shared->meta.last_page)
        shared->grown_bytes = used_bytes(&now) - used_bytes(&shared->meta);
}

/* The snapshot keeps the pages that writers free from being used again, so the environment grows.
 * Give up before they find the map full; one that is that full and does not grow is no reason. */
static void watch_map(struct environment *environment)
{
    struct lmdb_meta now;
    const struct lmdb_shared *shared = environment->shared;
    if (lmdb_meta_newest(environment->fd, &now) != 0)
        now = shared->meta; /* torn while it was written */
    watch_again(environment, &now);
    if (now.last_page <= shared->meta.last_page ||
        left_bytes(&now) >= now.map_bytes / 100 * environment->headroom_percent)
        return;
    unpin(environment);
    atomic_store(&environment->shared->trouble, -PST_E_HEADROOM);
}

static int read_rows(struct environment *environment, const struct lmdb_request *request)
{
    int trouble = atomic_load(&environment->shared->trouble);
    if (!environment->is_pinned)
        return trouble ? trouble : -PST_E_WRONG_STATE;
    return readers_start(environment, request->readers);
}

/* ---- after the scan ---- */

/* A commit under the lock publishes to all readers the number of the transaction that the newest
 * meta page has; one without the lock does not. *differs: at this moment the two numbers differ. */
static int compare_ids(struct environment *environment, bool *differs)
{
    struct lmdb_meta newest;
    int error = environment_renew(environment);
    if (error)
        return error;
    uint64_t transaction = mdb_txn_id(environment->reader);
    error = lmdb_meta_newest(environment->fd, &newest);
    mdb_txn_reset(environment->reader);
    *differs = error == -PST_E_DAMAGED || newest.transaction != transaction;
    return error == -PST_E_DAMAGED ? 0 : error;
}

/* They may differ for a moment, in the middle of a commit, but not under the lock. */
static int check_writers(struct environment *environment)
{
    const struct timespec pause = {.tv_nsec = (long)NS_PER_MS};
    bool differs = true;
    int error = 0;
    for (uint32_t i = 0; !error && differs && i < CHECKS_MAX; i++) {
        error = compare_ids(environment, &differs);
        if (!error && differs)
            nanosleep(&pause, NULL);
    }
    if (error || !differs)
        return error;
    error = environment_begin(environment);
    if (error)
        return error;
    error = compare_ids(environment, &differs);
    mdb_txn_abort(environment->writer);
    environment->writer = NULL;
    if (!error && differs)
        return environment_say(
            environment, -PST_E_CHANGED,
            "some process wrote it with MDB_NOLOCK during the backup, so it may be torn");
    return error;
}

static int check(struct environment *environment)
{
    int trouble = atomic_load(&environment->shared->trouble);
    if (!environment->is_pinned)
        return trouble ? trouble : -PST_E_WRONG_STATE;
    unpin(environment);
    return check_writers(environment);
}

/* ---- the process ---- */

static int carry_out(struct environment *environment, const struct lmdb_request *request)
{
    switch (request->order) {
    case LMDB_PREPARE:
        return prepare(environment);
    case LMDB_FREEZE:
        return freeze(environment, request);
    case LMDB_SNAPSHOT:
        return snapshot(environment, request);
    case LMDB_THAW:
        thaw(environment);
        return 0;
    case LMDB_READ:
        return read_rows(environment, request);
    case LMDB_CHECK:
        return check(environment);
    case LMDB_RELEASE:
        thaw(environment);
        unpin(environment);
        atomic_store(&environment->shared->trouble, 0);
        return 0;
    default:
        return -PST_E_BAD_REQUEST;
    }
}

static uint64_t next_look_ns(const struct environment *environment)
{
    uint64_t at_ns = environment->writer ? environment->thaw_at_ns : UINT64_MAX;
    uint64_t watch_at_ns = environment->is_pinned ? environment->watch_at_ns : UINT64_MAX;
    return at_ns < watch_at_ns ? at_ns : watch_at_ns;
}

static void look(struct environment *environment)
{
    if (environment->writer && pst_monotonic_ns() >= environment->thaw_at_ns) {
        thaw(environment);
        if (!environment->is_pinned)
            atomic_store(&environment->shared->trouble, -PST_E_THAWED);
    }
    if (environment->is_pinned && pst_monotonic_ns() >= environment->watch_at_ns)
        watch_map(environment);
}

/* Spins for the next order, where it may and the last one was of a cut. */
static int wait_for_request(const struct environment *environment, struct pollfd *watched,
                            const struct timespec *timeout)
{
    int count = 0;
    while (count == 0 && pst_monotonic_ns() < environment->spin_until_ns)
        count = poll(watched, 1, 0);
    return count != 0 ? count : ppoll(watched, 1 + environment->readers_count, timeout, NULL);
}

/* A request, or what is due; false: the socket has ended. */
static bool serve(struct environment *environment, int socket)
{
    struct lmdb_request request;
    struct pollfd watched[2 + LMDB_READERS_MAX] = {{.fd = socket, .events = POLLIN}};
    uint64_t at_ns = next_look_ns(environment), now_ns = pst_monotonic_ns();
    uint64_t left_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    const struct timespec timeout = {.tv_sec = (time_t)(left_ns / (1000 * NS_PER_MS)),
                                     .tv_nsec = (long)(left_ns % (1000 * NS_PER_MS))};
    readers_fill(environment, watched + 1);
    int count = wait_for_request(environment, watched, at_ns == UINT64_MAX ? NULL : &timeout);
    if (count < 0)
        return errno == EINTR;
    readers_reap(environment, watched + 1);
    look(environment);
    if (!watched[0].revents)
        return true;
    if (recv(socket, &request, sizeof(request), 0) != (ssize_t)sizeof(request))
        return false;
    environment->answer->text[0] = '\0';
    environment->answer->error = carry_out(environment, &request);
    environment->spin_until_ns = request.spins ? pst_monotonic_ns() + PST_PRIORITY_SPIN_NS : 0;
    return send(socket, environment->answer, sizeof(*environment->answer), MSG_NOSIGNAL) >= 0;
}

int lmdb_guard_run(const void *context, int socket)
{
    const struct lmdb_guard *guard = context;
    struct lmdb_answer answer = {0};
    struct environment environment = {.guard = guard, .shared = guard->shared, .answer = &answer};
    answer.error = environment_open(&environment);
    bool goes_on = send(socket, &answer, sizeof(answer), MSG_NOSIGNAL) >= 0 && !answer.error;
    while (goes_on)
        goes_on = serve(&environment, socket);
    thaw(&environment);
    readers_end(&environment);
    environment_close(&environment);
    return 0;
}
