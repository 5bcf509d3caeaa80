/* The life of a part on disk, with and without preallocation. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/fault.h"
#include "io/part_file.h"
#include "tests/support/file_systems.h"
#include "tests/support/io_rig.h"

#define CHUNK (256u << 10)
#define MIB (1ull << 20)

static struct scratch scratch;
static struct pst_ring *ring;
static struct pst_io_fault fault;
static char *data;
static int part_result;
static unsigned part_calls;
static unsigned writes_done;
static struct pst_ring_polling polling;
static bool preallocates; /* the file system of the suite: tmpfs does not */

static bool was_preallocating; /* when done was called */

static void part_done(struct pst_part_file *part, int result)
{
    was_preallocating = part->preallocating;
    part_result = result;
    part_calls++;
}

static int await_part(void)
{
    part_calls = 0;
    pst_ring_drain(ring);
    if (part_calls != 1) {
        printf("done was called %u times\n", part_calls);
        exit(1);
    }
    return part_result;
}

static int create(struct pst_part_file *part)
{
    pst_io_part_create(part, ring, scratch.dirfd, "part", PST_DIRECT_AUTO, part_done);
    return await_part();
}

static int finish(struct pst_part_file *part)
{
    pst_io_part_finish(part, part_done);
    return await_part();
}

static int abandon(struct pst_part_file *part)
{
    pst_io_part_abandon(part, part_done);
    return await_part();
}

static void write_done(struct pst_io_op *op, int result)
{
    (void)op;
    writes_done += result == (int)CHUNK;
}

/* All at once, last first: offsets are the caller's choice. */
static void write_chunks(struct pst_part_file *part, unsigned chunks, int buffer_index)
{
    struct pst_io_op *ops = calloc(chunks, sizeof(*ops));
    writes_done = 0;
    for (unsigned i = chunks; i-- > 0;) {
        ops[i].done = write_done;
        pst_io_part_write(part, &ops[i], data, CHUNK, (uint64_t)i * CHUNK, buffer_index);
    }
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(writes_done, chunks);
    free(ops);
}

static bool part_holds(unsigned chunks)
{
    char *content = aligned_buffer(CHUNK);
    int fd = openat(scratch.dirfd, "part", O_RDONLY);
    bool same = true;
    for (unsigned i = 0; i < chunks; i++)
        same = same && read(fd, content, CHUNK) == (ssize_t)CHUNK && !memcmp(content, data, CHUNK);
    same = same && read(fd, content, CHUNK) == 0;
    (void)close(fd);
    free(content);
    return same;
}

static void look_for_preallocation(void)
{
    struct pst_part_file part;
    if (create(&part) != 0)
        return;
    preallocates = part.preallocates;
    (void)abandon(&part);
}

static int start_in(const char *base)
{
    struct pst_ring_options options = {
        .entries = 16, .files_max = 4, .polling = polling, .fault = &fault};
    scratch_open(&scratch, base);
    data = aligned_buffer(CHUNK);
    fill_pattern(data, CHUNK, 3);
    fault = (struct pst_io_fault){0};
    int error = pst_ring_open(&ring, &options);
    if (error)
        return error;
    pst_ring_register_buffers(ring, &(struct iovec){data, CHUNK}, 1);
    look_for_preallocation();
    return preallocates && strcmp(base, "/dev/shm") == 0; /* tmpfs zeroes what it preallocates */
}

static int stop(void)
{
    pst_ring_close(ring);
    free(data);
    scratch_close(&scratch);
    return 0;
}

static void before_each(void)
{
    fault = (struct pst_io_fault){0};
    scratch_empty(&scratch);
}

static void check_whole_part(unsigned chunks, int buffer_index)
{
    struct pst_part_file part;
    unsigned fds = count_open_fds();
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    CU_ASSERT_TRUE(part.file.slot >= 0);
    write_chunks(&part, chunks, buffer_index);
    CU_ASSERT_EQUAL(finish(&part), 0);
    CU_ASSERT_EQUAL(part.file.fd, -1);
    CU_ASSERT_TRUE(part_holds(chunks));
    CU_ASSERT_EQUAL(count_open_fds(), fds);
}

static void test_whole_parts(void)
{
    check_whole_part(1, 0);
    check_whole_part(7, -1);
    check_whole_part(200, 0);
}

static void test_empty_part(void)
{
    check_whole_part(0, -1);
}

static void check_allocation(const struct pst_part_file *part)
{
    CU_ASSERT_TRUE(part->preallocate_error == 0 || part->preallocate_error == -EOPNOTSUPP);
    if (!part->preallocates)
        return;
    CU_ASSERT_TRUE(part->allocated_bytes >= part->size_bytes + 8 * MIB);
    CU_ASSERT_TRUE(part->allocated_bytes <= part->size_bytes + 1024 * MIB);
}

static void test_allocation_stays_ahead_and_bounded(void)
{
    struct pst_part_file part;
    struct stat attributes;
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    CU_ASSERT_EQUAL(part.preallocates, preallocates);
    CU_ASSERT_EQUAL(was_preallocating, preallocates); /* a part that is made waits for none of it */
    check_allocation(&part);
    write_chunks(&part, 60, 0);
    check_allocation(&part);
    CU_ASSERT_EQUAL(finish(&part), 0);
    CU_ASSERT_TRUE(part_holds(60));
    CU_ASSERT_EQUAL(fstatat(scratch.dirfd, "part", &attributes, 0), 0);
    CU_ASSERT_TRUE((uint64_t)attributes.st_blocks * 512 < 16 * MIB); /* nothing left beyond */
    CU_ASSERT_EQUAL(attributes.st_mode & 07777, 0600);
}

