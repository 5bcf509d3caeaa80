/*
 * The queues of a ring: what is pending is submitted, completions are reaped, the doorbell is
 * armed. Runs on the thread that opened the ring.
 */
#include "io/ring.h"

#include <assert.h>
#include <errno.h>
#include <linux/ioprio.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "io/request.h"

#define DOORBELL_DATA ((uint64_t)1)
#define NEEDED_FEATURES (IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP)
#define SQPOLL_IDLE_MS 10u /* see struct pst_ring_polling */

/* The kernel may give a ring the memory of one that another thread closed, and liburing maps and
 * unmaps by system calls of its own: without this, ThreadSanitizer does not see their order. */
static atomic_uint lives;

struct setup {
    unsigned flags;
    const char *text;
};

/* Behind those of enum pst_ring_setup: with SQPOLL, best first. The kernel's thread does what
 * DEFER_TASKRUN leaves to ours. */
enum {
    SETUP_SQPOLL_SINGLE_ISSUER = PST_RING_SETUP_PLAIN + 1, /* Linux 6.0 */
    SETUP_SQPOLL,
};

static const struct setup setups[] = {
    [PST_RING_SETUP_DEFER_TASKRUN] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                          IORING_SETUP_TASKRUN_FLAG,
                                      "SINGLE_ISSUER DEFER_TASKRUN"},
    [PST_RING_SETUP_COOP_TASKRUN] = {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
                                     "COOP_TASKRUN"},
    [PST_RING_SETUP_PLAIN] = {0, "plain setup"},
    [SETUP_SQPOLL_SINGLE_ISSUER] = {IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER,
                                    "SQPOLL SINGLE_ISSUER"},
    [SETUP_SQPOLL] = {IORING_SETUP_SQPOLL, "SQPOLL"},
};

static int init_queue(struct request_queue *queue, unsigned entries, struct io_uring_params *params)
{
    params->sq_thread_idle = SQPOLL_IDLE_MS;
    int error = io_uring_queue_init_params(entries, &queue->uring, params);
    queue->issued_max = params->cq_entries - 1; /* one is the doorbell's: the CQ never overflows */
    return error;
}

static int init_usual(struct pst_ring *ring, unsigned first, unsigned last)
{
    int error = -EINVAL;
    for (unsigned i = first; i <= last && error == -EINVAL; i++) {
        struct io_uring_params params = {.flags = setups[i].flags};
        error = init_queue(&ring->usual, ring->entries, &params);
        ring->setup = i;
    }
    return error;
}

static int open_usual(struct pst_ring *ring, const struct pst_ring_options *options)
{
    int error = -EINVAL;
    if (options->polling.sqpoll)
        error = ring->sqpoll_error = init_usual(ring, SETUP_SQPOLL_SINGLE_ISSUER, SETUP_SQPOLL);
    if (error)
        error = init_usual(ring, options->first_setup, PST_RING_SETUP_PLAIN);
    if (error)
        return error;
    atomic_fetch_add(&lives, 1);
    if ((ring->usual.uring.features & NEEDED_FEATURES) != NEEDED_FEATURES) {
        io_uring_queue_exit(&ring->usual.uring);
        return -ENOSYS;
    }
    int registered = io_uring_register_ring_fd(&ring->usual.uring);
    ring->ring_fd_error = registered < 0 ? registered : 0;
    return 0;
}

/* A kernel takes nothing but reads and writes with O_DIRECT there: so it is a second one. Of
 * SQPOLL, both have one thread. */
static void open_polled(struct pst_ring *ring)
{
    struct io_uring_params params = {.flags = setups[ring->setup].flags | IORING_SETUP_IOPOLL |
                                              IORING_SETUP_ATTACH_WQ,
                                     .wq_fd = (unsigned)ring->usual.uring.ring_fd};
    ring->iopoll_error = init_queue(&ring->polled, ring->entries, &params);
    ring->polls = !ring->iopoll_error;
    if (ring->polls)
        (void)io_uring_register_ring_fd(&ring->polled.uring);
}

