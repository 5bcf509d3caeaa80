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

/* The kernel may give a ring the memory of one that another thread closed, and liburing maps and
 * unmaps by system calls of its own: without this, ThreadSanitizer does not see their order. */
static atomic_uint lives;

struct setup {
    unsigned flags;
    const char *text;
};

static const struct setup setups[] = {
    [PST_RING_SETUP_DEFER_TASKRUN] = {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                          IORING_SETUP_TASKRUN_FLAG,
                                      "SINGLE_ISSUER DEFER_TASKRUN"},
    [PST_RING_SETUP_COOP_TASKRUN] = {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
                                     "COOP_TASKRUN"},
    [PST_RING_SETUP_PLAIN] = {0, "plain setup"},
};

static int init_queues(struct pst_ring *ring, unsigned entries, enum pst_ring_setup first)
{
    int error = -EINVAL;
    for (unsigned i = first; i <= PST_RING_SETUP_PLAIN && error == -EINVAL; i++) {
        struct io_uring_params params = {.flags = setups[i].flags};
        error = io_uring_queue_init_params(entries, &ring->uring, &params);
        ring->setup = i;
        ring->issued_max =
            params.cq_entries - 1; /* one is the doorbell's: the CQ never overflows */
    }
    if (error)
        return error;
    atomic_fetch_add(&lives, 1);
    ring->entries = entries;
    if ((ring->uring.features & NEEDED_FEATURES) != NEEDED_FEATURES) {
        io_uring_queue_exit(&ring->uring);
        return -ENOSYS;
    }
    return 0;
}

static void register_ring_fd(struct pst_ring *ring)
{
    int registered = io_uring_register_ring_fd(&ring->uring);
    ring->ring_fd_error = registered < 0 ? registered : 0;
}

static void register_file_table(struct pst_ring *ring, unsigned files_max)
{
    if (!files_max)
        return;
    ring->files_error = io_uring_register_files_sparse(&ring->uring, files_max);
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
    int error = init_queues(ring, options->entries, options->first_setup);
    if (error) {
        free(ring);
        return error;
    }
    register_ring_fd(ring);
    register_file_table(ring, options->files_max);
    ring->kernel_truncates = request_kernel_truncates(&ring->uring);
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
    io_uring_queue_exit(&ring->uring);
    free(ring->buffers);
    free(ring);
}

void pst_ring_register_buffers(struct pst_ring *ring, const struct iovec *buffers, unsigned count)
{
    PST_CHECK_THREAD(&ring->owner);
    assert(ring->buffers_count == 0 && count > 0);
    size_t bytes = count * sizeof(*buffers);
    ring->buffers_error = -ENOMEM;
    ring->buffers = malloc(bytes);
    if (!ring->buffers)
        return;
    memcpy(ring->buffers, buffers, bytes);
    ring->buffers_count = count;
    ring->buffers_error = io_uring_register_buffers_sparse(&ring->uring, count);
    if (ring->buffers_error != -EINVAL)
        return;
    ring->buffers_error = io_uring_register_buffers(&ring->uring, buffers, count);
    if (!ring->buffers_error)
        memset(ring->buffers, 0, bytes);
}

bool pst_ring_is_refused(const struct pst_ring *ring)
{
    return ring->files_error || ring->buffers_error;
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

/* Those that a transfer has named. */
static unsigned count_registered(const struct pst_ring *ring)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ring->buffers_count; i++)
        count += !ring->buffers[i].iov_base;
    return count;
}

const char *pst_ring_describe(struct pst_ring *ring)
{
    char files[128] = "";
    char buffers[160] = "";
    (void)describe_registered(files, sizeof(files), ring->files_max - ring->slots_free,
                              ring->files_max, ring->files_error, "files", "");
    (void)describe_registered(buffers, sizeof(buffers), count_registered(ring), ring->buffers_count,
                              ring->buffers_error, "buffers",
                              ": raise the memlock limit, ulimit -l");
    (void)snprintf(ring->description, sizeof(ring->description), "io_uring: %s, %u entries%s%s%s%s",
                   setups[ring->setup].text, ring->entries,
                   ring->ring_fd_error ? "" : ", registered ring", files, buffers,
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
    while (ring->pending_first && ring->issued < ring->issued_max) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
        if (!sqe)
            return;
        struct pst_io_op *op = dequeue(ring);
        request_prepare(ring, op, sqe);
        io_uring_sqe_set_data(sqe, op);
        ring->issued++;
    }
}

static void arm_doorbell(struct pst_ring *ring)
{
    if (ring->doorbell_fd < 0 || ring->doorbell_armed)
        return;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);
    if (!sqe)
        return; /* the kernel is short of memory and took nothing: wait() will come again */
    io_uring_prep_poll_add(sqe, ring->doorbell_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, DOORBELL_DATA);
    ring->doorbell_armed = true;
}

/* Whether the kernel took something. What it is too short of memory to take stays in the queue. */
static bool enter(struct pst_ring *ring)
{
    int submitted = io_uring_submit(&ring->uring);
    assert(submitted >= 0 || submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
    return submitted > 0 || submitted == -EINTR;
}

void pst_ring_submit(struct pst_ring *ring)
{
    PST_CHECK_THREAD(&ring->owner);
    fill(ring);
    while (io_uring_sq_ready(&ring->uring) > 0 && enter(ring))
        fill(ring);
}

static void read_doorbell(struct pst_ring *ring, int result)
{
    uint64_t rings;
    assert(result > 0 || result == -ENOMEM || result == -EAGAIN); /* poll(2) events, or not armed */
    ring->doorbell_armed = false;
    if (result > 0 && (result & POLLIN))
        (void)!read(ring->doorbell_fd, &rings, sizeof(rings)); /* only empties the counter */
}

static bool reap_one(struct pst_ring *ring)
{
    struct io_uring_cqe *cqe;
    if (io_uring_peek_cqe(&ring->uring, &cqe) != 0)
        return false;
    uint64_t data = cqe->user_data;
    int result = cqe->res;
    io_uring_cqe_seen(&ring->uring, cqe);
    if (data == DOORBELL_DATA) {
        read_doorbell(ring, result);
        return true;
    }
    ring->issued--;
    request_complete(ring, (struct pst_io_op *)(uintptr_t)data, result);
    return true;
}

unsigned pst_ring_reap(struct pst_ring *ring)
{
    unsigned reaped = 0;
    PST_CHECK_THREAD(&ring->owner);
    assert(!ring->reaping);
    ring->now_ns = pst_monotonic_ns();
    ring->reaping = true;
    while (reaped <= ring->issued_max && reap_one(ring))
        reaped++;
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

static unsigned wait_for_completions(struct pst_ring *ring, struct __kernel_timespec *limit)
{
    struct io_uring_cqe *cqe;
    arm_doorbell(ring);
    fill(ring);
    if (ring->pending_first)
        pst_ring_submit(ring);
    int result = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, limit, NULL);
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
    return wait_for_completions(ring, timeout_ns < 0 ? NULL : &limit);
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
