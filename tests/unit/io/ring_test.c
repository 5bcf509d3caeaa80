/* The ring itself: its setups, queues, completions, doorbell and tables. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"
#include "tests/support/child.h"
#include "tests/support/io_rig.h"

#define BLOCK 4096u

static struct scratch scratch;
static struct pst_ring_polling polling;

static struct pst_ring *open_ring(unsigned entries, unsigned files_max, enum pst_ring_setup setup)
{
    struct pst_ring *ring = NULL;
    struct pst_ring_options options = {
        .entries = entries, .files_max = files_max, .first_setup = setup, .polling = polling};
    int error = pst_ring_open(&ring, &options);
    if (error) {
        printf("no ring: %s\n", strerror(-error));
        exit(1);
    }
    return ring;
}

static int create(struct pst_ring *ring, struct pst_file *file, const char *name)
{
    struct pst_open how = {.dirfd = scratch.dirfd,
                           .path = name,
                           .flags = O_CREAT | O_EXCL | O_RDWR,
                           .mode = 0600,
                           .direct = PST_DIRECT_AUTO};
    return await_open(ring, file, &how);
}

/* Writes and reads one block of a new file through the ring. */
static void check_round_trip(struct pst_ring *ring, char *data, int buffer_index)
{
    struct pst_file file;
    CU_ASSERT_EQUAL_FATAL(create(ring, &file, "round-trip"), 0);
    pst_ring_register_file(ring, &file);
    fill_pattern(data, BLOCK, 7);
    CU_ASSERT_EQUAL(await_write(ring, &file, data, BLOCK, BLOCK, buffer_index), (int)BLOCK);
    memset(data, 0, BLOCK);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, BLOCK, BLOCK, buffer_index), (int)BLOCK);
    CU_ASSERT_TRUE(has_pattern(data, BLOCK, 7));
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    CU_ASSERT_EQUAL(file.fd, -1);
    CU_ASSERT_EQUAL(unlinkat(scratch.dirfd, "round-trip", 0), 0);
}

static void test_every_setup_of_the_ladder_works(void)
{
    static const char *const texts[] = {"DEFER_TASKRUN", "COOP_TASKRUN", "plain setup"};
    char *data = aligned_buffer(BLOCK);
    struct iovec buffer = {.iov_base = data, .iov_len = BLOCK};
    for (unsigned i = PST_RING_SETUP_DEFER_TASKRUN; i <= PST_RING_SETUP_PLAIN; i++) {
        struct pst_ring *ring = open_ring(8, 2, (enum pst_ring_setup)i);
        if (i == PST_RING_SETUP_PLAIN &&
            !polling.sqpoll) /* an old kernel may fall from the others */
            CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(ring), texts[i]));
        check_round_trip(ring, data, -1);
        pst_ring_register_buffers(ring, &buffer, 1);
        check_round_trip(ring, data, 0);
        printf("\n    %s", pst_ring_describe(ring));
        CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(ring), ", 0 of 2 files registered"));
        pst_ring_close(ring);
    }
    free(data);
}

static void test_ring_without_tables(void)
{
    char *data = aligned_buffer(BLOCK);
    struct pst_ring *ring = open_ring(1, 0, PST_RING_SETUP_DEFER_TASKRUN);
    check_round_trip(ring, data, -1);
    CU_ASSERT_PTR_NULL(strstr(pst_ring_describe(ring), "files"));
    CU_ASSERT_PTR_NULL(strstr(pst_ring_describe(ring), "buffers"));
    pst_ring_close(ring);
    free(data);
}

static bool is_in_memory(void *block)
{
    unsigned char state = 0;
    CU_ASSERT_EQUAL(mincore(block, BLOCK, &state), 0);
    return state & 1;
}

