/*
 * A thread of the node beside the client's: its start, its end, and its idle wait. node.c starts
 * and stops workers; the threads themselves wait here, but for the hub and the LDMs, which also
 * wait for the fabric and for I/O.
 */
#include "engine/node/worker.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/priority.h"
#include "engine/base/thread.h"
#include "engine/node/threads.h"

/* A start takes less, mostly: until then a nap would only add to it. */
#define YIELDING_NS UINT64_C(5000000)

bool worker_is_idle(const struct pst_worker *worker)
{
    return pst_spsc_is_empty(worker->channel.to_peer) &&
           !atomic_load_explicit(&worker->must_stop, memory_order_acquire);
}

void worker_wait(struct pst_worker *worker, struct pst_idle *idle, uint64_t deadline_ns)
{
    if (!pst_idle(idle))
        return;
    pst_doorbell_announce(&worker->channel.bell);
    if (!worker_is_idle(worker)) {
        pst_doorbell_cancel(&worker->channel.bell);
        return;
    }
    uint64_t timeout_ns = PST_DOORBELL_FOREVER;
    if (deadline_ns != PST_DEADLINE_NONE) {
        uint64_t now_ns = pst_monotonic_ns();
        timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
    pst_activity_rest(true);
    int woken = pst_doorbell_wait(&worker->channel.bell, timeout_ns, -1);
    pst_activity_rest(false);
    assert(woken >= 0);
}

/* For a moment only: it lasts as long as a thread takes to start or to end. */
static void pause_since(uint64_t began_ns)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    if (pst_monotonic_ns() - began_ns < YIELDING_NS)
        sched_yield();
    else
        nanosleep(&pause, NULL);
}

/* Not pthread_clockjoin_np(3): the thread sanitizer of gcc 12 sees no join there, and the other
 * timed join goes by a clock that may be set. */
static bool await_end(struct pst_worker *worker, uint64_t until_ns)
{
    uint64_t began_ns = pst_monotonic_ns();
    while (pthread_tryjoin_np(worker->thread, NULL) != 0) {
        if (pst_monotonic_ns() > until_ns)
            return false;
        pause_since(began_ns);
    }
    return true;
}

static void *run_worker(void *argument)
{
    struct pst_worker *worker = argument;
    pst_activity_bind(&worker->activity);
    pst_priority_let_spin(worker->node->may_spin);
    return worker->run(worker);
}

int worker_launch(struct pst_worker *worker, struct pst_node *node, uint32_t slots,
                  void *(*run)(void *))
{
    worker->node = node;
    worker->slots = slots;
    worker->run = run;
    worker->launched_ns = pst_monotonic_ns();
    atomic_init(&worker->must_stop, false);
    atomic_init(&worker->ready, WORKER_STARTING);
    int error = pst_thread_create(&worker->thread, run_worker, worker);
    worker->is_started = !error;
    return error;
}

/* A thread may hang at its start, in a driver say: that is no reason to hang with it. */
int worker_await_start(struct pst_worker *worker, uint64_t wait_ns)
{
    while (atomic_load(&worker->ready) == WORKER_STARTING) {
        if (pst_monotonic_ns() - worker->launched_ns > wait_ns) {
            worker->is_lost = true;
            return -ETIMEDOUT;
        }
        pause_since(worker->launched_ns);
    }
    return atomic_load(&worker->ready);
}

int worker_start(struct pst_worker *worker, struct pst_node *node, uint32_t slots,
                 void *(*run)(void *), uint64_t wait_ns)
{
    int error = worker_launch(worker, node, slots, run);
    return error ? error : worker_await_start(worker, wait_ns);
}

int worker_open(struct pst_worker *worker)
{
    struct pst_node *node = worker->node;
    return pst_channel_open(&worker->channel, &node->hub_bell, worker->slots, node->incarnation);
}

void worker_report_start(struct pst_worker *worker, int error)
{
    assert(error <= 0);
    atomic_store(&worker->ready, error);
}

void worker_order_stop(struct pst_worker *worker, struct pst_doorbell *bell)
{
    if (!worker->is_started)
        return;
    atomic_store_explicit(&worker->must_stop, true, memory_order_release);
    if (!worker->is_lost) /* should a lost one ever go on, it ends at once */
        pst_doorbell_ring(bell);
}

void worker_join(struct pst_worker *worker, uint64_t until_ns)
{
    if (!worker->is_started || worker->is_lost)
        return;
    worker->is_lost = !await_end(worker, until_ns);
    worker->is_started = worker->is_lost;
}

void worker_stop(struct pst_worker *worker, struct pst_doorbell *bell, uint64_t until_ns)
{
    worker_order_stop(worker, bell);
    worker_join(worker, until_ns);
}
