/*
 * The guard seen from the source: the process is started, given orders, waited for and ended.
 * Called by lmdb_source.c on the source's thread, at the start by whoever opens the source.
 */
#include "engine/source/lmdb/lmdb_guard.h"

#include "engine/base/clock.h"
#include "engine/source/lmdb/lmdb_guard_run.h"

#define STOP_MS 2000u

void lmdb_guard_stop(struct lmdb_guard *guard)
{
    pst_guard_stop(&guard->process, STOP_MS);
}

static int read_answer(struct lmdb_guard *guard, uint64_t deadline_ns, struct lmdb_answer *answer)
{
    int error = pst_guard_receive(&guard->process, deadline_ns, answer, sizeof(*answer));
    if (error)
        return error;
    answer->text[LMDB_TEXT_BYTES - 1] = '\0';
    return lmdb_claimed_error(answer->error);
}

int lmdb_guard_start(struct lmdb_guard *guard, struct lmdb_answer *answer)
{
    answer->text[0] = '\0';
    atomic_store(&guard->shared->trouble, 0);
    int error = pst_guard_start(&guard->process, lmdb_guard_run, guard);
    if (error)
        return error;
    error = read_answer(guard, pst_monotonic_ns() + LMDB_ANSWER_NS, answer);
    if (error)
        lmdb_guard_stop(guard);
    return error;
}

int lmdb_guard_call(struct lmdb_guard *guard, const struct lmdb_request *request,
                    uint64_t deadline_ns, struct lmdb_answer *answer)
{
    answer->text[0] = '\0';
    int error = pst_guard_send(&guard->process, request, sizeof(*request));
    return error ? error : read_answer(guard, deadline_ns, answer);
}
