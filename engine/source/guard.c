/*
 * Starts guards, talks to them and ends them. Called by the sources that have one, on the source's
 * thread, at the start by whoever opens the source; while a dir: source is frozen, by its watch.
 */
#include "engine/source/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/priority.h"

#define NS_PER_MS UINT64_C(1000000)

/* It must keep no descriptor of the parent's: the end of another guard's socket would never be
 * seen. The socket may be any, where the parent has closed its standard input. Returns it, or
 * -errno. */
static int keep_only(int socket)
{
    unsigned first = STDERR_FILENO + 1;
    int null = open("/dev/null", O_RDWR);
    int kept = fcntl(socket, F_DUPFD_CLOEXEC, (int)first);
    if (null < 0 || kept < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return -errno;
    if ((unsigned)kept > first && close_range(first, (unsigned)kept - 1, 0) < 0)
        return -errno;
    return close_range((unsigned)kept + 1, UINT_MAX, 0) < 0 ? -errno : kept;
}

/* Signals to the backup's terminal or process group are the backup's to handle; the guard ends when
 * its socket does. No handler of the parent's, which may be any program, is to run here: all
 * signals are blocked until none is left. */
static int detach(void)
{
    if (setsid() < 0 || prctl(PR_SET_NAME, "penstock-guard") < 0)
        return -errno;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL); /* fails for those that have no handler */
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -errno : 0;
}

/* What the child is to do. */
struct task {
    int (*run)(const void *context, int socket);
    const void *context;
};

static void child(const struct task *task, int socket)
{
    int error = detach();
    int kept = error ? error : keep_only(socket);
    _exit(kept < 0 ? -kept : task->run(task->context, kept));
}

static void forget(struct pst_guard *guard)
{
    close(guard->socket);
    close(guard->pid_fd);
    guard->socket = -1;
    guard->pid_fd = -1;
    guard->pid = 0;
}

/* By its descriptor: a program that waits for all of its children may have taken this one, and the
 * number may be another's by now. */
static void reap(struct pst_guard *guard)
{
    while (waitid(P_PIDFD, (id_t)guard->pid_fd, NULL, WEXITED) < 0 && errno == EINTR)
        ;
    forget(guard);
}

static void kill_guard(struct pst_guard *guard)
{
    (void)pidfd_send_signal(guard->pid_fd, SIGKILL, NULL, 0); /* fails if it has ended */
    reap(guard);
}

void pst_guard_stop(struct pst_guard *guard, uint32_t wait_ms)
{
    if (guard->pid == 0)
        return;
    shutdown(guard->socket, SHUT_RDWR);
    struct pollfd ended = {.fd = guard->pid_fd, .events = POLLIN};
    if (poll(&ended, 1, (int)wait_ms) > 0)
        reap(guard);
    else
        kill_guard(guard);
}

/* 1: an answer or the end can be read; 0: not before the deadline; -errno. */
static int wait_readable(int socket, uint64_t deadline_ns)
{
    for (;;) {
        uint64_t now_ns = pst_monotonic_ns();
        uint64_t left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / NS_PER_MS + 1 : 0;
        struct pollfd readable = {.fd = socket, .events = POLLIN};
        int count = poll(&readable, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
        if (count > 0)
            return 1;
        if (count < 0 && errno != EINTR)
            return -errno;
        if (count == 0 && pst_monotonic_ns() >= deadline_ns)
            return 0;
    }
}

/* While writers wait for it, whose lock it holds. Whether there is an answer. */
static bool spin_for(int socket, uint64_t deadline_ns)
{
    if (!pst_priority_is_urgent() || !pst_priority_may_spin())
        return false;
    uint64_t until_ns = pst_monotonic_ns() + PST_PRIORITY_SPIN_NS;
    until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
    struct pollfd readable = {.fd = socket, .events = POLLIN};
    int count;
    do
        count = poll(&readable, 1, 0);
    while (count == 0 && pst_monotonic_ns() < until_ns);
    return count > 0;
}

int pst_guard_receive(struct pst_guard *guard, uint64_t deadline_ns, void *packet, size_t bytes)
{
    if (guard->pid == 0)
        return -PST_E_GUARD;
    int readable =
        spin_for(guard->socket, deadline_ns) ? 1 : wait_readable(guard->socket, deadline_ns);
    if (readable <= 0) {
        kill_guard(guard);
        return readable < 0 ? readable : -ETIMEDOUT;
    }
    if (recv(guard->socket, packet, bytes, 0) == (ssize_t)bytes)
        return 0;
    kill_guard(guard); /* it is dead or about to be */
    return -PST_E_GUARD;
}

int pst_guard_send(struct pst_guard *guard, const void *packet, size_t bytes)
{
    if (guard->pid == 0)
        return -PST_E_GUARD;
    if (send(guard->socket, packet, bytes, MSG_NOSIGNAL) >= 0)
        return 0;
    kill_guard(guard);
    return -PST_E_GUARD;
}

/* The child's number in the parent, with its descriptor; or -errno. */
static pid_t fork_guard(const struct task *task, const int sockets[2], int *pid_fd)
{
    sigset_t all, before;
    sigfillset(&all);
    int error = -pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error)
        return error;
    const pid_t pid = fork();
    if (pid == 0)
        child(task, sockets[1]);
    if (pid < 0)
        error = -errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return error;
    *pid_fd = pidfd_open(pid, 0);
    if (*pid_fd >= 0)
        return pid;
    error = -errno;
    kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return error;
}

int pst_guard_start(struct pst_guard *guard, int (*run)(const void *context, int),
                    const void *context)
{
    const struct task task = {run, context};
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    const pid_t pid = fork_guard(&task, sockets, &guard->pid_fd);
    close(sockets[1]);
    if (pid < 0) {
        close(sockets[0]);
        return pid;
    }
    guard->pid = pid;
    guard->socket = sockets[0];
    return 0;
}
