/*
 * The ways of fan_out.c: a request to each thread and an answer back, over rings, eventfd, pipe,
 * and mutex. Called on the hub's and the workers' threads of the bench.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bench/fan_out.h"
#include "bench/program.h"
#include "net/doorbell.h"
#include "net/signal_ring.h"

#define SLOTS 16u

static void *allocate(size_t bytes)
{
    size_t rounded = (bytes + PST_SIGNAL_RING_ALIGNMENT - 1) & ~(PST_SIGNAL_RING_ALIGNMENT - 1ul);
    void *memory = aligned_alloc(PST_SIGNAL_RING_ALIGNMENT, rounded);
    bench_must(memory, "memory");
    memset(memory, 0, rounded);
    return memory;
}

static void wait_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    (void)poll(&readable, 1, -1);
}

/* ---- rings and doorbells ---- */

struct ring_worker {
    struct pst_doorbell bell;
    struct pst_signal_ring *to;
    struct pst_signal_ring *from;
};

struct rings {
    struct pst_doorbell bell;
    uint32_t threads;
    struct ring_worker workers[FAN_OUT_THREADS_MAX];
};

static struct pst_signal_ring *ring_make(void)
{
    return pst_spsc_init(allocate(pst_spsc_bytes(SLOTS)), SLOTS, 1);
}

static void *rings_open(uint32_t threads)
{
    struct rings *rings = allocate(sizeof(*rings));
    rings->threads = threads;
    bench_must(pst_doorbell_open(&rings->bell) == 0, "doorbell");
    for (uint32_t i = 0; i < threads; i++) {
        bench_must(pst_doorbell_open(&rings->workers[i].bell) == 0, "doorbell");
        rings->workers[i].to = ring_make();
        rings->workers[i].from = ring_make();
    }
    return rings;
}

static void rings_close(void *way)
{
    struct rings *rings = way;
    for (uint32_t i = 0; i < rings->threads; i++) {
        pst_doorbell_close(&rings->workers[i].bell);
        free(rings->workers[i].to);
        free(rings->workers[i].from);
    }
    pst_doorbell_close(&rings->bell);
    free(rings);
}

static void rings_send(void *way, uint32_t worker, const struct pst_signal *signal)
{
    struct rings *rings = way;
    bench_must(pst_spsc_put(rings->workers[worker].to, signal) == 0, "ring");
    pst_doorbell_ring(&rings->workers[worker].bell);
}

static bool rings_take(void *way, uint32_t worker, struct pst_signal *signal, bool may_sleep)
{
    struct ring_worker *self = &((struct rings *)way)->workers[worker];
    if (pst_spsc_get_burst(self->to, signal, 1) == 1)
        return true;
    if (!may_sleep)
        return false;
    pst_doorbell_announce(&self->bell);
    if (!pst_spsc_is_empty(self->to))
        pst_doorbell_cancel(&self->bell);
    else
        bench_must(pst_doorbell_wait(&self->bell, PST_DOORBELL_FOREVER, -1) >= 0, "wait");
    return pst_spsc_get_burst(self->to, signal, 1) == 1;
}

static void rings_answer(void *way, uint32_t worker, const struct pst_signal *signal)
{
    struct rings *rings = way;
    bench_must(pst_spsc_put(rings->workers[worker].from, signal) == 0, "ring");
    pst_doorbell_ring(&rings->bell);
}

static uint32_t rings_look(struct rings *rings)
{
    uint32_t count = 0;
    struct pst_signal signal;
    for (uint32_t i = 0; i < rings->threads; i++)
        count += pst_spsc_get_burst(rings->workers[i].from, &signal, 1) == 1;
    return count;
}

static uint32_t rings_collect(void *way, bool may_sleep)
{
    struct rings *rings = way;
    uint32_t count = rings_look(rings);
    if (count > 0 || !may_sleep)
        return count;
    pst_doorbell_announce(&rings->bell);
    count = rings_look(rings);
    if (count > 0)
        pst_doorbell_cancel(&rings->bell);
    else
        bench_must(pst_doorbell_wait(&rings->bell, PST_DOORBELL_FOREVER, -1) >= 0, "wait");
    return count;
}

const struct fan_out_way fan_out_rings = {"rings",    rings_open,   rings_close,  rings_send,
                                          rings_take, rings_answer, rings_collect};

/* ---- descriptors: eventfd and pipe ---- */

struct descriptors {
    uint32_t threads;
    struct pst_signal signals[FAN_OUT_THREADS_MAX]; /* eventfd carries none: they lie here */
    int to[FAN_OUT_THREADS_MAX][2];                 /* read end, write end */
    int from[2];
};

