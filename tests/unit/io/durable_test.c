/* Small files that must be whole after a crash: written, renamed, removed, read back. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/durable.h"
#include "tests/suite.h"
#include "tests/support/io_rig.h"

static struct scratch scratch;

static int start(void)
{
    scratch_open(&scratch, ".");
    return 0;
}

static int stop(void)
{
    scratch_close(&scratch);
    return 0;
}

static bool file_is(const char *name, const char *expected)
{
    char content[256] = "";
    int fd = openat(scratch.dirfd, name, O_RDONLY);
    ssize_t got = read(fd, content, sizeof(content));
    (void)close(fd);
    return got == (ssize_t)strlen(expected) && memcmp(content, expected, strlen(expected)) == 0;
}

static int write_text(const char *name, const char *text, bool replace)
{
    return pst_durable_write(scratch.dirfd, name, text, strlen(text), replace, NULL);
}

static void test_write_and_replace(void)
{
    unsigned fds = count_open_fds();
    scratch_empty(&scratch);
    CU_ASSERT_EQUAL(write_text("manifest", "one", true), 0);
    CU_ASSERT_TRUE(file_is("manifest", "one"));
    CU_ASSERT_EQUAL(write_text("manifest", "second", true), 0);
    CU_ASSERT_TRUE(file_is("manifest", "second"));
    CU_ASSERT_EQUAL(write_text("empty", "", true), 0);
    CU_ASSERT_TRUE(file_is("empty", ""));
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "empty\nmanifest\n");
    CU_ASSERT_EQUAL(count_open_fds(), fds);
}

static void test_existing_file_is_kept(void)
{
    struct pst_durable_context context = {0};
    scratch_empty(&scratch);
    CU_ASSERT_EQUAL(write_text("manifest", "one", false), 0);
    CU_ASSERT_EQUAL(pst_durable_write(scratch.dirfd, "manifest", "two", 3, false, &context),
                    -EEXIST);
    CU_ASSERT_STRING_EQUAL(context.failed_step, "rename");
    CU_ASSERT_TRUE(file_is("manifest", "one"));
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "manifest\n");
}

static void test_temporary_of_a_crash_is_no_obstacle(void)
{
    scratch_empty(&scratch);
    (void)close(openat(scratch.dirfd, ".manifest.tmp", O_CREAT | O_WRONLY, 0400));
    CU_ASSERT_EQUAL(write_text("manifest", "one", true), 0);
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "manifest\n");
}

static void test_name_that_is_too_long(void)
{
    char name[NAME_MAX + 1];
    struct pst_durable_context context = {0};
    scratch_empty(&scratch);
    memset(name, 'x', NAME_MAX);
    name[NAME_MAX] = '\0';
    CU_ASSERT_EQUAL(pst_durable_write(scratch.dirfd, name, "", 0, true, &context), -ENAMETOOLONG);
    CU_ASSERT_STRING_EQUAL(context.failed_step, "create");
    name[NAME_MAX - 5] = '\0'; /* '.' and ".tmp" fit exactly */
    CU_ASSERT_EQUAL(write_text(name, "", true), 0);
}

static void test_directories(void)
{
    struct stat attributes;
    scratch_empty(&scratch);
    CU_ASSERT_EQUAL(pst_step_mkdir(scratch.dirfd, "dir", 0700, NULL), 0);
    CU_ASSERT_EQUAL(pst_step_mkdir(scratch.dirfd, "dir", 0700, NULL), -EEXIST);
    CU_ASSERT_EQUAL(fstatat(scratch.dirfd, "dir", &attributes, 0), 0);
    CU_ASSERT_TRUE(S_ISDIR(attributes.st_mode));
    CU_ASSERT_EQUAL(pst_durable_unlink(scratch.dirfd, "dir", AT_REMOVEDIR, NULL), 0);
    CU_ASSERT_EQUAL(pst_durable_unlink(scratch.dirfd, "dir", AT_REMOVEDIR, NULL), -ENOENT);
    CU_ASSERT_STRING_EQUAL(scratch_list(&scratch), "");
}

