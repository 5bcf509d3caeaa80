/*
 * SIGINT, SIGTERM and SIGHUP become a flag and a readable descriptor. Called by the commands, on
 * the main thread; the flag is read by any.
 */
#include "engine/service/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/thread.h"

/* A second signal within this time belongs to the first. */
#define AGAIN_NS UINT64_C(300000000)

static const int numbers[] = {SIGHUP, SIGINT, SIGTERM};

static atomic_bool interrupted;
static int interrupt_fd = -1;

/* When the first one came; CLOCK_MONOTONIC, 0: not yet. */
static _Atomic uint64_t first_ns;

static char again_line[PST_LOG_LINE_BYTES];
static size_t again_bytes;

/* A log that nothing reads must not hold up the end too. */
static void write_if_read(const char *line, size_t bytes)
{
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&log, 1, 0) == 1 && log.revents & POLLOUT) {
        ssize_t written = write(STDERR_FILENO, line, bytes);
        (void)written; /* a log that cannot be written leaves no place to report it */
    }
}

/* timeout(1) and shells send a signal to the process and to its group: that is one. */
static bool is_another(int number)
{
    uint64_t now_ns = pst_monotonic_ns(), none = 0;
    if (number == SIGHUP || atomic_compare_exchange_strong(&first_ns, &none, now_ns))
        return false;
    return now_ns - none >= AGAIN_NS;
}

static void on_signal(int number)
{
    int saved_errno = errno;
    uint64_t one = 1;
    if (is_another(number)) {
        write_if_read(again_line, again_bytes);
        _exit(128 + number);
    }
    atomic_store(&interrupted, true);
    ssize_t written = write(interrupt_fd, &one, sizeof(one));
    (void)written; /* an eventfd at its limit is readable already */
    errno = saved_errno;
}

/* What the parent has ignored stays so: nohup(1) does it, and a script for what it starts in the
 * background. */
static int handle(int number, const struct sigaction *action)
{
    struct sigaction was;
    if (sigaction(number, NULL, &was) < 0)
        return -errno;
    if (was.sa_handler == SIG_IGN)
        return 0;
    return sigaction(number, action, NULL) < 0 ? -errno : 0;
}

int pst_interrupt_install(void)
{
    PST_CHECK_MAIN_THREAD();
    interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (interrupt_fd < 0)
        return -errno;
    again_bytes = pst_log_format(PST_LOG_WARNING, again_line,
                                 "interrupted again: exiting without cleaning up; the next backup "
                                 "removes what is left of one");
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    int error = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !error; i++)
        error = handle(numbers[i], &action);
    if (error)
        return error;
    action.sa_handler = SIG_IGN;
    if (sigaction(SIGPIPE, &action, NULL) < 0 || sigaction(SIGXFSZ, &action, NULL) < 0)
        return -errno;
    return 0;
}

static sigset_t set_of_numbers(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(&set, numbers[i]);
    return set;
}

static void *wait_for_signals(void *argument)
{
    const sigset_t set = set_of_numbers();
    (void)argument;
    pst_thread_name("pst signals");
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    for (;;)
        pause();
    return NULL;
}

int pst_interrupt_take_apart(void)
{
    pthread_t thread;
    const sigset_t set = set_of_numbers();
    PST_CHECK_MAIN_THREAD();
    int error = pst_thread_create(&thread, wait_for_signals, NULL);
    if (error)
        return error;
    pthread_detach(thread);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static char late_line[PST_LOG_LINE_BYTES];
static size_t late_bytes;

static void on_alarm(int number)
{
    (void)number;
    write_if_read(late_line, late_bytes);
    _exit(1);
}

void interrupt_end_within(uint32_t seconds)
{
    PST_CHECK_MAIN_THREAD();
    late_bytes = pst_log_format(PST_LOG_ERROR, late_line,
                                "not stopped within %u s: exiting without cleaning up", seconds);
    uint64_t none = 0; /* where the end has another reason, the first signal is the second wish */
    atomic_compare_exchange_strong(&first_ns, &none, pst_monotonic_ns());
    signal(SIGALRM, on_alarm);
    alarm(seconds);
}

const atomic_bool *pst_interrupt_flag(void)
{
    return &interrupted;
}

bool pst_interrupted(void)
{
    return atomic_load(&interrupted);
}

int pst_interrupt_fd(void)
{
    return interrupt_fd;
}