static void register_file_table(struct pst_ring *ring, unsigned files_max)
{
    if (!files_max)
        return;
    ring->files_error = io_uring_register_files_sparse(&ring->usual.uring, files_max);
    if (ring->files_error)
        return;
    ring->files_max = files_max;
    ring->slots_free = files_max;
    for (unsigned i = 0; i < files_max; i++)
        ring->free_slots[i] = (int)(files_max - 1 - i);
}

int pst_ring_open(struct pst_ring **ring_out, const struct pst_ring_options *options)
{
    assert(options->entries >= 1 && options->entries <= 32768);
    assert(options->files_max <= 32768);
    struct pst_ring *ring = calloc(1, sizeof(*ring) + options->files_max * sizeof(int));
    if (!ring)
        return -ENOMEM;
    ring->pending_end = &ring->pending_first;
    ring->doorbell_fd = -1;
    ring->fault = options->fault;
    ring->now_ns = pst_monotonic_ns();
    ring->entries = options->entries;
    int error = open_usual(ring, options);
    if (error) {
        free(ring);
        return error;
    }
    if (options->polling.iopoll)
        open_polled(ring);
    register_file_table(ring, options->files_max);
    ring->kernel_truncates = request_kernel_truncates(&ring->usual.uring);
    pst_thread_bind(&ring->owner);
    *ring_out = ring;
    return 0;
}

void pst_ring_close(struct pst_ring *ring)
{
    PST_CHECK_THREAD(&ring->owner);
    assert(ring->in_flight == 0);
    assert(ring->slots_free == ring->files_max);
    atomic_fetch_sub(&lives, 1);
    if (ring->polls)
        io_uring_queue_exit(&ring->polled.uring);
    io_uring_queue_exit(&ring->usual.uring);
    free(ring->polled.buffers);
    free(ring->usual.buffers);
    free(ring);
}

static void register_buffers(struct request_queue *queue, const struct iovec *buffers,
                             unsigned count)
{
    size_t bytes = count * sizeof(*buffers);
    queue->buffers_error = -ENOMEM;
    queue->buffers = malloc(bytes);
    if (!queue->buffers)
        return;
    memcpy(queue->buffers, buffers, bytes);
    queue->buffers_error = io_uring_register_buffers_sparse(&queue->uring, count);
    if (queue->buffers_error != -EINVAL)
        return;
    queue->buffers_error = io_uring_register_buffers(&queue->uring, buffers, count);
    if (!queue->buffers_error)
        memset(queue->buffers, 0, bytes);
}

void pst_ring_register_buffers(struct pst_ring *ring, const struct iovec *buffers, unsigned count)
{
    PST_CHECK_THREAD(&ring->owner);
    assert(ring->buffers_count == 0 && count > 0);
    ring->buffers_count = count;
    register_buffers(&ring->usual, buffers, count);
    if (ring->polls)
        register_buffers(&ring->polled, buffers, count);
}

unsigned pst_ring_refusals(const struct pst_ring *ring)
{
    const bool refused[] = {ring->files_error,          ring->usual.buffers_error,
                            ring->polled.buffers_error, ring->sqpoll_error,
                            ring->iopoll_error,         ring->unpolled_device};
    unsigned count = 0;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        count += refused[i];
    return count;
}

static int describe_registered(char *text, size_t bytes, unsigned registered, unsigned count,
                               int error, const char *what, const char *advice)
{
    if (error)
        return snprintf(text, bytes, ", %s not registered (%s%s)", what, strerror(-error),
                        error == -ENOMEM ? advice : "");
    if (count)
        return snprintf(text, bytes, ", %u of %u %s registered", registered, count, what);
    return 0;
}

static bool is_registered(const struct request_queue *queue, unsigned index)
{
    return queue->buffers && !queue->buffers[index].iov_base;
}

