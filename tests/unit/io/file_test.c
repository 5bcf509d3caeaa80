/* Operations on files, on disk and on tmpfs: transfers, faults, O_DIRECT, and what a failure
 * leaves. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/fault.h"
#include "io/file.h"
#include "tests/support/child.h"
#include "tests/support/file_systems.h"
#include "tests/support/io_rig.h"

#define FILE_BYTES 10000u
#define ROOM_BYTES 65536u
#define BLOCK 4096u

/* The suites run the same tests on disk and on tmpfs, which hides alignment bugs. */
static struct scratch scratch;
static struct pst_ring *ring;
static struct pst_io_fault fault;
static struct pst_ring_polling polling;
static char *data;

static int start_in(const char *base)
{
    struct pst_ring_options options = {
        .entries = 8, .files_max = 4, .polling = polling, .fault = &fault};
    scratch_open(&scratch, base);
    data = aligned_buffer(ROOM_BYTES);
    return pst_ring_open(&ring, &options);
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
    memset(data, 0xee, ROOM_BYTES);
}

static void make_file(const char *name, size_t bytes)
{
    int fd = openat(scratch.dirfd, name, O_CREAT | O_EXCL | O_WRONLY, 0640);
    char *content = aligned_buffer(bytes);
    fill_pattern(content, bytes, 0);
    CU_ASSERT_EQUAL_FATAL(write(fd, content, bytes), (ssize_t)bytes);
    (void)close(fd);
    free(content);
}

static bool file_is(const char *name, size_t bytes)
{
    int fd = openat(scratch.dirfd, name, O_RDONLY);
    char *content = aligned_buffer(bytes + 1);
    ssize_t got = read(fd, content, bytes + 1);
    bool same = got == (ssize_t)bytes && has_pattern(content, bytes, 0);
    (void)close(fd);
    free(content);
    return same;
}

static int open_file(struct pst_file *file, const char *name, int flags, enum pst_direct direct)
{
    struct pst_open how = {
        .dirfd = scratch.dirfd, .path = name, .flags = flags, .mode = 0600, .direct = direct};
    return await_open(ring, file, &how);
}

static void check_read_at_eof(enum pst_direct direct)
{
    struct pst_file file;
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "short", O_RDONLY, direct), 0);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, 16384, 0, -1), (int)FILE_BYTES);
    CU_ASSERT_TRUE(has_pattern(data, FILE_BYTES, 0));
    memset(data, 0, ROOM_BYTES);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, BLOCK, 8192, -1), (int)FILE_BYTES - 8192);
    CU_ASSERT_TRUE(has_pattern(data, FILE_BYTES - 8192, 8192));
    CU_ASSERT_EQUAL(await_read(ring, &file, data, BLOCK, 12288, -1), 0);
    memset(data, 0, ROOM_BYTES);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, FILE_BYTES, 0, -1), (int)FILE_BYTES);
    CU_ASSERT_TRUE(has_pattern(data, FILE_BYTES, 0));
    CU_ASSERT_EQUAL(await_read(ring, &file, data, 100, 0, -1), 100);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

static void test_read_is_short_only_at_the_end(void)
{
    before_each();
    make_file("short", FILE_BYTES);
    check_read_at_eof(PST_DIRECT_AUTO);
    check_read_at_eof(PST_DIRECT_OFF);
}

static void test_file_that_ends_on_a_block(void)
{
    before_each();
    struct pst_file file;
    make_file("blocks", 2 * BLOCK);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "blocks", O_RDONLY, PST_DIRECT_AUTO), 0);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 0, -1), (int)(2 * BLOCK));
    CU_ASSERT_TRUE(has_pattern(data, 2 * BLOCK, 0));
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