static void test_next_step_of_preallocation(void)
{
    struct pst_part_file part;
    struct pst_io_op op = {.done = write_done};
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    uint64_t first_step_bytes = part.allocated_bytes;
    pst_io_part_write(&part, &op, data, CHUNK, first_step_bytes, -1);
    pst_ring_drain(ring);
    check_allocation(&part);
    CU_ASSERT_TRUE(!preallocates || part.allocated_bytes > first_step_bytes);
    CU_ASSERT_EQUAL(finish(&part), 0);
    CU_ASSERT_EQUAL(part.size_bytes, first_step_bytes + CHUNK);
}

static void test_part_without_preallocation(void)
{
    struct pst_part_file part;
    if (!preallocates)
        return;
    before_each();
    fault = (struct pst_io_fault){.kind = PST_IO_FAULT_ERROR, .at = 2, .error = EOPNOTSUPP};
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    CU_ASSERT_EQUAL(fault.hits, 1);
    CU_ASSERT_EQUAL(part.preallocate_error, -EOPNOTSUPP);
    write_chunks(&part, 100, 0);
    CU_ASSERT_EQUAL(finish(&part), 0);
    CU_ASSERT_TRUE(part_holds(100));
}

static void test_abandon_waits_for_preallocation(void)
{
    struct pst_part_file part;
    struct pst_io_op op = {.done = write_done};
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    writes_done = 0;
    pst_io_part_write(&part, &op, data, CHUNK, part.allocated_bytes, -1);
    CU_ASSERT_EQUAL(part.preallocating, preallocates);
    while (writes_done == 0)
        (void)pst_ring_wait(ring, -1);
    CU_ASSERT_EQUAL(abandon(&part), 0);
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "");
}

static void test_existing_file_is_kept(void)
{
    struct pst_part_file part;
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    write_chunks(&part, 2, 0);
    CU_ASSERT_EQUAL(finish(&part), 0);
    CU_ASSERT_EQUAL(create(&part), -EEXIST);
    CU_ASSERT_STRING_EQUAL(part.failed_step, "create");
    CU_ASSERT_TRUE(part_holds(2));
}

static void test_abandoned_part_is_gone(void)
{
    struct pst_part_file part;
    unsigned fds = count_open_fds();
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    write_chunks(&part, 3, 0);
    CU_ASSERT_EQUAL(abandon(&part), 0);
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "");
    CU_ASSERT_EQUAL(count_open_fds(), fds);
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    CU_ASSERT_EQUAL(finish(&part), 0);
    CU_ASSERT_EQUAL(abandon(&part), 0); /* also when it is closed already */
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "");
}

/* Whoever has removed it has taken its name for another. */
static void test_another_file_of_that_name_stays(void)
{
    struct pst_part_file part;
    before_each();
    CU_ASSERT_EQUAL_FATAL(create(&part), 0);
    CU_ASSERT_EQUAL(unlinkat(scratch.dirfd, "part", 0), 0);
    int fd = openat(scratch.dirfd, "part", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(close(fd), 0);
    CU_ASSERT_EQUAL(abandon(&part), 0);
    CU_ASSERT_EQUAL(unlinkat(scratch.dirfd, "part", 0), 0);
}

/* Written whole and finished, then abandoned all the same; or abandoned while it is open. */
static void test_discarded_part_leaves_nothing(void)
{
    for (unsigned finishes = 0; finishes < 2; finishes++) {
        struct pst_part_file part;
        before_each();
        pst_io_part_discard(&part, ring, part_done);
        CU_ASSERT_EQUAL(await_part(), 0);
        CU_ASSERT_TRUE(part.in_memory && !part.preallocates);
        write_chunks(&part, 4, 0);
        CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "");
        if (finishes) {
            CU_ASSERT_EQUAL(finish(&part), 0);
            part_calls = 0;
            pst_io_part_abandon(&part, part_done);
            CU_ASSERT_EQUAL(part_calls, 1);
        } else {
            CU_ASSERT_EQUAL(abandon(&part), 0);
        }
        CU_ASSERT_EQUAL(part.file.fd, -1);
    }
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"whole parts", test_whole_parts},
        {"empty part", test_empty_part},
        {"allocation stays ahead and bounded", test_allocation_stays_ahead_and_bounded},
        {"next step of preallocation", test_next_step_of_preallocation},
        {"part without preallocation", test_part_without_preallocation},
        {"abandon waits for preallocation", test_abandon_waits_for_preallocation},
        {"existing file is kept", test_existing_file_is_kept},
        {"abandoned part is gone", test_abandoned_part_is_gone},
        {"another file of that name stays", test_another_file_of_that_name_stays},
        {"discarded part leaves nothing", test_discarded_part_leaves_nothing},
        CU_TEST_INFO_NULL,
    };
    polling = polling_of(argc, argv);
    return run_on_disk_and_tmpfs("io part file", start_in, stop, tests);
}