/* It is read into before this program has touched it: to register it brings it in. */
static void test_buffers_are_registered_when_they_are_first_named(void)
{
    struct iovec buffers[2];
    struct pst_file file;
    struct pst_ring *ring = open_ring(4, 1, PST_RING_SETUP_DEFER_TASKRUN);
    for (unsigned i = 0; i < 2; i++) {
        buffers[i].iov_len = (size_t)2 * BLOCK;
        buffers[i].iov_base = mmap(NULL, buffers[i].iov_len, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CU_ASSERT_NOT_EQUAL_FATAL(buffers[i].iov_base, MAP_FAILED);
    }
    pst_ring_register_buffers(ring, buffers, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(pst_ring_describe(ring), ", 0 of 2 buffers registered"));
    CU_ASSERT_EQUAL_FATAL(create(ring, &file, "named"), 0);
    CU_ASSERT_EQUAL(await_write(ring, &file, buffers[0].iov_base, BLOCK, 0, 0), (int)BLOCK);
    CU_ASSERT_EQUAL(await_read(ring, &file, buffers[0].iov_base, BLOCK, 0, 0), (int)BLOCK);
    char *unread = (char *)buffers[0].iov_base + BLOCK;
    if (strstr(pst_ring_describe(ring), "1 of 2 buffers registered")) /* or there is a limit */
        CU_ASSERT_TRUE(is_in_memory(unread));
    CU_ASSERT_FALSE(is_in_memory(buffers[1].iov_base)); /* Linux before 5.19: it is */
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    pst_ring_close(ring);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(munmap(buffers[i].iov_base, buffers[i].iov_len), 0);
}

#define DEEP 1000u

struct deep_write {
    struct pst_io_op op;
    int result;
    unsigned calls;
};

static void deep_write_done(struct pst_io_op *op, int result)
{
    struct deep_write *write = PST_IO_OP_OF(op, struct deep_write, op);
    write->result = result;
    write->calls++;
}

static unsigned count_done_once(const struct deep_write *writes)
{
    unsigned done = 0;
    for (unsigned i = 0; i < DEEP; i++)
        done += writes[i].calls == 1 && writes[i].result == (int)BLOCK;
    return done;
}

static void test_more_operations_than_the_queue_holds(void)
{
    char *data = aligned_buffer(DEEP * BLOCK);
    struct deep_write *writes = calloc(DEEP, sizeof(*writes));
    struct pst_ring *ring = open_ring(4, 1, PST_RING_SETUP_DEFER_TASKRUN);
    struct pst_file file;
    fill_pattern(data, DEEP * BLOCK, 0);
    CU_ASSERT_EQUAL_FATAL(create(ring, &file, "deep"), 0);
    for (unsigned i = 0; i < DEEP; i++) {
        writes[i].op.done = deep_write_done;
        pst_io_write(ring, &writes[i].op, &file, data + i * BLOCK, BLOCK, i * BLOCK, -1);
    }
    CU_ASSERT_EQUAL(pst_ring_in_flight(ring), DEEP);
    CU_ASSERT_EQUAL(file.in_flight, DEEP);
    pst_ring_submit(ring);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(pst_ring_in_flight(ring), 0);
    CU_ASSERT_EQUAL(file.in_flight, 0);
    CU_ASSERT_EQUAL(count_done_once(writes), DEEP);
    memset(data, 0, DEEP * BLOCK);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, DEEP * BLOCK, 0, -1), (int)(DEEP * BLOCK));
    CU_ASSERT_TRUE(has_pattern(data, DEEP * BLOCK, 0));
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    pst_ring_close(ring);
    free(writes);
    free(data);
}

/* Each completion starts the next operation, with the same struct. */
struct chain {
    struct pst_io_op op;
    struct pst_ring *ring;
    struct pst_file *file;
    char *data;
    unsigned left;
};

static void chain_done(struct pst_io_op *op, int result)
{
    struct chain *chain = PST_IO_OP_OF(op, struct chain, op);
    CU_ASSERT_EQUAL(result, (int)BLOCK);
    if (--chain->left > 0)
        pst_io_write(chain->ring, op, chain->file, chain->data, BLOCK, 0, -1);
}