/* The blocks of the second file from its second one on stand for those from the third on here. */
static void test_file_that_goes_on_in_another(void)
{
    before_each();
    struct pst_file file, rest;
    make_file("first", 5 * BLOCK);
    make_file("rest", 3 * BLOCK);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "first", O_RDONLY, PST_DIRECT_AUTO), 0);
    CU_ASSERT_EQUAL_FATAL(open_file(&rest, "rest", O_RDONLY, PST_DIRECT_AUTO), 0);
    file.rest = &rest;
    file.rest_at = 2 * BLOCK;
    file.rest_from = BLOCK;
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 0, -1), (int)(2 * BLOCK));
    CU_ASSERT_TRUE(has_pattern(data, 2 * BLOCK, 0));
    CU_ASSERT_EQUAL(await_read(ring, &file, data, 2 * BLOCK, BLOCK, -1), (int)BLOCK);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 2 * BLOCK, -1), (int)(2 * BLOCK));
    CU_ASSERT_TRUE(has_pattern(data, 2 * BLOCK, BLOCK));
    CU_ASSERT_EQUAL(await_read(ring, &file, data, BLOCK, 3 * BLOCK, -1), (int)BLOCK);
    CU_ASSERT_TRUE(has_pattern(data, BLOCK, 2 * BLOCK));
    CU_ASSERT_EQUAL(await_read(ring, &file, data, BLOCK, 4 * BLOCK, -1), 0);
    CU_ASSERT_EQUAL(await_close(ring, &rest), 0);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

static void test_exact_read_of_a_small_file_is_one_request(void)
{
    before_each();
    struct pst_file file;
    make_file("small", 1000);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "small", O_RDONLY, PST_DIRECT_AUTO), 0);
    fault.seen = 0;
    CU_ASSERT_EQUAL(await_read(ring, &file, data, (uint32_t)file.size_bytes, 0, -1), 1000);
    CU_ASSERT_EQUAL(fault.seen, 1);
    CU_ASSERT_TRUE(has_pattern(data, 1000, 0));
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

/* Shorts of one request, at every place where alignment may break, are continued. */
static void check_short_transfers(enum pst_direct direct, uint32_t short_bytes)
{
    struct pst_file file;
    before_each();
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "file", O_CREAT | O_EXCL | O_RDWR, direct), 0);
    fault = (struct pst_io_fault){.kind = PST_IO_FAULT_SHORT, .at = 1, .short_bytes = short_bytes};
    fill_pattern(data, ROOM_BYTES, 0);
    CU_ASSERT_EQUAL(await_write(ring, &file, data, ROOM_BYTES, 0, -1), (int)ROOM_BYTES);
    CU_ASSERT_EQUAL(fault.hits, 1);
    CU_ASSERT_EQUAL(fault.seen, 2);
    memset(data, 0, ROOM_BYTES);
    fault = (struct pst_io_fault){.kind = PST_IO_FAULT_SHORT, .at = 1, .short_bytes = short_bytes};
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 0, -1), (int)ROOM_BYTES);
    CU_ASSERT_EQUAL(fault.hits, 1);
    CU_ASSERT_TRUE(has_pattern(data, ROOM_BYTES, 0));
    CU_ASSERT_FALSE(file.direct_refused);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    CU_ASSERT_TRUE(file_is("file", ROOM_BYTES));
}

static void test_short_transfers_are_continued(void)
{
    static const uint32_t sizes[] = {1, 511, 512, 513, 4095, 4096, 4097, ROOM_BYTES - 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_short_transfers(PST_DIRECT_AUTO, sizes[i]);
        check_short_transfers(PST_DIRECT_OFF, sizes[i]);
    }
}

static int write_with_fault(struct pst_file *file, int error)
{
    fault = (struct pst_io_fault){.kind = PST_IO_FAULT_ERROR, .at = 1, .error = error};
    fill_pattern(data, ROOM_BYTES, 0);
    return await_write(ring, file, data, ROOM_BYTES, 0, -1);
}

