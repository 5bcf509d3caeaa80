/* The log: one event is one line, cut at its bound; levels; errno is kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static char heard[PST_LOG_LINE_BYTES];
static void listen_to(void *context, enum pst_log_level level, const char *message)
{
    (void)context;
    snprintf(heard, sizeof(heard), "%d %s", (int)level, message);
}

static void a_listener_hears_the_message_alone(void)
{
    pst_log_set_listener(listen_to, NULL);
    capture_start();
    pst_log(PST_LOG_WARNING, "one\033 of %d", 2);
    pst_log(PST_LOG_DEBUG, "not logged");
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "penstock: warning: one? of 2\n");
    CU_ASSERT_STRING_EQUAL(heard, "1 one? of 2");
    pst_log_set_listener(NULL, NULL);
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

/* Fills a pipe: a log that nothing reads. Returns how many bytes went in. */
static size_t fill(int fd)
{
    static const char junk[512];
    size_t filled = 0;
    for (ssize_t one; (one = write(fd, junk, sizeof(junk))) > 0;)
        filled += (size_t)one;
    CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, 0), 0); /* from here on a write waits */
    return filled;
}

static void take_out(int fd, size_t bytes)
{
    char junk[512];
    CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, 0), 0);
    while (bytes > 0) {
        ssize_t one = read(fd, junk, bytes < sizeof(junk) ? bytes : sizeof(junk));
        CU_ASSERT_FATAL(one > 0);
        bytes -= (size_t)one;
    }
}

static void a_stuck_log_holds_up_no_thread(void)
{
    char line[PST_LOG_LINE_BYTES];
    int written = 0, lost = 0;
    capture_start();
    size_t filled = fill(pipe_ends[1]);
    CU_ASSERT_EQUAL(pst_log_queue_start(), 0);
    for (int i = 0; i < 20000; i++)
        pst_log(PST_LOG_INFO, "line %d of what nothing reads", i);
    take_out(pipe_ends[0], filled);
    FILE *log = fdopen(dup(pipe_ends[0]), "r");
    while (fgets(line, sizeof(line), log) && !strstr(line, "the last")) {
        char *count = strstr(line, "warning: ");
        lost += count && strstr(line, " log lines were lost") ? atoi(count + 9) : 0;
        written += strstr(line, "of what nothing reads") != NULL;
        if (written == 1000)
            pst_log(PST_LOG_INFO, "the last"); /* there is room again */
    }
    pst_log_queue_stop();
    fclose(log);
    CU_ASSERT_EQUAL(fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK), 0);
    capture_end();
    CU_ASSERT(written > 1000 && lost > 0);
    CU_ASSERT_EQUAL(written + lost, 20000);
}

static void a_queue_keeps_order_and_ends_empty(void)
{
    capture_start();
    CU_ASSERT_EQUAL(pst_log_queue_start(), 0);
    CU_ASSERT_EQUAL(pst_log_queue_start(), 0);
    pst_log(PST_LOG_ERROR, "one");
    pst_log_queue_stop();
    pst_log(PST_LOG_INFO, "two");
    pst_log_queue_stop();
    pst_log(PST_LOG_INFO, "three");
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "penstock: error: one\npenstock: two\npenstock: three\n");
}

static void a_child_writes_for_itself(void)
{
    capture_start();
    CU_ASSERT_EQUAL(pst_log_queue_start(), 0);
    pid_t child = fork();
    if (child == 0) {
        pst_log(PST_LOG_INFO, "from the child");
        _exit(0);
    }
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    pst_log_queue_stop();
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "penstock: from the child\n");
}

static CU_TestInfo tests[] = {
    {"a listener hears the message alone", a_listener_hears_the_message_alone},
    {"a line names its level", a_line_names_its_level},
    {"the journal is told the level", the_journal_is_told_the_level},
    {"lines above the level are dropped", lines_above_the_level_are_dropped},
    {"control characters are made visible", control_characters_are_made_visible},
    {"a long line is cut and ended", a_long_line_is_cut_and_ended},
    {"errno is kept", errno_is_kept},
    {"a stuck log holds up no thread", a_stuck_log_holds_up_no_thread},
    {"a queue keeps the order and ends empty", a_queue_keeps_order_and_ends_empty},
    {"a child writes for itself", a_child_writes_for_itself},
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
