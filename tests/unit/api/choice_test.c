/* What a job chose of a source, in words: equal where the options are, and nowhere else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api/choice_text.h"
#include "engine/format/manifest.h"
#include "tests/suite.h"

static struct pst_source dir = {.type = "dir"};
static struct pst_source lmdb = {.type = "lmdb", .flags = PST_SOURCE_CAN_ROWS};

/* Until the next call. */
static const char *text_of(const struct pst_source *source, const struct pst_backup_job *job,
                           const struct pst_file_filter *files)
{
    static char *text;
    free(text);
    CU_ASSERT_EQUAL_FATAL(choice_text(source, job, files, &text), 0);
    return text;
}

static void every_option_is_there(void)
{
    static const char *const patterns[] = {"*.o", "!keep.o"}, *const tags[] = {".nobackup"};
    const struct pst_file_filter files = {patterns, tags, 2, 1, true, true};
    const struct pst_file_filter none = {0};
    static const char *const wanted[] = {"a", "b"}, *const unwanted[] = {"c"};
    struct pst_backup_job job = {.is_logical = true,
                                 .tables = wanted,
                                 .unwanted_tables = unwanted,
                                 .tables_count = 2,
                                 .unwanted_tables_count = 1};
    CU_ASSERT_STRING_EQUAL(text_of(&dir, &job, &files),
                           "--exclude=*.o --exclude=!keep.o --exclude-if-present=.nobackup "
                           "--exclude-caches --one-file-system=no");
    CU_ASSERT_STRING_EQUAL(text_of(&dir, &job, &none), "");
    CU_ASSERT_STRING_EQUAL(text_of(&lmdb, &job, &files),
                           "--logical --tables=a --tables=b --exclude-tables=c");
    job.is_logical = false; /* then tables are refused; a program's source has no files to choose */
    CU_ASSERT_STRING_EQUAL(text_of(&lmdb, &job, &files), "");
    CU_ASSERT_STRING_EQUAL(text_of(&dir, &job, NULL), "");
}

static void no_two_read_alike(void)
{
    static const char *const one[] = {"a --exclude=b"}, *const two[] = {"a", "b"},
                             *const odd[] = {"%41\xff\"\\\n~"};
    const struct pst_backup_job job = {0};
    const struct pst_file_filter first = {.patterns = one, .patterns_count = 1};
    const struct pst_file_filter second = {.patterns = two, .patterns_count = 2};
    const struct pst_file_filter third = {.patterns = odd, .patterns_count = 1};
    CU_ASSERT_STRING_EQUAL(text_of(&dir, &job, &first), "--exclude=a%20--exclude=b");
    CU_ASSERT_STRING_EQUAL(text_of(&dir, &job, &second), "--exclude=a --exclude=b");
    CU_ASSERT_STRING_EQUAL(text_of(&dir, &job, &third), "--exclude=%2541%FF%22%5C%0A~");
}

/* What there is no room for tells two apart, too. */
static void a_long_one_is_cut(void)
{
    static char pattern[2 * PST_SOURCE_CHOICE_BYTES_MAX];
    static const char *const patterns[] = {pattern};
    const struct pst_backup_job job = {0};
    const struct pst_file_filter files = {.patterns = patterns, .patterns_count = 1};
    char first[PST_SOURCE_CHOICE_BYTES_MAX + 1];
    memset(pattern, 'x', PST_SOURCE_CHOICE_BYTES_MAX - strlen("--exclude="));
    CU_ASSERT_EQUAL(strlen(text_of(&dir, &job, &files)), PST_SOURCE_CHOICE_BYTES_MAX);
    CU_ASSERT_PTR_NULL(strstr(text_of(&dir, &job, &files), "..."));
    memset(pattern, 'x', sizeof(pattern) - 1);
    snprintf(first, sizeof(first), "%s", text_of(&dir, &job, &files));
    CU_ASSERT_EQUAL(strlen(first), PST_SOURCE_CHOICE_BYTES_MAX);
    CU_ASSERT_PTR_NOT_NULL(strstr(first, "xxx... xxh3-128:"));
    CU_ASSERT_STRING_EQUAL(first, text_of(&dir, &job, &files));
    pattern[sizeof(pattern) - 2] = 'y';
    CU_ASSERT_STRING_NOT_EQUAL(first, text_of(&dir, &job, &files));
    CU_ASSERT_EQUAL(strncmp(first, text_of(&dir, &job, &files), 900), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every option is there", every_option_is_there},
        {"no two read alike", no_two_read_alike},
        {"a long one is cut", a_long_one_is_cut},
        CU_TEST_INFO_NULL,
    };
    return suite_run("choice", tests);
}