/* Those that a transfer has named. */
static unsigned count_registered(const struct pst_ring *ring)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ring->buffers_count; i++)
        count += is_registered(&ring->usual, i) || is_registered(&ring->polled, i);
    return count;
}

static void describe_polling(const struct pst_ring *ring, char *text, size_t bytes)
{
    size_t length = 0;
    if (ring->sqpoll_error)
        length = (size_t)snprintf(text, bytes, ", no SQPOLL (%s)", strerror(-ring->sqpoll_error));
    if (ring->iopoll_error)
        (void)snprintf(text + length, bytes - length, ", no IOPOLL (%s)",
                       strerror(-ring->iopoll_error));
    else if (ring->polls)
        (void)snprintf(text + length, bytes - length, ", IOPOLL for O_DIRECT%s",
                       ring->unpolled_device ? " but where a device refuses it" : "");
}

const char *pst_ring_describe(struct pst_ring *ring)
{
    char files[128] = "";
    char buffers[160] = "";
    char polling[160] = "";
    bool is_usual = ring->usual.buffers_error || !ring->polled.buffers_error;
    int buffers_error = is_usual ? ring->usual.buffers_error : ring->polled.buffers_error;
    describe_polling(ring, polling, sizeof(polling));
    (void)describe_registered(files, sizeof(files), ring->files_max - ring->slots_free,
                              ring->files_max, ring->files_error, "files", "");
    (void)describe_registered(buffers, sizeof(buffers), count_registered(ring), ring->buffers_count,
                              buffers_error, is_usual ? "buffers" : "buffers for IOPOLL",
                              ": raise the memlock limit, ulimit -l");
    (void)snprintf(ring->description, sizeof(ring->description),
                   "io_uring: %s%s, %u entries%s%s%s%s", setups[ring->setup].text, polling,
                   ring->entries, ring->ring_fd_error ? "" : ", registered ring", files, buffers,
                   ring->kernel_truncates ? "" : ", blocking ftruncate");
    return ring->description;
}

void pst_ring_set_doorbell(struct pst_ring *ring, int event_fd)
{
    PST_CHECK_THREAD(&ring->owner);
    assert(ring->doorbell_fd < 0 && event_fd >= 0);
    ring->doorbell_fd = event_fd;
}

static struct pst_io_op *dequeue(struct pst_ring *ring)
{
    struct pst_io_op *op = ring->pending_first;
    ring->pending_first = op->next;
    if (!ring->pending_first)
        ring->pending_end = &ring->pending_first;
    return op;
}

/* Moves what is pending into the submission queue, as far as there is room. */
static void fill(struct pst_ring *ring)
{
    while (ring->pending_first) {
        struct request_queue *queue = request_queue_of(ring, ring->pending_first);
        struct io_uring_sqe *sqe =
            queue->issued < queue->issued_max ? io_uring_get_sqe(&queue->uring) : NULL;
        if (!sqe)
            return;
        struct pst_io_op *op = dequeue(ring);
        request_prepare(ring, op, queue, sqe);
        io_uring_sqe_set_data(sqe, op);
        queue->issued++;
    }
}

static void arm_doorbell(struct pst_ring *ring)
{
    if (ring->doorbell_fd < 0 || ring->doorbell_armed)
        return;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->usual.uring);
    if (!sqe)
        return; /* the kernel is short of memory and took nothing: wait() will come again */
    io_uring_prep_poll_add(sqe, ring->doorbell_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, DOORBELL_DATA);
    ring->doorbell_armed = true;
}

/* Whether there is room for more, because the kernel took something. What it is too short of memory
 * to take stays in the queue. A thread of the kernel's takes it in its own time. */
