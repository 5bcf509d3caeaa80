/*
 * What the kernel is asked for, seen in the submission queue: registered buffers and files, the
 * best setup that it has, and an fdatasync before a part is closed, each error of which fails it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "io/fault.h"
#include "io/part_file.h"
#include "io/request.h"
#include "tests/suite.h"
#include "tests/support/io_rig.h"

#define BLOCK 4096u
#define REQUESTS_MAX 64u

static struct scratch scratch;
static struct pst_ring *ring;
static struct pst_io_fault fault;
static char *data;

static struct {
    struct io_uring_sqe all[REQUESTS_MAX];
    const struct io_uring *of[REQUESTS_MAX]; /* where each was seen */
    unsigned count;
    unsigned waits;
} asked;

static void note(const struct io_uring *uring)
{
    const struct io_uring_sq *queue = &uring->sq;
    for (unsigned i = queue->sqe_head; i != queue->sqe_tail; i++) {
        const struct io_uring_sqe *sqe = &queue->sqes[i & *queue->kring_mask];
        if (sqe->opcode != IORING_OP_POLL_ADD && asked.count < REQUESTS_MAX) {
            asked.of[asked.count] = uring;
            asked.all[asked.count++] = *sqe;
        }
    }
}

int __real_io_uring_submit(struct io_uring *uring);
int __wrap_io_uring_submit(struct io_uring *uring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *uring, struct io_uring_cqe **cqe,
                                            unsigned wait, struct __kernel_timespec *limit,
                                            sigset_t *mask);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *uring, struct io_uring_cqe **cqe,
                                            unsigned wait, struct __kernel_timespec *limit,
                                            sigset_t *mask);

/* The linker's names for the calls of liburing that hand the queue over. */
int __wrap_io_uring_submit(struct io_uring *uring)
{
    note(uring);
    return __real_io_uring_submit(uring);
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *uring, struct io_uring_cqe **cqe,
                                            unsigned wait, struct __kernel_timespec *limit,
                                            sigset_t *mask)
{
    note(uring);
    asked.waits++;
    return __real_io_uring_submit_and_wait_timeout(uring, cqe, wait, limit, mask);
}

static int start(void)
{
    const struct pst_ring_options options = {.entries = 16, .files_max = 4, .fault = &fault};
    scratch_open(&scratch, ".");
    data = aligned_buffer(BLOCK);
    fill_pattern(data, BLOCK, 3);
    fault = (struct pst_io_fault){0};
    int error = pst_ring_open(&ring, &options);
    if (!error)
        pst_ring_register_buffers(ring, &(struct iovec){data, BLOCK}, 1);
    return error;
}

static int stop(void)
{
    pst_ring_close(ring);
    free(data);
    scratch_close(&scratch);
    return 0;
}

/* The last request of that kind; NULL: there was none. */
static const struct io_uring_sqe *last(uint8_t opcode)
{
    for (unsigned i = asked.count; i-- > 0;) {
        if (asked.all[i].opcode == opcode)
            return &asked.all[i];
    }
    return NULL;
}

/* Setups and tables of all kernels from that version on. */
static bool is_kernel(unsigned major, unsigned minor)
{
    struct utsname name;
    unsigned found[2] = {0, 0};
    CU_ASSERT_EQUAL_FATAL(uname(&name), 0);
    CU_ASSERT_EQUAL_FATAL(sscanf(name.release, "%u.%u", &found[0], &found[1]), 2);
    return found[0] > major || (found[0] == major && found[1] >= minor);
}

static void the_best_setup_is_in_use(void)
{
    if (is_kernel(6, 1)) {
        unsigned wanted = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
        CU_ASSERT_EQUAL(ring->usual.uring.flags & wanted, wanted);
        CU_ASSERT_EQUAL(ring->setup, PST_RING_SETUP_DEFER_TASKRUN);
    }
    if (is_kernel(5, 19)) {
        CU_ASSERT_EQUAL(ring->files_max, 4);
        CU_ASSERT_EQUAL(ring->files_error, 0);
    }
    CU_ASSERT_EQUAL(ring->buffers_count, 1);
    CU_ASSERT_EQUAL(ring->usual.buffers_error, 0);
}

static void expect_fixed(const struct io_uring_sqe *request, const struct pst_file *file)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    CU_ASSERT_TRUE(request->flags & IOSQE_FIXED_FILE);
    CU_ASSERT_EQUAL(request->fd, file->slot);
}

