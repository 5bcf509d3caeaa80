/* The names in a directory; and that a read error is none of them, nor their end. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/beneath.h"
#include "io/directory.h"
#include "tests/suite.h"
#include "tests/support/scratch.h"

static struct scratch scratch;
static int fails_after = -1; /* readdir(3) calls that still work; -1: all */

struct dirent *__real_readdir(DIR *stream);
struct dirent *__wrap_readdir(DIR *stream);

/* The linker's name for every readdir() of the program. */
struct dirent *__wrap_readdir(DIR *stream)
{
    if (fails_after == 0) {
        errno = EIO;
        return NULL;
    }
    fails_after -= fails_after > 0;
    return __real_readdir(stream);
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

static void make_files(void)
{
    scratch_empty(&scratch);
    for (const char *name = "abc"; *name; name++)
        (void)close(openat(scratch.dirfd, (const char[]){*name, '\0'}, O_CREAT | O_WRONLY, 0600));
}

/* How many names there are before the end or the error, which is *result. */
static int count(int dirfd, const char *name, int *result)
{
    struct pst_directory directory;
    const char *found;
    int names = 0;
    *result = pst_directory_open(&directory, dirfd, name);
    if (*result)
        return -1;
    while ((*result = pst_directory_next(&directory, &found)) > 0) {
        CU_ASSERT_TRUE(strlen(found) == 1 && strchr("abc", *found));
        names++;
    }
    pst_directory_close(&directory);
    return names;
}

static void all_names_and_no_dots(void)
{
    unsigned fds = count_open_fds();
    int result;
    make_files();
    CU_ASSERT_EQUAL(count(scratch.dirfd, ".", &result), 3);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(count(scratch.dirfd, ".", &result), 3); /* dirfd has no position in it */
    CU_ASSERT_EQUAL(mkdirat(scratch.dirfd, "empty", 0700), 0);
    CU_ASSERT_EQUAL(count(scratch.dirfd, "empty", &result), 0);
    CU_ASSERT_EQUAL(result, 0);
    CU_ASSERT_EQUAL(count_open_fds(), fds);
}

static void what_is_no_directory_is_an_error(void)
{
    int result;
    make_files();
    CU_ASSERT_EQUAL(symlinkat(".", scratch.dirfd, "link"), 0);
    CU_ASSERT_EQUAL(count(scratch.dirfd, "a", &result), -1);
    CU_ASSERT_EQUAL(result, -ENOTDIR);
    CU_ASSERT_EQUAL(count(scratch.dirfd, "link", &result), -1);
    CU_ASSERT_EQUAL(result, -ENOTDIR);
    CU_ASSERT_EQUAL(count(scratch.dirfd, "none", &result), -1);
    CU_ASSERT_EQUAL(result, -ENOENT);
    CU_ASSERT_EQUAL(count(-1, ".", &result), -1);
    CU_ASSERT_EQUAL(result, -EBADF);
}

static void a_read_error_is_not_the_end(void)
{
    int result;
    make_files();
    for (int works = 0; works <= 5; works++) { /* the last call, after "." and "..", too */
        fails_after = works;
        CU_ASSERT_TRUE(count(scratch.dirfd, ".", &result) <= works);
        CU_ASSERT_EQUAL(result, -EIO);
    }
    fails_after = -1;
}

/* io/beneath.c loops over a directory too. */
static void a_tree_that_cannot_be_read_is_not_removed(void)
{
    make_files();
    CU_ASSERT_EQUAL(mkdirat(scratch.dirfd, "tree", 0700), 0);
    CU_ASSERT_EQUAL(mkdirat(scratch.dirfd, "tree/below", 0700), 0);
    fails_after = 0;
    CU_ASSERT_EQUAL(pst_beneath_remove(scratch.dirfd, "tree", PST_BENEATH_SAME_OWNER), -EIO);
    fails_after = -1;
    CU_ASSERT_EQUAL(faccessat(scratch.dirfd, "tree/below", F_OK, 0), 0);
    CU_ASSERT_EQUAL(pst_beneath_remove(scratch.dirfd, "tree", PST_BENEATH_SAME_OWNER), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"all names, and no dots", all_names_and_no_dots},
        {"what is no directory is an error", what_is_no_directory_is_an_error},
        {"a read error is not the end", a_read_error_is_not_the_end},
        {"a tree that cannot be read is not removed", a_tree_that_cannot_be_read_is_not_removed},
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {.pName = "io directory", .pInitFunc = start, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    return suites_run(suites);
}