static void test_completions_start_operations(void)
{
    struct pst_ring *ring = open_ring(2, 1, PST_RING_SETUP_DEFER_TASKRUN);
    struct pst_file file;
    CU_ASSERT_EQUAL_FATAL(create(ring, &file, "chain"), 0);
    struct chain chain = {.op.done = chain_done,
                          .ring = ring,
                          .file = &file,
                          .data = aligned_buffer(BLOCK),
                          .left = 50};
    pst_io_write(ring, &chain.op, &file, chain.data, BLOCK, 0, -1);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(chain.left, 0);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    pst_ring_close(ring);
    free(chain.data);
}

static void test_reap_does_not_block_and_sees_completions(void)
{
    struct pst_ring *ring = open_ring(4, 0, PST_RING_SETUP_DEFER_TASKRUN);
    struct deep_write unlink = {.op.done = deep_write_done};
    CU_ASSERT_EQUAL(pst_ring_reap(ring), 0);
    io_unlink(ring, &unlink.op, scratch.dirfd, "not-there", 0);
    CU_ASSERT_EQUAL(pst_ring_reap(ring), 0); /* nothing was submitted */
    pst_ring_submit(ring);
    while (unlink.calls == 0)
        (void)pst_ring_reap(ring);
    CU_ASSERT_EQUAL(unlink.result, -ENOENT);
    CU_ASSERT_EQUAL(unlink.calls, 1);
    pst_ring_close(ring);
}

static void test_wait_ends_at_its_timeout(void)
{
    struct pst_ring *ring = open_ring(4, 0, PST_RING_SETUP_DEFER_TASKRUN);
    CU_ASSERT_EQUAL(pst_ring_wait(ring, 1000000), 0);
    CU_ASSERT_EQUAL(pst_ring_wait(ring, 0), 0);
    pst_ring_close(ring);
}

static void *ring_doorbell(void *argument)
{
    const int *event_fd = argument;
    (void)usleep(20000); /* long enough for the other thread to be asleep, usually */
    return eventfd_write(*event_fd, 1) == 0 ? argument : NULL;
}

static void check_doorbell(int flags, enum pst_ring_setup setup)
{
    int event_fd = eventfd(0, EFD_CLOEXEC | flags);
    struct pst_ring *ring = open_ring(4, 0, setup);
    pst_ring_set_doorbell(ring, event_fd);
    for (unsigned i = 0; i < 3; i++) {
        pthread_t thread;
        void *rung = NULL;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ring_doorbell, &event_fd), 0);
        while (pst_ring_wait(ring, -1) == 0)
            ; /* a signal */
        CU_ASSERT_EQUAL(pthread_join(thread, &rung), 0);
        CU_ASSERT_PTR_NOT_NULL(rung);
        CU_ASSERT_EQUAL(pst_ring_wait(ring, 0), 0); /* it was read to zero */
    }
    pst_ring_close(ring);
    (void)close(event_fd);
}

static void test_doorbell_wakes_from_another_thread(void)
{
    for (unsigned i = PST_RING_SETUP_DEFER_TASKRUN; i <= PST_RING_SETUP_PLAIN; i++) {
        check_doorbell(0, (enum pst_ring_setup)i);
        check_doorbell(EFD_NONBLOCK, (enum pst_ring_setup)i);
    }
}

static void test_doorbell_rung_before_the_wait_is_not_lost(void)
{
    int event_fd = eventfd(0, EFD_CLOEXEC);
    struct pst_ring *ring = open_ring(4, 0, PST_RING_SETUP_DEFER_TASKRUN);
    pst_ring_set_doorbell(ring, event_fd);
    CU_ASSERT_EQUAL(eventfd_write(event_fd, 5), 0);
    CU_ASSERT_EQUAL(pst_ring_wait(ring, -1), 1);
    CU_ASSERT_EQUAL(pst_ring_wait(ring, 0), 0);
    pst_ring_close(ring);
    (void)close(event_fd);
}

static void count_done(struct pst_io_op *op, int result)
{
    (void)op;
    CU_ASSERT_EQUAL(result, 1);
}