static void reads_and_writes_use_what_is_registered(void)
{
    struct pst_file file;
    const struct pst_open how = {.dirfd = scratch.dirfd,
                                 .path = "file",
                                 .flags = O_CREAT | O_EXCL | O_RDWR,
                                 .mode = 0600,
                                 .direct = PST_DIRECT_AUTO};
    asked.count = 0;
    CU_ASSERT_EQUAL_FATAL(await_open(ring, &file, &how), 0);
    pst_ring_register_file(ring, &file);
    CU_ASSERT_TRUE_FATAL(file.slot >= 0);
    CU_ASSERT_EQUAL(await_write(ring, &file, data, BLOCK, 0, 0), (int)BLOCK);
    expect_fixed(last(IORING_OP_WRITE_FIXED), &file);
    CU_ASSERT_PTR_NULL(last(IORING_OP_WRITE));
    CU_ASSERT_EQUAL(await_read(ring, &file, data, BLOCK, 0, 0), (int)BLOCK);
    expect_fixed(last(IORING_OP_READ_FIXED), &file);
    CU_ASSERT_PTR_NULL(last(IORING_OP_READ));
    CU_ASSERT_EQUAL(await_write(ring, &file, data, BLOCK, 0, -1), (int)BLOCK);
    expect_fixed(last(IORING_OP_WRITE), &file);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

/* ---- parts ---- */

static int part_result;

static void part_done(struct pst_part_file *part, int result)
{
    (void)part;
    part_result = result;
}

static void write_done(struct pst_io_op *op, int result)
{
    (void)op;
    CU_ASSERT_EQUAL(result, (int)BLOCK);
}

static void write_part(struct pst_part_file *part)
{
    struct pst_io_op op = {.done = write_done};
    scratch_empty(&scratch);
    fault = (struct pst_io_fault){0};
    pst_io_part_create(part, ring, scratch.dirfd, "part", PST_DIRECT_AUTO, part_done);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL_FATAL(part_result, 0);
    pst_io_part_write(part, &op, data, BLOCK, 0, 0);
    pst_ring_drain(ring);
    asked.count = 0;
}

static void finish(struct pst_part_file *part)
{
    pst_io_part_finish(part, part_done);
    pst_ring_drain(ring);
}

/* Cut to its size, synced, and closed after that. */
static void a_part_is_synced_before_it_is_closed(void)
{
    struct pst_part_file part;
    write_part(&part);
    finish(&part);
    CU_ASSERT_EQUAL(part_result, 0);
    const struct io_uring_sqe *sync = last(IORING_OP_FSYNC);
    const struct io_uring_sqe *close = last(IORING_OP_CLOSE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(sync);
    CU_ASSERT_TRUE(sync->fsync_flags & IORING_FSYNC_DATASYNC);
    CU_ASSERT_TRUE(sync > asked.all && sync < close); /* the cut is before both */
}

/* The three requests of a finish, each in its turn. */
static void an_error_at_its_end_fails_a_part(void)
{
    static const char *const steps[] = {"truncate", "fdatasync", "close"};
    for (unsigned i = 0; i < 3; i++) {
        struct pst_part_file part;
        write_part(&part);
        fault = (struct pst_io_fault){.kind = PST_IO_FAULT_ERROR, .at = i + 1, .error = EIO};
        finish(&part);
        CU_ASSERT_EQUAL(fault.hits, 1);
        CU_ASSERT_EQUAL(part_result, -EIO);
        CU_ASSERT_STRING_EQUAL(part.failed_step, steps[i]);
        fault = (struct pst_io_fault){0};
        pst_io_part_abandon(&part, part_done);
        pst_ring_drain(ring);
        CU_ASSERT_EQUAL(part_result, 0);
    }
}

/* Whoever waits for the disk behind one of our requests does not wait long. */
static void a_gentle_ring_asks_for_little_at_once(void)
{
    const uint32_t bytes = 3 * PST_GENTLE_BYTES + BLOCK;
    char *much = aligned_buffer(bytes);
    char *back = aligned_buffer(bytes);
    struct pst_file file;
    const struct pst_open how = {.dirfd = scratch.dirfd,
                                 .path = "much",
                                 .flags = O_CREAT | O_EXCL | O_RDWR,
                                 .mode = 0600,
                                 .direct = PST_DIRECT_OFF};
    fill_pattern(much, bytes, 0);
    CU_ASSERT_EQUAL_FATAL(await_open(ring, &file, &how), 0);
    pst_ring_set_gentle(ring, true);
    (void)pst_ring_take_transfers(ring);
    asked.count = 0;
    CU_ASSERT_EQUAL(await_write(ring, &file, much, bytes, 0, -1), (int)bytes);
    CU_ASSERT_EQUAL(asked.count, 4);
    CU_ASSERT_FALSE(file.no_read_ahead);
    CU_ASSERT_EQUAL(await_read(ring, &file, back, bytes, 0, -1), (int)bytes);
    CU_ASSERT_EQUAL(asked.count, 8);
    CU_ASSERT_TRUE(file.no_read_ahead);
    for (unsigned i = 0; i < asked.count; i++)
        CU_ASSERT_TRUE(asked.all[i].len <= PST_GENTLE_BYTES);
    CU_ASSERT_EQUAL(pst_ring_take_transfers(ring).count, 8);
    CU_ASSERT_TRUE(has_pattern(back, bytes, 0));
    pst_ring_set_gentle(ring, false);
    CU_ASSERT_EQUAL(await_read(ring, &file, back, bytes, 0, -1), (int)bytes);
    CU_ASSERT_EQUAL(asked.count, 9);
    CU_ASSERT_FALSE(file.no_read_ahead);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    free(much);
    free(back);
}

/* Else the kernel counts the thread among those that wait for I/O. */
static void who_has_nothing_in_flight_waits_for_no_io(void)
{
    int event_fd = eventfd(0, EFD_CLOEXEC);
    struct pst_ring *idle;
    CU_ASSERT_EQUAL_FATAL(pst_ring_open(&idle, &(struct pst_ring_options){.entries = 4}), 0);
    asked.waits = 0;
    CU_ASSERT_EQUAL(pst_ring_wait(idle, 1000), 0);
    pst_ring_set_doorbell(idle, event_fd);
    CU_ASSERT_EQUAL(pst_ring_wait(idle, 1000), 0);
    CU_ASSERT_EQUAL(eventfd_write(event_fd, 1), 0);
    CU_ASSERT_EQUAL(pst_ring_wait(idle, -1), 1);
    CU_ASSERT_EQUAL(pst_ring_wait(idle, 1000), 0);
    CU_ASSERT_EQUAL(asked.waits, 0);
    pst_ring_close(idle);
    (void)close(event_fd);
}

/* ---- polling ---- */

static void open_polling(struct pst_ring **opened, bool sqpoll, bool iopoll)
{
    const struct pst_ring_options options = {
        .entries = 4, .files_max = 1, .polling = {.sqpoll = sqpoll, .iopoll = iopoll}};
    CU_ASSERT_EQUAL_FATAL(pst_ring_open(opened, &options), 0);
    pst_ring_register_buffers(*opened, &(struct iovec){data, BLOCK}, 1);
}

static void create_in(const struct scratch *where, struct pst_ring *polls, struct pst_file *file,
                      const char *name, enum pst_direct direct)
{
    const struct pst_open how = {.dirfd = where->dirfd,
                                 .path = name,
                                 .flags = O_CREAT | O_EXCL | O_RDWR,
                                 .mode = 0600,
                                 .direct = direct};
    CU_ASSERT_EQUAL_FATAL(await_open(polls, file, &how), 0);
    asked.count = 0;
}

static void what_is_direct_is_polled(void)
{
    struct pst_ring *polls;
    struct pst_file file, buffered;
    open_polling(&polls, false, true);
    create_in(&scratch, polls, &file, "polled", PST_DIRECT_AUTO);
    pst_ring_register_file(polls, &file);
    CU_ASSERT_EQUAL(await_write(polls, &file, data, BLOCK, 0, 0), (int)BLOCK);
    CU_ASSERT_EQUAL(asked.of[0] == &polls->polled.uring, file.direct);
    CU_ASSERT_EQUAL(asked.all[0].opcode, IORING_OP_WRITE_FIXED);
    CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(polls), "IOPOLL for O_DIRECT"));
    CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(polls), "1 of 1 buffers registered"));
    create_in(&scratch, polls, &buffered, "buffered", PST_DIRECT_OFF);
    CU_ASSERT_EQUAL(await_write(polls, &buffered, data, BLOCK, 0, 0), (int)BLOCK);
    CU_ASSERT_PTR_EQUAL(asked.of[0], &polls->usual.uring);
    CU_ASSERT_EQUAL(asked.count, 1);
    CU_ASSERT_EQUAL(await_close(polls, &file), 0);
    CU_ASSERT_EQUAL(await_close(polls, &buffered), 0);
    pst_ring_close(polls);
    scratch_empty(&scratch);
}

