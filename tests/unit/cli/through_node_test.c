/* What the commands that ask a node make of its answers, and of their absence: exit codes. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/service/control_socket.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"

#define STARTED                                                                                    \
    "{\"message_type\":\"started\",\"number\":7,\"uid\":\"00112233445566778899aabbccddeeff\"}"
#define FAILED(more) "{\"message_type\":\"failed\",\"error\":1326,\"message\":\"x\"" more "}"
#define COMPLETED                                                                                  \
    "{\"message_type\":\"completed\",\"number\":7,\"uid\":\"00\",\"start_gci\":\"1\","             \
    "\"source_bytes\":1,\"objects\":1,\"unreadable\":0,\"elapsed_ns\":1,\"warnings\":0}"

#define ASKED "" /* no answer: another request must come first */

static char folder[] = "/tmp/penstock-through-XXXXXX";
static char path[sizeof(folder) + 8];
static const struct cli_command *const commands[] = {
    &cli_command_backup, &cli_command_status, &cli_command_abort, &cli_command_resolve, NULL};

/* A node that takes one request, answers with these packets (the last is NULL), and is gone. */
static pid_t start_node(int listen_fd, const char *const *answers)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    char request[4096];
    int fd = accept(listen_fd, NULL, NULL);
    bool is_asked = fd >= 0 && recv(fd, request, sizeof(request), 0) > 0;
    for (; is_asked && *answers; answers++) {
        if (strcmp(*answers, ASKED) == 0)
            is_asked = recv(fd, request, sizeof(request), 0) > 0;
        else
            is_asked = send(fd, *answers, strlen(*answers), MSG_NOSIGNAL) > 0;
    }
    _exit(is_asked ? 0 : 1);
}

static enum cli_exit run(const char *const *answers, int out_fd, const char *word, ...)
{
    char *argv[16] = {(char *)"penstock"};
    char message[PST_MESSAGE_BYTES];
    int argc = 1, status = -1;
    va_list list;
    va_start(list, word);
    for (; word; word = va_arg(list, const char *))
        argv[argc++] = (char *)word;
    va_end(list);
    argv[argc++] = (char *)"--node";
    argv[argc++] = path;
    fflush(stdout);
    struct control_listener listener;
    CU_ASSERT_EQUAL_FATAL(control_listen(path, 1, &listener, message), 0);
    CU_ASSERT_EQUAL_FATAL(fcntl(listener.fd, F_SETFL, 0), 0);
    pid_t node = start_node(listener.fd, answers);
    int saved_out = dup(STDOUT_FILENO);
    int null_fd = open("/dev/null", O_WRONLY);
    CU_ASSERT_FATAL(dup2(out_fd < 0 ? null_fd : out_fd, STDOUT_FILENO) >= 0);
    begin_log_capture();
    enum cli_exit code = cli_commands_run(commands, argc, argv);
    fflush(stdout);
    clearerr(stdout);
    dup2(saved_out, STDOUT_FILENO);
    free(end_log_capture());
    close(saved_out);
    close(null_fd);
    CU_ASSERT_EQUAL(waitpid(node, &status, 0), node);
    CU_ASSERT_EQUAL(status, 0);
    control_unlisten(&listener, path);
    return code;
}
#define ANSWERS(...) ((const char *const[]){__VA_ARGS__})

static void a_lost_backup_is_unknown(void)
{
    CU_ASSERT_EQUAL(run(ANSWERS(NULL), -1, "backup", NULL), CLI_EXIT_UNKNOWN);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, NULL), -1, "backup", NULL), CLI_EXIT_UNKNOWN);
    CU_ASSERT_EQUAL(run(ANSWERS(NULL), -1, "backup", "--wait", "started", NULL), CLI_EXIT_UNKNOWN);
    CU_ASSERT_EQUAL(
        run(ANSWERS(STARTED, FAILED(",\"outcome_known\":false"), NULL), -1, "backup", NULL),
        CLI_EXIT_UNKNOWN);
}

static void a_failed_backup_is_known(void)
{
    CU_ASSERT_EQUAL(
        run(ANSWERS(STARTED, FAILED(",\"outcome_known\":true"), NULL), -1, "backup", NULL),
        CLI_EXIT_FAILED);
    CU_ASSERT_EQUAL(run(ANSWERS(FAILED(""), NULL), -1, "backup", NULL), CLI_EXIT_FAILED);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, COMPLETED, NULL), -1, "backup", NULL), CLI_EXIT_DONE);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, NULL), -1, "backup", "--wait", "started", NULL),
                    CLI_EXIT_DONE);
}

#define VERIFIES                                                                                   \
    "{\"message_type\":\"started\",\"number\":7,\"uid\":\"00112233445566778899aabbccddeeff\","     \
    "\"verify\":true}"
#define ABORTED "{\"message_type\":\"failed\",\"error\":1321,\"message\":\"x\"}"

/* A node that does not say that it reads back does not. */
static void an_old_node_does_not_verify(void)
{
    CU_ASSERT_EQUAL(run(ANSWERS(VERIFIES, COMPLETED, NULL), -1, "backup", "--verify", NULL),
                    CLI_EXIT_DONE);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, ASKED, ABORTED, NULL), -1, "backup", "--verify", NULL),
                    CLI_EXIT_FAILED);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, ASKED, COMPLETED, NULL), -1, "backup", "--verify", NULL),
                    CLI_EXIT_PARTIAL);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, ASKED, ABORTED, NULL), -1, "backup", "--verify", "--wait",
                        "started", NULL),
                    CLI_EXIT_FAILED);
    CU_ASSERT_EQUAL(
        run(ANSWERS(VERIFIES, NULL), -1, "backup", "--verify", "--wait", "started", NULL),
        CLI_EXIT_DONE);
}

/* What asks for no change may be asked again. */
static void other_requests(void)
{
    CU_ASSERT_EQUAL(run(ANSWERS(NULL), -1, "status", NULL), CLI_EXIT_FAILED);
    CU_ASSERT_EQUAL(run(ANSWERS(NULL), -1, "abort", NULL), CLI_EXIT_UNKNOWN);
    CU_ASSERT_EQUAL(run(ANSWERS(NULL), -1, "resolve", "7", "--abort", NULL), CLI_EXIT_UNKNOWN);
}

static void what_cannot_be_printed(void)
{
    int full = open("/dev/full", O_WRONLY);
    CU_ASSERT_FATAL(full >= 0);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, COMPLETED, NULL), full, "backup", NULL), CLI_EXIT_PARTIAL);
    CU_ASSERT_EQUAL(run(ANSWERS(STARTED, NULL), full, "backup", "--wait", "started", NULL),
                    CLI_EXIT_UNKNOWN);
    close(full);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a backup without an answer has an unknown outcome", a_lost_backup_is_unknown},
        {"a backup with an answer has a known one", a_failed_backup_is_known},
        {"an old node does not verify", an_old_node_does_not_verify},
        {"other requests", other_requests},
        {"what cannot be printed", what_cannot_be_printed},
        CU_TEST_INFO_NULL,
    };
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    int failed = suite_run("cli/through_node", tests);
    rmdir(folder);
    return failed;
}
