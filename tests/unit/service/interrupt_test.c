/* What the signals do that end a process, before and after its end has begun. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/service/interrupt.h"
#include "tests/suite.h"

/* The clock of children: no stop of the machine comes between two signals. */
static uint64_t now_ns = 1000000000;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){.tv_sec = (time_t)(now_ns / 1000000000),
                              .tv_nsec = (long)(now_ns % 1000000000)};
    return 0;
}

static void pass_ms(uint64_t ms)
{
    now_ns += ms * 1000000;
}

/* A shell has what it starts in the background ignore SIGINT. */
static void ignore_nothing(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

/* How a child ends that does this; what it writes to stderr. */
static int status_of(void (*child)(void), char *text, size_t bytes)
{
    int pipe_fds[2], status = -1;
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        close(pipe_fds[1]);
        ignore_nothing();
        if (pst_interrupt_install() == 0)
            child();
        _exit(9);
    }
    close(pipe_fds[1]);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    ssize_t got = read(pipe_fds[0], text, bytes - 1);
    text[got > 0 ? got : 0] = '\0';
    close(pipe_fds[0]);
    return status;
}

static void take_the_first(void)
{
    raise(SIGTERM);
    pass_ms(299);
    raise(SIGINT);
    _exit(pst_interrupted() ? 0 : 8);
}

static void take_two_apart(void)
{
    raise(SIGINT);
    pass_ms(300);
    raise(SIGINT);
    _exit(7);
}

static void take_hangups(void)
{
    raise(SIGHUP);
    pass_ms(300);
    raise(SIGHUP);
    raise(SIGTERM);
    _exit(pst_interrupted() ? 0 : 8);
}

/* Ignored before: the child was not asked, nor is its end. */
static void ignored_stays_ignored(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        int status = -1;
        pid_t pid = fork();
        if (pid == 0) {
            signal(numbers[i], SIG_IGN);
            if (pst_interrupt_install() < 0)
                _exit(9);
            raise(numbers[i]);
            if (numbers[i] != SIGHUP) {
                interrupt_end_within(3600);
                raise(numbers[i]);
            }
            _exit(pst_interrupted() ? 8 : 0);
        }
        CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
        CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void a_second_ends_it_at_once(void)
{
    char text[256];
    int status = status_of(take_two_apart, text, sizeof(text));
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "penstock: warning: interrupted again: exiting"));
    status = status_of(take_hangups, text, sizeof(text)); /* a terminal that closes sends several */
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void take_the_second(void)
{
    raise(SIGTERM);
    interrupt_end_within(3600);
    pass_ms(299);
    raise(SIGTERM); /* timeout(1): to the process, then to its group */
    if (!pst_interrupted())
        _exit(8);
    pass_ms(1);
    raise(SIGTERM);
}

/* A fabric that is broken has ended the node. */
static void end_without_a_signal(void)
{
    interrupt_end_within(3600);
    pass_ms(300);
    raise(SIGTERM);
}

static void hang(void)
{
    interrupt_end_within(1);
    for (;;)
        pause();
}

static void the_first_is_a_wish(void)
{
    char text[256];
    int status = status_of(take_the_first, text, sizeof(text));
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_second_is_an_order(void)
{
    char text[256];
    int status = status_of(take_the_second, text, sizeof(text));
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 143);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "penstock: warning: interrupted again: exiting"));
    status = status_of(end_without_a_signal, text, sizeof(text));
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 143);
}

static void an_end_that_hangs_is_cut_short(void)
{
    char text[256];
    int status = status_of(hang, text, sizeof(text));
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "penstock: error: not stopped within 1 s"));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the first is a wish", the_first_is_a_wish},
        {"a second ends it at once", a_second_ends_it_at_once},
        {"ignored stays ignored", ignored_stays_ignored},
        {"the second is an order", the_second_is_an_order},
        {"an end that hangs is cut short", an_end_that_hangs_is_cut_short},
        CU_TEST_INFO_NULL,
    };
    return suite_run("interrupt", tests);
}