/* Then the doorbell is armed in the ring, and stays so when the rest has ended. */
static void check_doorbell_beside_what_is_in_flight(unsigned entries)
{
    int event_fd = eventfd(0, EFD_CLOEXEC), ends[2];
    struct pst_ring *ring = open_ring(entries, 0, PST_RING_SETUP_DEFER_TASKRUN);
    struct pst_file file = {.slot = -1, .align_bytes = 1};
    struct pst_io_op op = {.done = count_done};
    char byte = 0;
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    file.fd = ends[0];
    pst_ring_set_doorbell(ring, event_fd);
    pst_io_read(ring, &op, &file, &byte, 1, 0, -1);
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(eventfd_write(event_fd, 1), 0);
        CU_ASSERT_EQUAL(pst_ring_wait(ring, -1), 1);
        CU_ASSERT_EQUAL(pst_ring_in_flight(ring), 1);
    }
    CU_ASSERT_EQUAL(pst_ring_wait(ring, 0), 0); /* it is armed again */
    CU_ASSERT_EQUAL(write(ends[1], "x", 1), 1);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(byte, 'x');
    CU_ASSERT_EQUAL(eventfd_write(event_fd, 1), 0);
    while (pst_ring_wait(ring, -1) == 0)
        ;
    CU_ASSERT_EQUAL(pst_ring_wait(ring, 1000), 0); /* it was read to zero, once */
    CU_ASSERT_EQUAL(eventfd_write(event_fd, 1), 0);
    CU_ASSERT_EQUAL(pst_ring_wait(ring, -1), 1);
    pst_ring_close(ring);
    (void)close(event_fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void test_doorbell_rings_beside_what_is_in_flight(void)
{
    check_doorbell_beside_what_is_in_flight(4);
    check_doorbell_beside_what_is_in_flight(1); /* it takes the whole queue */
}

/* Also where that is looked for without a pause. */
static void test_doorbell_rings_beside_transfers(void)
{
    int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct pst_ring *ring = open_ring(2, 1, PST_RING_SETUP_DEFER_TASKRUN);
    struct pst_file file;
    eventfd_t rings;
    CU_ASSERT_EQUAL_FATAL(create(ring, &file, "beside"), 0);
    struct chain chain = {.op.done = chain_done,
                          .ring = ring,
                          .file = &file,
                          .data = aligned_buffer(BLOCK),
                          .left = 50};
    pst_ring_set_doorbell(ring, event_fd);
    CU_ASSERT_EQUAL(eventfd_write(event_fd, 1), 0);
    pst_io_write(ring, &chain.op, &file, chain.data, BLOCK, 0, -1);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(chain.left, 0);
    CU_ASSERT_EQUAL(eventfd_read(event_fd, &rings), -1);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    pst_ring_close(ring);
    (void)close(event_fd);
    free(chain.data);
}

static void test_full_file_table_is_no_error(void)
{
    struct pst_ring *ring = open_ring(4, 1, PST_RING_SETUP_DEFER_TASKRUN);
    char *data = aligned_buffer(BLOCK);
    struct pst_file first;
    struct pst_file second;
    CU_ASSERT_EQUAL_FATAL(create(ring, &first, "first"), 0);
    CU_ASSERT_EQUAL_FATAL(create(ring, &second, "second"), 0);
    pst_ring_register_file(ring, &first);
    pst_ring_register_file(ring, &second);
    CU_ASSERT_EQUAL(first.slot, 0);
    CU_ASSERT_EQUAL(second.slot, -1);
    CU_ASSERT_EQUAL(await_write(ring, &first, data, BLOCK, 0, -1), (int)BLOCK);
    CU_ASSERT_EQUAL(await_write(ring, &second, data, BLOCK, 0, -1), (int)BLOCK);
    CU_ASSERT_EQUAL(await_close(ring, &first), 0);
    pst_ring_register_file(ring, &second);
    CU_ASSERT_EQUAL(second.slot, 0);
    CU_ASSERT_EQUAL(await_write(ring, &second, data, BLOCK, BLOCK, -1), (int)BLOCK);
    CU_ASSERT_EQUAL(await_close(ring, &second), 0);
    pst_ring_close(ring);
    free(data);
}

#define LIMITED_BYTES (1u << 20)
#define LIMITED_USER                                                                               \
    65533 /* what a user has locked counts together: not the one of other tests                    \
           */

/* In a child without CAP_IPC_LOCK: 0 if the second buffer was refused, and writes work all the
 * same. */
static int write_under_memlock_limit(void)
{
    struct rlimit limit = {.rlim_cur = 65536, .rlim_max = 65536};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        (geteuid() == 0 && setresuid(LIMITED_USER, LIMITED_USER, LIMITED_USER)))
        return 77;
    struct pst_ring *ring = open_ring(4, 1, PST_RING_SETUP_DEFER_TASKRUN);
    char *data = aligned_buffer(LIMITED_BYTES);
    const struct iovec buffers[] = {{data, BLOCK}, {data + BLOCK, LIMITED_BYTES - BLOCK}};
    struct pst_file file;
    pst_ring_register_buffers(ring, buffers, 2);
    if (create(ring, &file, "limited") != 0)
        return 3;
    for (int i = 0; i < 4; i++) {
        const struct iovec *buffer = &buffers[i % 2];
        int bytes = (int)buffer->iov_len;
        if (await_write(ring, &file, buffer->iov_base, (uint32_t)bytes, 0, i % 2) != bytes)
            return 4;
        if (i > 0 &&
            pst_ring_refusals(ring) == 0) /* the first one too, if the user has locked more */
            return 2;
    }
    printf("\n    %s", pst_ring_describe(ring));
    (void)fflush(stdout);
    if (!strstr(pst_ring_describe(ring), "not registered (Cannot allocate memory"))
        return 2;
    if (await_close(ring, &file) != 0)
        return 5;
    pst_ring_close(ring);
    free(data);
    return 0;
}