static void pair_open(int ends[2], bool is_pipe)
{
    if (is_pipe) {
        bench_must(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "pipe");
        return;
    }
    ends[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bench_must(ends[0] >= 0, "eventfd");
    ends[1] = dup(ends[0]);
    bench_must(ends[1] >= 0, "eventfd");
}

static struct descriptors *descriptors_open(uint32_t threads, bool is_pipe)
{
    struct descriptors *way = allocate(sizeof(*way));
    way->threads = threads;
    pair_open(way->from, is_pipe);
    for (uint32_t i = 0; i < threads; i++)
        pair_open(way->to[i], is_pipe);
    return way;
}

static void descriptors_close(void *argument)
{
    struct descriptors *way = argument;
    for (uint32_t i = 0; i < way->threads; i++) {
        close(way->to[i][0]);
        close(way->to[i][1]);
    }
    close(way->from[0]);
    close(way->from[1]);
    free(way);
}

static void *eventfd_open(uint32_t threads)
{
    return descriptors_open(threads, false);
}

static void eventfd_send(void *argument, uint32_t worker, const struct pst_signal *signal)
{
    struct descriptors *way = argument;
    way->signals[worker] = *signal;
    bench_must(eventfd_write(way->to[worker][1], 1) == 0, "eventfd");
}

static bool eventfd_take(void *argument, uint32_t worker, struct pst_signal *signal, bool may_sleep)
{
    struct descriptors *way = argument;
    eventfd_t count;
    if (eventfd_read(way->to[worker][0], &count) < 0) {
        if (may_sleep)
            wait_readable(way->to[worker][0]);
        return false;
    }
    *signal = way->signals[worker];
    return true;
}

static void eventfd_answer(void *argument, uint32_t worker, const struct pst_signal *signal)
{
    struct descriptors *way = argument;
    way->signals[worker] = *signal;
    bench_must(eventfd_write(way->from[1], 1) == 0, "eventfd");
}

static uint32_t eventfd_collect(void *argument, bool may_sleep)
{
    struct descriptors *way = argument;
    eventfd_t count;
    if (eventfd_read(way->from[0], &count) == 0)
        return (uint32_t)count;
    if (may_sleep)
        wait_readable(way->from[0]);
    return 0;
}

const struct fan_out_way fan_out_eventfd = {"eventfd",      eventfd_open, descriptors_close,
                                            eventfd_send,   eventfd_take, eventfd_answer,
                                            eventfd_collect};

static void *pipe_open(uint32_t threads)
{
    return descriptors_open(threads, true);
}

static void pipe_put(int fd, const struct pst_signal *signal)
{
    bench_must(write(fd, signal, sizeof(*signal)) == (ssize_t)sizeof(*signal), "pipe");
}

static bool pipe_get(int fd, struct pst_signal *signal, bool may_sleep)
{
    if (read(fd, signal, sizeof(*signal)) == (ssize_t)sizeof(*signal))
        return true;
    if (may_sleep)
        wait_readable(fd);
    return false;
}

static void pipe_send(void *argument, uint32_t worker, const struct pst_signal *signal)
{
    pipe_put(((struct descriptors *)argument)->to[worker][1], signal);
}

static bool pipe_take(void *argument, uint32_t worker, struct pst_signal *signal, bool may_sleep)
{
    return pipe_get(((struct descriptors *)argument)->to[worker][0], signal, may_sleep);
}

static void pipe_answer(void *argument, uint32_t worker, const struct pst_signal *signal)
{
    (void)worker;
    pipe_put(((struct descriptors *)argument)->from[1], signal);
}

static uint32_t pipe_collect(void *argument, bool may_sleep)
{
    struct pst_signal signal;
    return pipe_get(((struct descriptors *)argument)->from[0], &signal, may_sleep) ? 1 : 0;
}

const struct fan_out_way fan_out_pipe = {"pipe",    pipe_open,   descriptors_close, pipe_send,
                                         pipe_take, pipe_answer, pipe_collect};

/* ---- queues under a mutex ---- */

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    uint32_t count;
    struct pst_signal signals[FAN_OUT_THREADS_MAX];
};

struct queues {
    struct queue from;
    struct queue to[FAN_OUT_THREADS_MAX];
};

static void *queues_open(uint32_t threads)
{
    struct queues *queues = allocate(sizeof(*queues));
    (void)pthread_mutex_init(&queues->from.mutex, NULL);
    (void)pthread_cond_init(&queues->from.condition, NULL);
    for (uint32_t i = 0; i < threads; i++) {
        (void)pthread_mutex_init(&queues->to[i].mutex, NULL);
        (void)pthread_cond_init(&queues->to[i].condition, NULL);
    }
    return queues;
}

static void queue_put(struct queue *queue, const struct pst_signal *signal)
{
    (void)pthread_mutex_lock(&queue->mutex);
    bench_must(queue->count < FAN_OUT_THREADS_MAX, "queue");
    queue->signals[queue->count++] = *signal;
    (void)pthread_cond_signal(&queue->condition);
    (void)pthread_mutex_unlock(&queue->mutex);
}

/* All that are there; the last of them is kept. */
static uint32_t queue_get(struct queue *queue, struct pst_signal *signal, bool may_sleep)
{
    (void)pthread_mutex_lock(&queue->mutex);
    while (may_sleep && queue->count == 0)
        (void)pthread_cond_wait(&queue->condition, &queue->mutex);
    uint32_t count = queue->count;
    if (count > 0)
        *signal = queue->signals[count - 1];
    queue->count = 0;
    (void)pthread_mutex_unlock(&queue->mutex);
    return count;
}

static void queues_send(void *way, uint32_t worker, const struct pst_signal *signal)
{
    queue_put(&((struct queues *)way)->to[worker], signal);
}

static bool queues_take(void *way, uint32_t worker, struct pst_signal *signal, bool may_sleep)
{
    return queue_get(&((struct queues *)way)->to[worker], signal, may_sleep) == 1;
}

static void queues_answer(void *way, uint32_t worker, const struct pst_signal *signal)
{
    (void)worker;
    queue_put(&((struct queues *)way)->from, signal);
}

static uint32_t queues_collect(void *way, bool may_sleep)
{
    struct pst_signal signal;
    return queue_get(&((struct queues *)way)->from, &signal, may_sleep);
}

const struct fan_out_way fan_out_condition = {
    "mutex+condvar", queues_open, free, queues_send, queues_take, queues_answer, queues_collect};
