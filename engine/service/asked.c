/*
 * SIGUSR1 sets a flag and makes a descriptor readable. Called by control.c, and by the commands
 * that show progress, on the main thread; the handler runs on whichever thread the signal meets.
 */
#include "engine/service/asked.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/check.h"

static atomic_bool is_asked;
static int event_fd = -1;

static void on_signal(int number)
{
    int saved_errno = errno;
    uint64_t one = 1;
    (void)number;
    ssize_t written = write(event_fd, &one, sizeof(one));
    (void)written;                 /* an eventfd at its limit is readable already */
    atomic_store(&is_asked, true); /* last: what is readable and not asked, none would empty */
    errno = saved_errno;
}

int pst_asked_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    PST_CHECK_MAIN_THREAD();
    if (event_fd < 0)
        event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event_fd < 0)
        return -errno;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGUSR1, &action, NULL) < 0 ? -errno : 0;
}

int asked_fd(void)
{
    return event_fd;
}

bool pst_asked_take(void)
{
    uint64_t count;
    if (!atomic_exchange(&is_asked, false))
        return false;
    ssize_t bytes = read(event_fd, &count, sizeof(count));
    (void)bytes; /* it may be of the next question, too, which is answered now */
    return true;
}
