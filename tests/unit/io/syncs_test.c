/* The system calls of small durable files, by the linker's --wrap: which sync follows on what, and
 * that an error of any is an error of the whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/durable.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static int other_dirfd;
static bool is_on;
static char calls[64];   /* w: write, f: fsync of a file, d: of scratch, o: of other, r: rename,
                            u: unlink, c: close of a file */
static unsigned fail_at; /* counts down; 0: none fails */
static bool reads_nothing, writes_little;

static bool note(char call)
{
    size_t length = strlen(calls);
    if (!is_on)
        return false;
    if (length + 1 < sizeof(calls)) {
        calls[length] = call;
        calls[length + 1] = '\0';
    }
    errno = EIO;
    return fail_at > 0 && --fail_at == 0;
}

static char sync_of(int fd)
{
    return fd == scratch.dirfd ? 'd' : fd == other_dirfd ? 'o' : 'f';
}

/* The linker's names for the calls of the program. */
#define WRAP(result, call, name, parameters, arguments)                                            \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        return note(call) ? -1 : __real_##name arguments;                                          \
    }

WRAP(int, sync_of(fd), fsync, (int fd), (fd))
WRAP(int, 'r', renameat, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to))
WRAP(int, 'r', renameat2,
     (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags))
WRAP(int, 'u', unlinkat, (int fd, const char *name, int flags), (fd, name, flags))

ssize_t __real_pwrite(int fd, const void *data, size_t bytes, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size);

ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    return note('w') ? -1 : __real_pwrite(fd, data, writes_little ? 1 : bytes, at);
}

/* The descriptor is gone whatever it returns. */
int __wrap_close(int fd)
{
    bool fails = note('c');
    int result = __real_close(fd);
    errno = fails ? EIO : errno;
    return fails ? -1 : result;
}

ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    return reads_nothing ? 0 : __real_read(fd, bytes, size);
}

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

static void put(const char *name)
{
    int fd = openat(scratch.dirfd, name, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CU_ASSERT_EQUAL(write(fd, "old", 3), 3);
    close(fd);
}

static int write_new(void)
{
    return pst_durable_write(scratch.dirfd, "new", "text", 4, false, NULL);
}

static int replace(void)
{
    return pst_durable_write(scratch.dirfd, "old", "text", 4, true, NULL);
}

static int move(void)
{
    return pst_durable_rename(scratch.dirfd, "old", other_dirfd, "moved", 0, NULL);
}

static int rename_old(void)
{
    return pst_durable_rename(scratch.dirfd, "old", scratch.dirfd, "renamed", 0, NULL);
}

static int remove_old(void)
{
    return pst_durable_unlink(scratch.dirfd, "old", 0, NULL);
}

static int sync_directory(void)
{
    return pst_durable_sync_dir(scratch.dirfd, NULL);
}

/* Leaves the calls in `calls`. The first unlink of a write, of what a crash left, may fail. */
static int call(int (*function)(void), unsigned nth)
{
    scratch_empty(&scratch);
    CU_ASSERT_EQUAL_FATAL(mkdirat(scratch.dirfd, "other", 0700), 0);
    other_dirfd = openat(scratch.dirfd, "other", O_RDONLY | O_DIRECTORY);
    put("old");
    calls[0] = '\0';
    fail_at = nth;
    is_on = true;
    int error = function();
    is_on = false;
    bool was_met = fail_at == 0;
    fail_at = 0;
    (void)unlinkat(other_dirfd, "moved", 0);
    close(other_dirfd);
    return nth > 0 && !was_met ? 1 : error;
}

static const struct {
    int (*function)(void);
    const char *calls;
} functions[] = {
    {write_new, "uwfcrd"}, {replace, "uwfcrd"}, {move, "rod"},
    {rename_old, "rd"},    {remove_old, "ud"},  {sync_directory, "d"},
};
#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

static void each_change_is_synced(void)
{
    for (size_t i = 0; i < FUNCTIONS; i++) {
        CU_ASSERT_EQUAL(call(functions[i].function, 0), 0);
        CU_ASSERT_STRING_EQUAL(calls, functions[i].calls);
    }
}

static void an_error_of_any_is_an_error(void)
{
    for (size_t i = 0; i < FUNCTIONS; i++) {
        bool is_write = functions[i].calls[0] == 'u' && functions[i].calls[1] == 'w';
        for (unsigned nth = is_write ? 2 : 1;; nth++) {
            int error = call(functions[i].function, nth);
            if (error == 1)
                break;
            CU_ASSERT_EQUAL(error, -EIO);
            if (is_write && functions[i].function == write_new)
                CU_ASSERT_EQUAL(faccessat(scratch.dirfd, "new", F_OK, 0), -1);
        }
    }
}

static void a_short_write_is_continued(void)
{
    char *bytes = NULL;
    size_t size = 0;
    writes_little = true;
    CU_ASSERT_EQUAL(call(write_new, 0), 0);
    writes_little = false;
    CU_ASSERT_STRING_EQUAL(calls, "uwwwwfcrd");
    CU_ASSERT_EQUAL_FATAL(pst_small_file_read(scratch.dirfd, "new", 10, &bytes, &size), 0);
    CU_ASSERT_TRUE(size == 4 && memcmp(bytes, "text", 4) == 0);
    free(bytes);
}

static void a_file_that_is_cut_while_it_is_read_is_told(void)
{
    char *bytes = NULL;
    size_t size = 0;
    scratch_empty(&scratch);
    put("old");
    reads_nothing = true;
    CU_ASSERT_EQUAL(pst_small_file_read(scratch.dirfd, "old", 10, &bytes, &size), -PST_E_CHANGED);
    reads_nothing = false;
    CU_ASSERT_EQUAL(pst_small_file_read(scratch.dirfd, "old", 10, &bytes, &size), 0);
    CU_ASSERT_EQUAL(size, 3);
    free(bytes);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"each change is synced", each_change_is_synced},
        {"an error of any is an error", an_error_of_any_is_an_error},
        {"a short write is continued", a_short_write_is_continued},
        {"a file that is cut while it is read is told",
         a_file_that_is_cut_while_it_is_read_is_told},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "io syncs", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
