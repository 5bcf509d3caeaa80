/*
 * The guard's readers: started, watched and ended. Runs in the guard's process, which has one
 * thread; called by lmdb_guard_run.c.
 */
#include "engine/source/lmdb/lmdb_readers.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/source/lmdb/lmdb_tasks.h"

/* A reader keeps the data file alone, and ends with the guard. Closing the lock file drops no lock
 * of the guard's: a child has none of them. */
static bool leave_guard(const struct environment *environment, pid_t guard)
{
    const struct rlimit none = {0, 0}; /* a core would hold the environment's data */
    unsigned first = STDERR_FILENO + 1, data = (unsigned)environment->fd;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != guard)
        return false;
    if (data > first && close_range(first, data - 1, 0) < 0)
        return false;
    return close_range(data + 1, UINT_MAX, 0) == 0 && setrlimit(RLIMIT_CORE, &none) == 0 &&
           prctl(PR_SET_NAME, "penstock-reader") == 0;
}

static int start(struct environment *environment, struct lmdb_slot *slot, int *pid_fd)
{
    const pid_t guard = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
        if (leave_guard(environment, guard))
            lmdb_tasks_run(environment, slot);
        _exit(1);
    }
    if (pid < 0)
        return -errno;
    *pid_fd = pidfd_open(pid, 0);
    if (*pid_fd >= 0)
        return 0;
    int error = -errno;
    kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return error;
}

int readers_start(struct environment *environment, uint32_t count)
{
    if (count < 1 || count > LMDB_READERS_MAX + 1)
        return -PST_E_BAD_REQUEST;
    readers_end(environment);
    for (uint32_t i = 0; i < count; i++) {
        int error = start(environment, &environment->shared->slots[i], &environment->reader_fds[i]);
        if (error) {
            readers_end(environment);
            return error;
        }
        environment->readers_count++;
    }
    return 0;
}

void readers_end(struct environment *environment)
{
    for (uint32_t i = 0; i < environment->readers_count; i++) {
        int *fd = &environment->reader_fds[i];
        if (*fd < 0)
            continue;
        (void)pidfd_send_signal(*fd, SIGKILL, NULL, 0);
        while (waitid(P_PIDFD, (id_t)*fd, NULL, WEXITED) < 0 && errno == EINTR)
            ;
        close(*fd);
    }
    environment->readers_count = 0;
}

void readers_fill(const struct environment *environment, struct pollfd *ends)
{
    for (uint32_t i = 0; i < environment->readers_count; i++)
        ends[i] = (struct pollfd){.fd = environment->reader_fds[i], .events = POLLIN};
}

void readers_reap(struct environment *environment, const struct pollfd *ends)
{
    for (uint32_t i = 0; i < environment->readers_count; i++) {
        siginfo_t info = {0};
        int *fd = &environment->reader_fds[i];
        if (*fd < 0 || !ends[i].revents ||
            waitid(P_PIDFD, (id_t)*fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
            continue;
        atomic_store(&environment->shared->slots[i].ended,
                     LMDB_ENDED(info.si_code != CLD_EXITED, info.si_status));
        close(*fd);
        *fd = -1;
    }
}