static bool enter(struct request_queue *queue)
{
    if (io_uring_sq_ready(&queue->uring) == 0)
        return false;
    int submitted = io_uring_submit(&queue->uring);
    assert(submitted >= 0 || submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
    return (submitted > 0 || submitted == -EINTR) && !(queue->uring.flags & IORING_SETUP_SQPOLL);
}

void pst_ring_submit(struct pst_ring *ring)
{
    bool more;
    PST_CHECK_THREAD(&ring->owner);
    do {
        fill(ring);
        more = enter(&ring->usual);
        more |= ring->polls && enter(&ring->polled);
    } while (more);
}

/* Sleeps until the kernel's thread has taken something, if the queue is full. */
static void await_room(struct request_queue *queue)
{
    (void)io_uring_submit(&queue->uring); /* it may sleep */
    (void)io_uring_sqring_wait(&queue->uring);
}

/* The doorbell and all that the kernel may have at once: who sleeps then submits nothing more. */
static void submit_before_sleep(struct pst_ring *ring)
{
    bool has_thread = ring->usual.uring.flags & IORING_SETUP_SQPOLL;
    arm_doorbell(ring);
    if (!ring->doorbell_armed && ring->doorbell_fd >= 0 && has_thread) {
        await_room(&ring->usual);
        arm_doorbell(ring);
    }
    fill(ring);
    if (ring->pending_first || ring->polled.issued > 0)
        pst_ring_submit(ring);
    while (has_thread && ring->pending_first) {
        struct request_queue *queue = request_queue_of(ring, ring->pending_first);
        if (queue->issued == queue->issued_max)
            break;
        await_room(queue);
        pst_ring_submit(ring);
    }
}

static void read_doorbell(struct pst_ring *ring, int result)
{
    uint64_t rings;
    assert(result > 0 || result == -ENOMEM || result == -EAGAIN); /* poll(2) events, or not armed */
    ring->doorbell_armed = false;
    if (result > 0 && (result & POLLIN))
        (void)!read(ring->doorbell_fd, &rings, sizeof(rings)); /* only empties the counter */
}

static bool reap_one(struct pst_ring *ring, struct request_queue *queue)
{
    struct io_uring_cqe *cqe;
    if (io_uring_peek_cqe(&queue->uring, &cqe) != 0)
        return false;
    uint64_t data = cqe->user_data;
    int result = cqe->res;
    io_uring_cqe_seen(&queue->uring, cqe);
    if (data == DOORBELL_DATA) {
        read_doorbell(ring, result);
        return true;
    }
    queue->issued--;
    request_complete(ring, (struct pst_io_op *)(uintptr_t)data, result);
    return true;
}

/* To peek into an empty queue is a system call, in which the kernel looks at the disk once; but for
 * its thread, which looks all the time. */
static unsigned reap_polled(struct pst_ring *ring)
{
    struct io_uring *uring = &ring->polled.uring;
    struct io_uring_cqe *cqe;
    unsigned reaped = 0;
    if (ring->polled.issued == 0)
        return 0;
    if (!(uring->flags & IORING_SETUP_SQPOLL))
        (void)io_uring_peek_cqe(uring, &cqe);
    while (io_uring_cq_ready(uring) > 0 && reap_one(ring, &ring->polled))
        reaped++;
    return reaped;
}

unsigned pst_ring_reap(struct pst_ring *ring)
{
    unsigned reaped = 0;
    PST_CHECK_THREAD(&ring->owner);
    assert(!ring->reaping);
    ring->now_ns = pst_monotonic_ns();
    ring->reaping = true;
    while (reaped <= ring->usual.issued_max && reap_one(ring, &ring->usual))
        reaped++;
    reaped += reap_polled(ring);
    ring->reaping = false;
    return reaped;
}

/* Not in the io_uring: since Linux 6.5 a thread that waits there, with as little as a poll in it,
 * or nothing at all after earlier requests, waits for I/O, by what /proc/stat and /proc/pressure/io
 * say. A poll that is armed still is completed too, and then empties the counter. Without a
 * doorbell it sleeps. */
static unsigned wait_for_doorbell(struct pst_ring *ring, const struct timespec *limit)
{
    struct pollfd doorbell = {.fd = ring->doorbell_fd, .events = POLLIN};
    bool rings = ppoll(&doorbell, 1, limit, NULL) > 0 && !ring->doorbell_armed;
    if (rings)
        read_doorbell(ring, doorbell.revents);
    return pst_ring_reap(ring) + (rings ? 1 : 0);
}

/* Nothing wakes who sleeps when a transfer that is polled has completed. */
static unsigned look_for_completions(struct pst_ring *ring, int64_t timeout_ns)
{
    uint64_t began_ns = pst_monotonic_ns();
    unsigned reaped = pst_ring_reap(ring);
    while (reaped == 0 && (timeout_ns < 0 || ring->now_ns - began_ns < (uint64_t)timeout_ns)) {
        (void)sched_yield(); /* to what the kernel may have to do on this CPU before it completes */
        pst_ring_submit(ring); /* what the kernel was too short of memory to take */
        reaped = pst_ring_reap(ring);
    }
    return reaped;
}

static unsigned sleep_for_completions(struct pst_ring *ring, struct __kernel_timespec *limit)
{
    struct io_uring_cqe *cqe;
    int result = io_uring_submit_and_wait_timeout(&ring->usual.uring, &cqe, 1, limit, NULL);
    assert(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
           result == -EBUSY);
    if (result == -EAGAIN || result == -EBUSY)
        (void)sched_yield(); /* the kernel is short of memory */
    return pst_ring_reap(ring);
}

unsigned pst_ring_wait(struct pst_ring *ring, int64_t timeout_ns)
{
    PST_CHECK_THREAD(&ring->owner);
    assert(timeout_ns >= 0 || ring->in_flight > 0 || ring->doorbell_fd >= 0);
    struct timespec idle = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    struct __kernel_timespec limit = {.tv_sec = idle.tv_sec, .tv_nsec = idle.tv_nsec};
    if (ring->in_flight == 0)
        return wait_for_doorbell(ring, timeout_ns < 0 ? NULL : &idle);
    submit_before_sleep(ring);
    if (ring->polled.issued > 0)
        return look_for_completions(ring, timeout_ns);
    return sleep_for_completions(ring, timeout_ns < 0 ? NULL : &limit);
}

void pst_ring_set_priority(struct pst_ring *ring, enum pst_io_priority priority)
{
    // Not static: newer kernel headers make the value by an inline function.
    const uint16_t priorities[] = {
        [PST_IO_PRIORITY_USUAL] = 0,
        [PST_IO_PRIORITY_LOW] = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7),
    };
    PST_CHECK_THREAD(&ring->owner);
    ring->priority = priorities[priority];
}

void pst_ring_set_gentle(struct pst_ring *ring, bool is_gentle)
{
    PST_CHECK_THREAD(&ring->owner);
    ring->is_gentle = is_gentle;
}

struct pst_ring_transfers pst_ring_take_transfers(struct pst_ring *ring)
{
    PST_CHECK_THREAD(&ring->owner);
    struct pst_ring_transfers taken = ring->transfers;
    if (ring->in_flight > 0) {
        taken.busy_ns += ring->now_ns - ring->busy_since_ns;
        ring->busy_since_ns = ring->now_ns;
    }
    ring->transfers = (struct pst_ring_transfers){0};
    return taken;
}

unsigned pst_ring_in_flight(const struct pst_ring *ring)
{
    return ring->in_flight;
}

const struct pst_io_op *pst_ring_oldest(const struct pst_ring *ring)
{
    PST_CHECK_THREAD(&ring->owner);
    return ring->oldest;
}

void pst_ring_drain(struct pst_ring *ring)
{
    while (ring->in_flight > 0)
        (void)pst_ring_wait(ring, -1);
}