static void test_interrupted_requests_are_repeated_and_errors_reported(void)
{
    before_each();
    struct pst_file file;
    int flags = O_CREAT | O_EXCL | O_RDWR;
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "file", flags, PST_DIRECT_AUTO), 0);
    CU_ASSERT_EQUAL(write_with_fault(&file, EIO), -EIO);
    CU_ASSERT_EQUAL(write_with_fault(&file, ENOSPC), -ENOSPC);
    CU_ASSERT_FALSE(file_is("file", ROOM_BYTES));
    CU_ASSERT_EQUAL(write_with_fault(&file, EINTR), (int)ROOM_BYTES);
    CU_ASSERT_TRUE(file_is("file", ROOM_BYTES));
    CU_ASSERT_EQUAL(write_with_fault(&file, EAGAIN), (int)ROOM_BYTES);
    fault = (struct pst_io_fault){.kind = PST_IO_FAULT_ERROR, .at = 1, .error = EINTR};
    CU_ASSERT_EQUAL(await_close(ring, &file), 0); /* not repeated: the descriptor is gone */
    CU_ASSERT_EQUAL(fault.seen, 1);
}

static void test_direct_refused_by_the_first_write_falls_back(void)
{
    before_each();
    struct pst_file file;
    int flags = O_CREAT | O_EXCL | O_RDWR;
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "auto", flags, PST_DIRECT_AUTO), 0);
    if (file.direct) {
        CU_ASSERT_EQUAL(write_with_fault(&file, EINVAL), (int)ROOM_BYTES);
        CU_ASSERT_TRUE(file.direct_refused);
        CU_ASSERT_FALSE(file.direct);
        CU_ASSERT_EQUAL(fcntl(file.fd, F_GETFL) & O_DIRECT, 0);
        CU_ASSERT_TRUE(file_is("auto", ROOM_BYTES));
        CU_ASSERT_PTR_NOT_NULL(strstr(pst_file_describe(&file), "refused"));
    }
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    if (open_file(&file, "on", flags, PST_DIRECT_ON) == 0) {
        CU_ASSERT_EQUAL(write_with_fault(&file, EINVAL), -EINVAL);
        CU_ASSERT_TRUE(file.direct);
        CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    }
}

static void test_direct_is_used_where_the_file_system_has_it(void)
{
    before_each();
    struct pst_file file;
    make_file("file", FILE_BYTES);
    int fd = openat(scratch.dirfd, "file", O_RDONLY | O_DIRECT);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "file", O_RDONLY, PST_DIRECT_AUTO), 0);
    CU_ASSERT_EQUAL(file.direct, fd >= 0);
    CU_ASSERT_EQUAL(file.direct_refused, fd < 0);
    CU_ASSERT_TRUE(file.align_bytes >= 1 && file.align_bytes <= 4096);
    CU_ASSERT_EQUAL(file.align_bytes & (file.align_bytes - 1), 0);
    printf("\n    %s: %s", scratch.path, pst_file_describe(&file));
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "file", O_RDONLY, PST_DIRECT_OFF), 0);
    CU_ASSERT_FALSE(file.direct || file.direct_refused);
    CU_ASSERT_STRING_EQUAL(pst_file_describe(&file), "buffered");
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    if (fd >= 0)
        (void)close(fd);
}

/* Of the pages of the file; -1: the kernel does not answer. */
static int count_cached(const char *name)
{
    const uint64_t all[2] = {0, ROOM_BYTES};
    uint64_t pages[5];
    int fd = openat(scratch.dirfd, name, O_RDONLY);
    long error = syscall(451 /* cachestat */, fd, all, pages, 0u);
    (void)close(fd);
    return error ? -1 : (int)pages[0];
}

/* Reads a part of the file into the page cache, and no more. */
static void cache(const char *name, size_t bytes)
{
    int fd = openat(scratch.dirfd, name, O_RDONLY);
    CU_ASSERT_EQUAL(fsync(fd), 0);
    CU_ASSERT_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    CU_ASSERT_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
    for (size_t at = 0; at < bytes; at += BLOCK)
        CU_ASSERT_EQUAL(pread(fd, data, BLOCK, (off_t)at), (ssize_t)BLOCK);
    (void)close(fd);
}

/* Whether a file of which so much is cached, and which is to be read from there on, is read past
 * the page cache. */
