/* Signals and the caller's descriptor as one descriptor. Called by keyring.c, on the main thread.
 */
#include "engine/key/interruption.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void set_of_ends(sigset_t *set)
{
    static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    struct sigaction action;
    sigemptyset(set);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (sigaction(ends[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(set, ends[i]);
    }
}

static int watch(int fd, int watched_fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return watched_fd >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, watched_fd, &event) < 0 ? -errno : 0;
}

int interruption_begin(struct interruption *interruption, int cancel_fd)
{
    sigset_t held;
    set_of_ends(&held);
    pthread_sigmask(SIG_BLOCK, &held, &interruption->before);
    interruption->signals_fd = signalfd(-1, &held, SFD_CLOEXEC);
    interruption->fd = interruption->signals_fd < 0 ? -1 : epoll_create1(EPOLL_CLOEXEC);
    int error = interruption->fd < 0 ? -errno : watch(interruption->fd, interruption->signals_fd);
    if (!error)
        error = watch(interruption->fd, cancel_fd);
    if (error)
        interruption_end(interruption);
    return error;
}

void interruption_end(struct interruption *interruption)
{
    if (interruption->fd >= 0)
        close(interruption->fd);
    if (interruption->signals_fd >= 0)
        close(interruption->signals_fd);
    pthread_sigmask(SIG_SETMASK, &interruption->before, NULL);
}