static void test_rename_between_directories(void)
{
    scratch_empty(&scratch);
    CU_ASSERT_EQUAL(pst_step_mkdir(scratch.dirfd, "dir", 0700, NULL), 0);
    int dirfd = openat(scratch.dirfd, "dir", O_RDONLY | O_DIRECTORY);
    CU_ASSERT_EQUAL(write_text("file", "text", true), 0);
    CU_ASSERT_EQUAL(pst_durable_rename(scratch.dirfd, "file", dirfd, "moved", 0, NULL), 0);
    CU_ASSERT_TRUE(file_is("dir/moved", "text"));
    CU_ASSERT_EQUAL(write_text("file", "other", true), 0);
    CU_ASSERT_EQUAL(
        pst_durable_rename(scratch.dirfd, "file", dirfd, "moved", RENAME_NOREPLACE, NULL), -EEXIST);
    CU_ASSERT_TRUE(file_is("dir/moved", "text"));
    CU_ASSERT_EQUAL(pst_durable_unlink(dirfd, "moved", 0, NULL), 0);
    (void)close(dirfd);
}

/* Whether the page cache has any page of a file. */
static bool is_cached(const char *name, size_t bytes)
{
    unsigned char pages[8] = {0};
    int fd = openat(scratch.dirfd, name, O_RDONLY);
    void *mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    CU_ASSERT_NOT_EQUAL_FATAL(mapped, MAP_FAILED);
    CU_ASSERT_EQUAL(mincore(mapped, bytes, pages), 0);
    munmap(mapped, bytes);
    (void)close(fd);
    return memchr(pages, 1, sizeof(pages));
}

static void drop(const char *name)
{
    int fd = openat(scratch.dirfd, name, O_RDONLY);
    CU_ASSERT_EQUAL(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    (void)close(fd);
}

static bool has_direct(const char *name)
{
    int fd = openat(scratch.dirfd, name, O_RDONLY | O_DIRECT);
    return fd >= 0 && close(fd) == 0;
}

/* Where the file system has O_DIRECT, what is read is not in the cache before nor after. */
static void test_stored_is_read_past_the_cache(void)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 9000};
    char text[9000], *bytes;
    size_t size;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        scratch_empty(&scratch);
        CU_ASSERT_EQUAL(pst_durable_write(scratch.dirfd, "file", text, sizes[i], false, NULL), 0);
        drop("file");
        bool can_tell = !is_cached("file", sizes[i]) && has_direct("file");
        CU_ASSERT_EQUAL_FATAL(
            pst_small_file_read_stored(scratch.dirfd, "file", sizes[i], &bytes, &size), 0);
        CU_ASSERT_TRUE(size == sizes[i] && memcmp(bytes, text, size) == 0);
        free(bytes);
        CU_ASSERT_FALSE(can_tell && is_cached("file", sizes[i]));
        CU_ASSERT_EQUAL(
            pst_small_file_read_stored(scratch.dirfd, "file", sizes[i] - 1, &bytes, &size), -EFBIG);
    }
    CU_ASSERT_EQUAL(write_text("empty", "", true), 0);
    CU_ASSERT_EQUAL(pst_small_file_read_stored(scratch.dirfd, "empty", 9, &bytes, &size), 0);
    CU_ASSERT_EQUAL(size, 0);
    free(bytes);
}

static void test_errors_of_the_kernel(void)
{
    struct pst_durable_context context = {0};
    CU_ASSERT_EQUAL(pst_durable_write(-1, "x", "", 0, true, &context), -EBADF);
    CU_ASSERT_STRING_EQUAL(context.failed_step, "create");
    CU_ASSERT_EQUAL(pst_durable_sync_dir(-1, &context), -EBADF);
    CU_ASSERT_STRING_EQUAL(context.failed_step, "fsync of the directory");
    CU_ASSERT_EQUAL(pst_step_mkdir(scratch.dirfd, "no/such/parent", 0700, &context), -ENOENT);
    CU_ASSERT_STRING_EQUAL(context.failed_step, "mkdir");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"write and replace", test_write_and_replace},
        {"existing file is kept", test_existing_file_is_kept},
        {"temporary of a crash is no obstacle", test_temporary_of_a_crash_is_no_obstacle},
        {"name that is too long", test_name_that_is_too_long},
        {"directories", test_directories},
        {"rename between directories", test_rename_between_directories},
        {"stored is read past the cache", test_stored_is_read_past_the_cache},
        {"errors of the kernel", test_errors_of_the_kernel},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "io durable", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