/* Which tmpfs does. It is asked once. */
static void a_device_that_refuses_is_not_polled(void)
{
    struct pst_ring *polls;
    struct pst_file file, next;
    struct scratch memory;
    scratch_open(&memory, "/dev/shm");
    open_polling(&polls, false, true);
    create_in(&memory, polls, &file, "first", PST_DIRECT_AUTO);
    CU_ASSERT_EQUAL(await_write(polls, &file, data, BLOCK, 0, 0), (int)BLOCK);
    if (file.direct) { /* since Linux 6.6 */
        CU_ASSERT_EQUAL(asked.count, 2);
        CU_ASSERT_PTR_EQUAL(asked.of[0], &polls->polled.uring);
        CU_ASSERT_TRUE(pst_ring_refusals(polls) > 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(polls), "but where a device refuses it"));
    }
    CU_ASSERT_PTR_EQUAL(asked.of[asked.count - 1], &polls->usual.uring);
    create_in(&memory, polls, &next, "next", PST_DIRECT_AUTO);
    CU_ASSERT_EQUAL(await_write(polls, &file, data, BLOCK, 0, 0), (int)BLOCK);
    CU_ASSERT_EQUAL(await_write(polls, &next, data, BLOCK, 0, 0), (int)BLOCK);
    CU_ASSERT_EQUAL(asked.count, 2);
    CU_ASSERT_EQUAL(await_close(polls, &file), 0);
    CU_ASSERT_EQUAL(await_close(polls, &next), 0);
    pst_ring_close(polls);
    scratch_close(&memory);
}

