/* The log: one event is one line, cut at its bound; levels; errno is kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "tests/suite.h"

static char captured[3 * PST_LOG_LINE_BYTES];
static int saved_stderr, pipe_ends[2];

static void capture_start(void)
{
    CU_ASSERT_EQUAL_FATAL(pipe2(pipe_ends, O_NONBLOCK), 0);
    saved_stderr = dup(STDERR_FILENO);
    CU_ASSERT_TRUE_FATAL(dup2(pipe_ends[1], STDERR_FILENO) >= 0);
}

static size_t capture_end(void)
{
    CU_ASSERT_TRUE_FATAL(dup2(saved_stderr, STDERR_FILENO) >= 0);
    ssize_t got = read(pipe_ends[0], captured, sizeof(captured) - 1);
    close(saved_stderr);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    captured[got > 0 ? got : 0] = '\0';
    return strlen(captured);
}

static void a_line_names_its_level(void)
{
    capture_start();
    pst_log(PST_LOG_ERROR, "part %d of %s", 3, "node 1");
    pst_log(PST_LOG_WARNING, "buffered");
    pst_log(PST_LOG_INFO, "8 LDMs");
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "penstock: error: part 3 of node 1\n"
                                     "penstock: warning: buffered\n"
                                     "penstock: 8 LDMs\n");
}

/* Whether JOURNAL_STREAM tells of the stderr that there is. */
static void the_journal_is_told_the_level(void)
{
    char stream[64];
    struct stat status;
    capture_start();
    CU_ASSERT_EQUAL(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    pst_log_find_journal();
    pst_log_set_level(PST_LOG_DEBUG);
    pst_log(PST_LOG_ERROR, "part %d", 3);
    pst_log(PST_LOG_WARNING, "buffered");
    pst_log(PST_LOG_INFO, "8 LDMs");
    pst_log(PST_LOG_DEBUG, "<3>");
    pst_log_set_level(PST_LOG_INFO);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    pst_log_find_journal();
    pst_log(PST_LOG_ERROR, "elsewhere");
    unsetenv("JOURNAL_STREAM");
    pst_log_find_journal();
    pst_log(PST_LOG_INFO, "nowhere");
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "<3>part 3\n<4>buffered\n<6>8 LDMs\n<7><3>\n"
                                     "penstock: error: elsewhere\npenstock: nowhere\n");
}

static void lines_above_the_level_are_dropped(void)
{
    capture_start();
    pst_log(PST_LOG_DEBUG, "hidden");
    pst_log_set_level(PST_LOG_DEBUG);
    pst_log(PST_LOG_DEBUG, "shown");
    pst_log_set_level(PST_LOG_ERROR);
    pst_log(PST_LOG_WARNING, "hidden");
    pst_log_set_level(PST_LOG_INFO);
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "penstock: debug: shown\n");
}

static void control_characters_are_made_visible(void)
{
    capture_start();
    pst_log(PST_LOG_INFO, "name \n\x1b[2J\x7f");
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "penstock: name ??[2J?\n");
}

static void a_long_line_is_cut_and_ended(void)
{
    char text[2 * PST_LOG_LINE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    capture_start();
    pst_log(PST_LOG_ERROR, "%s", text);
    size_t bytes = capture_end();
    CU_ASSERT_EQUAL(bytes, PST_LOG_LINE_BYTES);
    CU_ASSERT_PTR_EQUAL(strchr(captured, '\n'), captured + bytes - 1);
}

static void errno_is_kept(void)
{
    capture_start();
    close(STDERR_FILENO);
    errno = ENOSPC;
    pst_log(PST_LOG_ERROR, "the write fails");
    CU_ASSERT_EQUAL(errno, ENOSPC);
    capture_end();
}

static CU_TestInfo tests[] = {
    {"a line names its level", a_line_names_its_level},
    {"the journal is told the level", the_journal_is_told_the_level},
    {"lines above the level are dropped", lines_above_the_level_are_dropped},
    {"control characters are made visible", control_characters_are_made_visible},
    {"a long line is cut and ended", a_long_line_is_cut_and_ended},
    {"errno is kept", errno_is_kept},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"base log", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
