/*
 * A thread of the node beside the client's: its start, its end, and its idle wait. node.c starts
 * and stops workers; the threads themselves wait here, but for the hub and the LDMs, which also
 * wait for the fabric and for I/O.
 */
#include "engine/node/worker.h"

#include <assert.h>
#include <sched.h>

#include "engine/base/clock.h"
#include "engine/base/thread.h"
#include "engine/node/threads.h"

bool worker_is_idle(const struct pst_worker *worker)
{
    return pst_signal_ring_is_empty(worker->channel.to_peer) &&
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
    int woken = pst_doorbell_wait(&worker->channel.bell, timeout_ns, -1);
    assert(woken >= 0);
}

int worker_start(struct pst_worker *worker, struct pst_node *node, uint32_t slots,
                 void *(*run)(void *))
{
    worker->node = node;
    atomic_init(&worker->must_stop, false);
    atomic_init(&worker->ready, WORKER_STARTING);
    int error = pst_channel_open(&worker->channel, &node->hub_bell, slots, node->incarnation);
    if (error)
        return error;
    error = pst_thread_create(&worker->thread, run, worker);
    if (error) {
        pst_channel_close(&worker->channel);
        return error;
    }
    worker->is_started = true;
    while (atomic_load(&worker->ready) == WORKER_STARTING)
        sched_yield();
    return atomic_load(&worker->ready);
}

void worker_stop(struct pst_worker *worker, struct pst_doorbell *bell)
{
    if (!worker->is_started)
        return;
    atomic_store_explicit(&worker->must_stop, true, memory_order_release);
    pst_doorbell_ring(bell);
    pthread_join(worker->thread, NULL);
    worker->is_started = false;
}