static void test_memlock_limit_leaves_buffers_unregistered(void)
{
    CU_ASSERT_EQUAL(fchmod(scratch.dirfd, 0777), 0);
    CU_ASSERT_EQUAL(child_run(write_under_memlock_limit), 0);
}

static void test_open_says_why_it_failed(void)
{
    struct rlimit old_limit;
    struct rlimit none = {0};
    struct pst_ring *ring;
    struct pst_ring_options options = {.entries = 4};
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old_limit), 0);
    none.rlim_max = old_limit.rlim_max;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    CU_ASSERT_EQUAL(pst_ring_open(&ring, &options), -EMFILE);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old_limit), 0);
}

int main(int argc, char **argv)
{
    polling = polling_of(argc, argv);
    scratch_open(&scratch, ".");
    CU_TestInfo tests[] = {
        {"every setup of the ladder works", test_every_setup_of_the_ladder_works},
        {"ring without tables", test_ring_without_tables},
        {"buffers are registered when they are first named",
         test_buffers_are_registered_when_they_are_first_named},
        {"more operations than the queue holds", test_more_operations_than_the_queue_holds},
        {"completions start operations", test_completions_start_operations},
        {"reap does not block and sees completions", test_reap_does_not_block_and_sees_completions},
        {"wait ends at its timeout", test_wait_ends_at_its_timeout},
        {"doorbell wakes from another thread", test_doorbell_wakes_from_another_thread},
        {"doorbell rings beside what is in flight", test_doorbell_rings_beside_what_is_in_flight},
        {"doorbell rings beside transfers", test_doorbell_rings_beside_transfers},
        {"doorbell rung before the wait is not lost",
         test_doorbell_rung_before_the_wait_is_not_lost},
        {"full file table is no error", test_full_file_table_is_no_error},
        {"memlock limit leaves buffers unregistered",
         test_memlock_limit_leaves_buffers_unregistered},
        {"open says why it failed", test_open_says_why_it_failed},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {{.pName = "io ring", .pTests = tests}, CU_SUITE_INFO_NULL};
    int status = suites_run(suites);
    scratch_close(&scratch);
    return status;
}