static bool is_direct_as(enum pst_direct direct, size_t cached_bytes, struct pst_io_range range)
{
    struct pst_file file;
    cache("large", cached_bytes);
    struct pst_open how = {.dirfd = scratch.dirfd,
                           .path = "large",
                           .flags = O_RDONLY,
                           .direct = direct,
                           .cold = range};
    CU_ASSERT_EQUAL_FATAL(await_open(ring, &file, &how), 0);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 0, -1), (int)ROOM_BYTES);
    CU_ASSERT_TRUE(has_pattern(data, ROOM_BYTES, 0));
    bool is_direct = file.direct;
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    return is_direct;
}

static bool is_direct_with(size_t cached_bytes, struct pst_io_range range)
{
    return is_direct_as(PST_DIRECT_COLD, cached_bytes, range);
}

/* Makes the file; whether it can be read past the page cache, which tmpfs does not let go. */
static bool make_large(void)
{
    struct pst_file file;
    before_each();
    make_file("large", ROOM_BYTES);
    cache("large", 0);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "large", O_RDONLY, PST_DIRECT_AUTO), 0);
    bool can = file.direct && count_cached("large") == 0;
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    return can;
}

static void test_what_the_page_cache_lacks_is_read_past_it(void)
{
    static const struct pst_io_range whole = {0, ROOM_BYTES},
                                     end = {ROOM_BYTES / 2, ROOM_BYTES / 2};
    bool expected = make_large();
    CU_ASSERT_EQUAL(is_direct_with(0, whole), expected);
    if (expected)
        CU_ASSERT_EQUAL(count_cached("large"), 0);
    CU_ASSERT_EQUAL(is_direct_with(ROOM_BYTES / 2 - BLOCK, whole), expected);
    CU_ASSERT_FALSE(is_direct_with(ROOM_BYTES / 2, whole));
    CU_ASSERT_EQUAL(is_direct_with(ROOM_BYTES / 2, end), expected);
    CU_ASSERT_FALSE(is_direct_with(ROOM_BYTES, whole));
    CU_ASSERT_FALSE(is_direct_with(0, (struct pst_io_range){0, 0}));
}

static void test_what_the_page_cache_has_is_read_from_it(void)
{
    static const struct pst_io_range none = {0, 0};
    const size_t most = ROOM_BYTES / 8 * 7;
    bool expected = make_large();
    if (count_cached("large") < 0)
        return;
    CU_ASSERT_EQUAL(is_direct_as(PST_DIRECT_UNLESS_CACHED, 0, none), expected);
    CU_ASSERT_EQUAL(is_direct_as(PST_DIRECT_UNLESS_CACHED, most - BLOCK, none), expected);
    if (expected)
        CU_ASSERT_EQUAL(count_cached("large"), most / BLOCK - 1);
    CU_ASSERT_FALSE(is_direct_as(PST_DIRECT_UNLESS_CACHED, most, none));
    CU_ASSERT_FALSE(is_direct_as(PST_DIRECT_UNLESS_CACHED, ROOM_BYTES, none));
}

/* LMDB writes by write(2), or with MDB_WRITEMAP into a mapping; neither need be on the disk. */
static void test_what_is_not_on_the_disk_yet_is_read(bool by_mapping)
{
    static const struct pst_io_range whole = {0, ROOM_BYTES};
    char fresh[BLOCK];
    before_each();
    make_file("large", ROOM_BYTES);
    cache("large", 0);
    memset(fresh, 'x', sizeof(fresh));
    int fd = openat(scratch.dirfd, "large", O_RDWR);
    char *mapped = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(mapped, MAP_FAILED);
    CU_ASSERT_EQUAL(madvise(mapped, ROOM_BYTES, MADV_RANDOM), 0);
    if (by_mapping)
        memcpy(mapped + BLOCK, fresh, BLOCK);
    else
        CU_ASSERT_EQUAL(pwrite(fd, fresh, BLOCK, BLOCK), (ssize_t)BLOCK);
    struct pst_file file;
    struct pst_open how = {.dirfd = scratch.dirfd,
                           .path = "large",
                           .flags = O_RDONLY,
                           .direct = PST_DIRECT_COLD,
                           .cold = whole};
    CU_ASSERT_EQUAL_FATAL(await_open(ring, &file, &how), 0);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 0, -1), (int)ROOM_BYTES);
    CU_ASSERT_EQUAL(memcmp(data + BLOCK, fresh, BLOCK), 0);
    CU_ASSERT_TRUE(has_pattern(data, BLOCK, 0));
    CU_ASSERT_TRUE(has_pattern(data + 2 * (size_t)BLOCK, BLOCK, 2 * BLOCK));
    if (by_mapping) /* once more, of a page that is mapped for writing and was written back */
        memset(mapped + BLOCK, 'y', BLOCK);
    CU_ASSERT_EQUAL(await_read(ring, &file, data, ROOM_BYTES, 0, -1), (int)ROOM_BYTES);
    CU_ASSERT_EQUAL(data[BLOCK], by_mapping ? 'y' : 'x');
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    CU_ASSERT_EQUAL(munmap(mapped, ROOM_BYTES), 0);
    (void)close(fd);
}

