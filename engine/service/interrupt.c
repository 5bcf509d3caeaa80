/*
 * SIGINT, SIGTERM and SIGHUP become a flag and a readable descriptor. Called by the commands, on
 * the main thread; the flag is read by any.
 */
#include "engine/service/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "engine/base/log.h"

static atomic_bool interrupted;
static int interrupt_fd = -1;

static void on_signal(int number)
{
    (void)number;
    int saved_errno = errno;
    uint64_t one = 1;
    atomic_store(&interrupted, true);
    ssize_t written = write(interrupt_fd, &one, sizeof(one));
    (void)written; /* an eventfd at its limit is readable already */
    errno = saved_errno;
}

int pst_interrupt_install(void)
{
    PST_CHECK_MAIN_THREAD();
    interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (interrupt_fd < 0)
        return -errno;
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) < 0)
        return -errno;
    /* nohup(1) has it ignored, and means it. */
    if (hangup.sa_handler != SIG_IGN && sigaction(SIGHUP, &action, NULL) < 0)
        return -errno;
    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
        return -errno;
    action.sa_handler = SIG_IGN;
    if (sigaction(SIGPIPE, &action, NULL) < 0 || sigaction(SIGXFSZ, &action, NULL) < 0)
        return -errno;
    return 0;
}

static char late_line[PST_LOG_LINE_BYTES];
static size_t late_bytes;

/* A log that nothing reads must not hold up the end too. */
static void on_alarm(int number)
{
    (void)number;
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&log, 1, 0) == 1 && log.revents & POLLOUT) {
        ssize_t written = write(STDERR_FILENO, late_line, late_bytes);
        (void)written; /* a log that cannot be written leaves no place to report it */
    }
    _exit(1);
}

void interrupt_end_within(uint32_t seconds)
{
    PST_CHECK_MAIN_THREAD();
    late_bytes = pst_log_format(PST_LOG_ERROR, late_line,
                                "not stopped within %u s: exiting without cleaning up", seconds);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
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
