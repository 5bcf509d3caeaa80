/* The log: one event is one line, cut at its bound; levels; errno is kept. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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
    pst_log_find_journal("/nonexistent");
    CU_ASSERT_FALSE(pst_log_keeps_alerts());
    pst_log_set_level(PST_LOG_DEBUG);
    pst_log(PST_LOG_ERROR, "part %d", 3);
    pst_log(PST_LOG_WARNING, "buffered");
    pst_log(PST_LOG_INFO, "8 LDMs");
    pst_log(PST_LOG_DEBUG, "<3>");
    pst_log_set_level(PST_LOG_INFO);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev,
             (uintmax_t)status.st_ino + 1);
    setenv("JOURNAL_STREAM", stream, 1);
    pst_log_find_journal("/nonexistent");
    pst_log(PST_LOG_ERROR, "elsewhere");
    unsetenv("JOURNAL_STREAM");
    pst_log_find_journal("/nonexistent");
    pst_log(PST_LOG_INFO, "nowhere");
    capture_end();
    CU_ASSERT_STRING_EQUAL(captured, "<3>part 3\n<4>buffered\n<6>8 LDMs\n<7><3>\n"
                                     "penstock: error: elsewhere\npenstock: nowhere\n");
}

/* What systemd gives a unit as its stderr, and a datagram socket in the place of the journal's. */
struct journal {
    int fd;
    int stderr_ends[2];
    char path[64];
};

static void journal_open(struct journal *journal)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char stream[64];
    struct stat status;
    saved_stderr = dup(STDERR_FILENO);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, journal->stderr_ends),
                          0);
    CU_ASSERT_TRUE_FATAL(dup2(journal->stderr_ends[1], STDERR_FILENO) >= 0);
    CU_ASSERT_EQUAL(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    snprintf(journal->path, sizeof(journal->path), "@penstock-journal-%ld", (long)getpid());
    memcpy(address.sun_path + 1, journal->path + 1, strlen(journal->path) - 1);
    journal->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(journal->path));
    CU_ASSERT_EQUAL_FATAL(bind(journal->fd, (const struct sockaddr *)&address, bytes), 0);
    pst_log_find_journal(journal->path);
}

static void journal_close(struct journal *journal)
{
    CU_ASSERT_TRUE_FATAL(dup2(saved_stderr, STDERR_FILENO) >= 0);
    unsetenv("JOURNAL_STREAM");
    pst_log_find_journal("/nonexistent");
    close(saved_stderr);
    close(journal->stderr_ends[0]);
    close(journal->stderr_ends[1]);
}

/* What fd has to give, in captured; "": nothing. */
static void take(int fd)
{
    ssize_t got = read(fd, captured, sizeof(captured) - 1);
    captured[got > 0 ? got : 0] = '\0';
}

static void the_journal_is_given_fields(void)
{
    static const uint8_t uid[16] = {0xab, 1};
    const struct pst_alert alert = {.kind = PST_ALERT_BACKUP_ABORTED,
                                    .backup = 7,
                                    .uid = uid,
                                    .node = 3,
                                    .error = -PST_E_NODE_FAILED};
    struct journal journal;
    journal_open(&journal);
    CU_ASSERT_TRUE(pst_log_keeps_alerts());
    pst_log_alert(PST_LOG_WARNING, &alert, "gone: %s", "a\nMESSAGE_ID=1");
    take(journal.fd);
    CU_ASSERT_STRING_EQUAL(captured, "SYSLOG_IDENTIFIER=penstock\nPRIORITY=4\n"
                                     "MESSAGE_ID=d6d5bb636e3ecffcb2b90a78a8e39063\n"
                                     "PENSTOCK_BACKUP=7\n"
                                     "PENSTOCK_UID=ab010000000000000000000000000000\n"
                                     "PENSTOCK_PEER=3\nPENSTOCK_ERROR=PST_E_NODE_FAILED\n"
                                     "MESSAGE=gone: a?MESSAGE_ID=1\n");
    CU_ASSERT_EQUAL(pst_log_queue_start(), 0);
    pst_log(PST_LOG_ERROR, "of no kind");
    pst_log_queue_stop();
    take(journal.fd);
    CU_ASSERT_STRING_EQUAL(captured,
                           "SYSLOG_IDENTIFIER=penstock\nPRIORITY=3\nMESSAGE=of no kind\n");
    take(journal.stderr_ends[0]);
    CU_ASSERT_STRING_EQUAL(captured, "");
    close(journal.fd);
    journal_close(&journal);
}

static void a_listener_hears_no_fields(void)
{
    const struct pst_alert alert = {.kind = PST_ALERT_NODE_LOST, .node = 2};
    struct journal journal;
    journal_open(&journal);
    pst_log_set_listener(listen_to, NULL);
    pst_log_alert(PST_LOG_WARNING, &alert, "node 2: gone");
    pst_log_set_listener(NULL, NULL);
    CU_ASSERT_STRING_EQUAL(heard, "1 node 2: gone");
    close(journal.fd);
    journal_close(&journal);
}

static void without_a_journal_stderr_has_the_lines(void)
{
    const struct pst_alert alert = {.kind = PST_ALERT_DAMAGE_FOUND, .backup = 7};
    struct journal journal;
    journal_open(&journal);
    close(journal.fd);
    pst_log_alert(PST_LOG_ERROR, &alert, "damaged");
    pst_log(PST_LOG_INFO, "8 LDMs");
    take(journal.stderr_ends[0]);
    CU_ASSERT_STRING_EQUAL(captured, "<3>damaged\n<6>8 LDMs\n");
    journal_close(&journal);
}

static void a_long_line_is_cut_for_the_journal(void)
{
    char text[2 * PST_LOG_LINE_BYTES];
    struct journal journal;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    journal_open(&journal);
    pst_log(PST_LOG_ERROR, "%s", text);
    take(journal.fd);
    CU_ASSERT_EQUAL(strlen(captured), PST_LOG_LINE_BYTES);
    close(journal.fd);
    journal_close(&journal);
}

static void every_kind_has_an_id_of_its_own(void)
{
    static const char *const ids[] = {
#define X(name, id) id,
        PST_ALERTS(X)
#undef X
    };
    size_t count = sizeof(ids) / sizeof(ids[0]);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL(strlen(ids[i]), 32);
        CU_ASSERT_EQUAL(strspn(ids[i], "0123456789abcdef"), 32);
        for (size_t j = i + 1; j < count; j++)
            CU_ASSERT_STRING_NOT_EQUAL(ids[i], ids[j]);
    }
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
    {"the journal is given fields", the_journal_is_given_fields},
    {"a listener hears no fields", a_listener_hears_no_fields},
    {"without a journal stderr has the lines", without_a_journal_stderr_has_the_lines},
    {"a long line is cut for the journal", a_long_line_is_cut_for_the_journal},
    {"every kind has an id of its own", every_kind_has_an_id_of_its_own},
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