static void test_dirty_pages_are_seen_past_the_page_cache(void)
{
    test_what_is_not_on_the_disk_yet_is_read(false);
    test_what_is_not_on_the_disk_yet_is_read(true);
}

static void test_attributes_are_those_of_the_open(void)
{
    before_each();
    struct pst_file file;
    struct stat expected;
    make_file("file", FILE_BYTES);
    CU_ASSERT_EQUAL(fstatat(scratch.dirfd, "file", &expected, 0), 0);
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "file", O_RDWR, PST_DIRECT_OFF), 0);
    CU_ASSERT_EQUAL(file.size_bytes, FILE_BYTES);
    CU_ASSERT_EQUAL(file.mode, expected.st_mode);
    CU_ASSERT_EQUAL(file.inode, expected.st_ino);
    CU_ASSERT_EQUAL(file.mtime_ns, expected.st_mtim.tv_sec * 1000000000 + expected.st_mtim.tv_nsec);
    CU_ASSERT_EQUAL(ftruncate(file.fd, 1), 0);
    CU_ASSERT_EQUAL(pst_file_stat(&file), 0);
    CU_ASSERT_EQUAL(file.size_bytes, 1);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

static void test_failed_opens_leave_nothing(void)
{
    before_each();
    struct pst_file file;
    struct pst_open how = {.dirfd = scratch.dirfd, .path = "../outside", .beneath = true};
    unsigned fds = count_open_fds();
    CU_ASSERT_EQUAL(open_file(&file, "not-there", O_RDONLY, PST_DIRECT_AUTO), -ENOENT);
    CU_ASSERT_EQUAL(await_open(ring, &file, &how), -EXDEV);
    CU_ASSERT_EQUAL(symlinkat("/etc/passwd", scratch.dirfd, "link"), 0);
    how.path = "link";
    CU_ASSERT_EQUAL(await_open(ring, &file, &how), -ELOOP);
    CU_ASSERT_EQUAL(file.fd, -1);
    how.path = "/dev/null";
    how.beneath = false;
    how.direct = PST_DIRECT_ON;
    CU_ASSERT_EQUAL(await_open(ring, &file, &how), -EINVAL);
    CU_ASSERT_EQUAL(file.fd, -1);
    how.direct = PST_DIRECT_AUTO;
    CU_ASSERT_EQUAL(await_open(ring, &file, &how), 0);
    CU_ASSERT_TRUE(file.direct_refused);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
    CU_ASSERT_EQUAL(count_open_fds(), fds);
}

struct other {
    struct pst_io_op op;
    int result;
};

static void other_done(struct pst_io_op *op, int result)
{
    PST_IO_OP_OF(op, struct other, op)->result = result;
}

static int unlink_file(const char *name)
{
    struct other other = {.op.done = other_done};
    io_unlink(ring, &other.op, scratch.dirfd, name, 0);
    pst_ring_drain(ring);
    return other.result;
}

static void test_unlink(void)
{
    before_each();
    make_file("a", 1);
    make_file("b", 2);
    CU_ASSERT_EQUAL(unlink_file("b"), 0);
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "a\n");
    CU_ASSERT_EQUAL(unlink_file("b"), -ENOENT);
    CU_ASSERT_EQUAL(unlink_file("a"), 0);
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "");
}

