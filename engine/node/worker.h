/*
 * Private to engine/node: what all threads of a node have in common.
 */
#ifndef PST_ENGINE_NODE_WORKER_H
#define PST_ENGINE_NODE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/activity.h"
#include "engine/node/channel.h"
#include "penstock/error.h"

struct pst_node;

/* A thread of the node. The flag and the doorbell stop it; `ready` reports how its start went. */
struct pst_worker {
    struct pst_node *node;
    struct pst_channel channel;
    struct pst_activity activity; /* the thread's */
    void *(*run)(void *);
    uint32_t slots; /* of each ring of the channel */
    pthread_t thread;
    bool is_started;
    bool is_lost; /* it hangs: never joined, and its memory never freed */
    uint64_t launched_ns;
    atomic_bool must_stop;
    atomic_int ready; /* WORKER_STARTING, 0, or -errno */
};

#define WORKER_STARTING 1

/* Creates the thread. Main thread, as for all that start and stop it. 0 or -errno. */
PST_MUST_USE int worker_launch(struct pst_worker *worker, struct pst_node *node, uint32_t slots,
                               void *(*run)(void *));

/* Waits until the worker has reported its start, for wait_ns at most since its launch. 0 or -errno:
 * that of the start; -ETIMEDOUT: the worker is lost. */
PST_MUST_USE int worker_await_start(struct pst_worker *worker, uint64_t wait_ns);

/* Both: for a worker that starts by itself. */
PST_MUST_USE int worker_start(struct pst_worker *worker, struct pst_node *node, uint32_t slots,
                              void *(*run)(void *), uint64_t wait_ns);

/* The thread's own first calls: opens its channel, where the thread has been pinned already, so
 * that rings and doorbell lie in memory of its NUMA node; then reports how its start went (0 or
 * -errno). */
PST_MUST_USE int worker_open(struct pst_worker *worker);
void worker_report_start(struct pst_worker *worker, int error);

/* Has the thread end, and wakes it by its bell. Nothing where none was started. */
void worker_order_stop(struct pst_worker *worker, struct pst_doorbell *bell);

/* Joins a thread that was told to end; if it has not ended at until_ns (CLOCK_MONOTONIC) it is
 * lost. Nothing where none was started. */
void worker_join(struct pst_worker *worker, uint64_t until_ns);

/* Both: for a worker that ends by itself. */
void worker_stop(struct pst_worker *worker, struct pst_doorbell *bell, uint64_t until_ns);

/* Whether no signal waits from the hub and the worker need not stop: a sleeper's last look. Its own
 * thread. */
bool worker_is_idle(const struct pst_worker *worker);

/* Sleeps until the hub rings, deadline_ns (CLOCK_MONOTONIC; PST_DEADLINE_NONE) passes, or the
 * worker must stop. Its own thread. */
void worker_wait(struct pst_worker *worker, struct pst_idle *idle, uint64_t deadline_ns);

#endif