/* Those of this process that the kernel has for SQPOLL. */
static unsigned count_sqpoll_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned count = 0;
    CU_ASSERT_PTR_NOT_NULL_FATAL(tasks);
    for (struct dirent *task; (task = readdir(tasks));) {
        char path[300], name[32] = "";
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
        FILE *comm = fopen(path, "r");
        count += comm && fgets(name, sizeof(name), comm) && strncmp(name, "iou-sqp-", 8) == 0;
        if (comm)
            (void)fclose(comm);
    }
    (void)closedir(tasks);
    return count;
}

/* The two of a ring share it. */
static void a_ring_has_one_thread_that_takes_its_requests(void)
{
    struct pst_ring *polls;
    struct pst_file file;
    open_polling(&polls, true, true);
    CU_ASSERT_TRUE(polls->usual.uring.flags & polls->polled.uring.flags & IORING_SETUP_SQPOLL);
    CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(polls), "io_uring: SQPOLL"));
    create_in(&scratch, polls, &file, "taken", PST_DIRECT_AUTO);
    CU_ASSERT_EQUAL(await_write(polls, &file, data, BLOCK, 0, 0), (int)BLOCK);
    CU_ASSERT_EQUAL(count_sqpoll_threads(), 1); /* it has its name by now */
    CU_ASSERT_EQUAL(await_close(polls, &file), 0);
    pst_ring_close(polls);
    scratch_empty(&scratch);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is direct is polled", what_is_direct_is_polled},
        {"a device that refuses is not polled", a_device_that_refuses_is_not_polled},
        {"a ring has one thread that takes its requests",
         a_ring_has_one_thread_that_takes_its_requests},
        {"a gentle ring asks for little at once", a_gentle_ring_asks_for_little_at_once},
        {"who has nothing in flight waits for no I/O", who_has_nothing_in_flight_waits_for_no_io},
        {"the best setup is in use", the_best_setup_is_in_use},
        {"reads and writes use what is registered", reads_and_writes_use_what_is_registered},
        {"a part is synced before it is closed", a_part_is_synced_before_it_is_closed},
        {"an error at its end fails a part", an_error_at_its_end_fails_a_part},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "io requests", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