static void check_sizes(struct pst_file *file)
{
    struct other other = {.op.done = other_done};
    io_fallocate(ring, &other.op, file, 0, 0, 8 * BLOCK);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(other.result, 0);
    CU_ASSERT_EQUAL(pst_file_stat(file), 0);
    CU_ASSERT_EQUAL(file->size_bytes, 8 * BLOCK);
    io_truncate(ring, &other.op, file, BLOCK);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(other.result, 0);
    CU_ASSERT_EQUAL(pst_file_stat(file), 0);
    CU_ASSERT_EQUAL(file->size_bytes, BLOCK);
    io_fdatasync(ring, &other.op, file);
    pst_ring_drain(ring);
    CU_ASSERT_EQUAL(other.result, 0);
}

static void test_allocate_truncate_sync(void)
{
    before_each();
    struct pst_file file;
    int flags = O_CREAT | O_EXCL | O_RDWR;
    CU_ASSERT_EQUAL_FATAL(open_file(&file, "file", flags, PST_DIRECT_AUTO), 0);
    check_sizes(&file);
    pst_ring_register_file(ring, &file);
    CU_ASSERT_TRUE(file.slot >= 0);
    check_sizes(&file);
    CU_ASSERT_EQUAL(await_close(ring, &file), 0);
}

/* ramfs knows no O_DIRECT. In a child: the mount is seen by nobody else. */
static int create_on_ramfs(void)
{
    struct pst_ring_options options = {.entries = 4};
    struct pst_file file;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", scratch.path, "ramfs", 0, NULL) != 0)
        return 77;
    scratch.dirfd = open(scratch.path, O_RDONLY | O_DIRECTORY);
    if (scratch.dirfd < 0 || pst_ring_open(&ring, &options) != 0)
        return 2;
    if (open_file(&file, "on", O_CREAT | O_EXCL | O_RDWR, PST_DIRECT_ON) != -EINVAL)
        return 3;
    if (strcmp(scratch_list(&scratch), "") != 0)
        return 4;
    if (open_file(&file, "auto", O_CREAT | O_EXCL | O_RDWR, PST_DIRECT_AUTO) != 0)
        return 5;
    if (!file.direct_refused || await_write(ring, &file, data, BLOCK, 0, -1) != (int)BLOCK)
        return 6;
    if (await_close(ring, &file) != 0)
        return 7;
    return 0;
}

/* Needs root, to mount; exits 77 without. */
static int run_without_direct(void)
{
    if (start_in(".") != 0)
        return 1;
    int code = child_report("file system without O_DIRECT", "mounting a ramfs needs root",
                            create_on_ramfs);
    (void)stop();
    return code;
}

int main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"read is short only at the end", test_read_is_short_only_at_the_end},
        {"file that ends on a block", test_file_that_ends_on_a_block},
        {"file that goes on in another", test_file_that_goes_on_in_another},
        {"exact read of a small file is one request",
         test_exact_read_of_a_small_file_is_one_request},
        {"short transfers are continued", test_short_transfers_are_continued},
        {"interrupted requests are repeated and errors reported",
         test_interrupted_requests_are_repeated_and_errors_reported},
        {"direct refused by the first write falls back",
         test_direct_refused_by_the_first_write_falls_back},
        {"direct is used where the file system has it",
         test_direct_is_used_where_the_file_system_has_it},
        {"what the page cache lacks is read past it",
         test_what_the_page_cache_lacks_is_read_past_it},
        {"what the page cache has is read from it", test_what_the_page_cache_has_is_read_from_it},
        {"dirty pages are seen past the page cache", test_dirty_pages_are_seen_past_the_page_cache},
        {"attributes are those of the open", test_attributes_are_those_of_the_open},
        {"failed opens leave nothing", test_failed_opens_leave_nothing},
        {"unlink", test_unlink},
        {"allocate, truncate, sync", test_allocate_truncate_sync},
        CU_TEST_INFO_NULL,
    };
    if (argc == 2 && strcmp(argv[1], "without-direct") == 0)
        return run_without_direct();
    polling = polling_of(argc, argv);
    return run_on_disk_and_tmpfs("io file", start_in, stop, tests);
}
