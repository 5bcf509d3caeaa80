/*
 * Runs commands of the user's. Called by the command line on the main thread, and by the guard of a
 * frozen source in its process.
 */
#include "engine/base/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/limits.h"

/* For what wants to clean up, between SIGTERM and SIGKILL. */
#define LAST_NS 999999999L

/* For the end after SIGKILL, and how often it is looked for. */
#define END_NS UINT64_C(1000000000)
#define LOOK_NS 2000000L

/* For output that nobody wants: a command that prints more does not end by itself. */
#define SURPLUS_BYTES (UINT64_C(1) << 20)

extern char **environ;

/* Whether it is one of those that say what became of a backup: one that runs in a command of
 * another backup would be told of that, for a shell takes the last value of what is there twice. */
static bool is_of_a_backup(const char *variable)
{
    static const char start[] = "PENSTOCK_BACKUP_";
    return strncmp(variable, start, sizeof(start) - 1) == 0;
}

/* Strings borrowed; the array is the caller's. NULL: no memory. */
static char **join_environment(const char *const *more)
{
    size_t own = 0, count = 0;
    while (environ[own])
        own++;
    while (more[count])
        count++;
    char **joined = calloc(own + count + 1, sizeof(*joined));
    if (!joined)
        return NULL;
    for (size_t i = 0; i < count; i++)
        joined[i] = (char *)(uintptr_t)more[i];
    for (size_t i = 0; i < own; i++) {
        if (!is_of_a_backup(environ[i]))
            joined[count++] = environ[i];
    }
    return joined;
}

static bool has_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* As a program of its own would be started: penstock's masks and handlers are none of its. */
static int spawn(const struct pst_shell *shell, char **environment, int output_fd, pid_t *child)
{
    static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)shell->command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    for (size_t i = 0; shell->stays && i < sizeof(ends) / sizeof(ends[0]); i++)
        sigdelset(&all, ends[i]);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    int error = shell->asks ? 0
                            : -posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
                                                                O_RDONLY, 0);
    if (!error)
        error = -posix_spawn_file_actions_adddup2(&files, output_fd, STDOUT_FILENO);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, (shell->shares_group ? 0 : POSIX_SPAWN_SETPGROUP) |
                                              POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    if (!error)
        error = -posix_spawn(child, "/bin/sh", &files, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* Takes what there is of the output; without room, it is read and counted. false: its end. */
static bool take_output(struct pst_shell *shell, int fd)
{
    char rest[4096];
    size_t room = shell->output_bytes - shell->output_used;
    ssize_t bytes = room > 0 ? read(fd, shell->output + shell->output_used, room)
                             : read(fd, rest, sizeof(rest));
    if (bytes > 0)
        *(room > 0 ? &shell->output_used : &shell->surplus) += (size_t)bytes;
    return bytes > 0 || (bytes < 0 && (errno == EAGAIN || errno == EINTR));
}

/* 0: the command has ended. -ETIMEDOUT, -EINTR, -EMSGSIZE. */
static int wait_until(struct pst_shell *shell, int child_fd, int output_fd)
{
    uint64_t until_ns = pst_monotonic_ns() + shell->limit_ns;
    struct pollfd polled[] = {{.fd = child_fd, .events = POLLIN},
                              {.fd = shell->interrupt_fd, .events = POLLIN},
                              {.fd = output_fd, .events = POLLIN}};
    for (;;) {
        uint64_t now_ns = pst_monotonic_ns();
        uint64_t left_ms = now_ns < until_ns ? (until_ns - now_ns) / 1000000 + 1 : 0;
        int ready = poll(polled, 3, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
        if (ready > 0 && polled[0].revents)
            return 0;
        if (ready > 0 && polled[1].revents)
            return -EINTR;
        if (ready > 0 && !take_output(shell, output_fd))
            polled[2].fd = -1; /* the command may go on without it */
        if (shell->surplus > SURPLUS_BYTES)
            return -EMSGSIZE;
        if (pst_monotonic_ns() >= until_ns)
            return -ETIMEDOUT;
    }
}

/* What it had printed when it ended. */
static void take_rest(struct pst_shell *shell, int output_fd)
{
    struct pollfd readable = {.fd = output_fd, .events = POLLIN};
    while (shell->output_used < shell->output_bytes && poll(&readable, 1, 0) > 0 &&
           take_output(shell, output_fd))
        ;
}

static void kill_group(pid_t group)
{
    const struct timespec last = {.tv_nsec = LAST_NS};
    kill(-group, SIGTERM);
    nanosleep(&last, NULL); /* all of it: a shell may end before what it has started */
    kill(-group, SIGKILL);
}

/* What has ended is waited for. Whether nothing is left. */
static bool is_gone(pid_t group)
{
    siginfo_t ended;
    int result;
    do {
        ended.si_pid = 0;
        result = waitid(P_PGID, (id_t)group, &ended, WEXITED | WNOHANG);
    } while (result == 0 && ended.si_pid != 0);
    return result < 0;
}

/* What the leader has started becomes this process's own when that ends, so its end is seen, too.
 * Returns what is left, as in struct pst_shell. */
static pid_t end_group(pid_t group)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};
    int was_reaper = 0;
    (void)prctl(PR_GET_CHILD_SUBREAPER, &was_reaper);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    kill_group(group);
    uint64_t until_ns = pst_monotonic_ns() + END_NS;
    bool gone;
    while (!(gone = is_gone(group)) && pst_monotonic_ns() < until_ns)
        nanosleep(&look, NULL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, was_reaper);
    return gone ? 0 : group;
}

static bool ends_within(pid_t child, uint64_t limit_ns)
{
    const struct timespec look = {.tv_nsec = LOOK_NS};
    uint64_t until_ns = pst_monotonic_ns() + limit_ns;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        if (pst_monotonic_ns() >= until_ns)
            return false;
        nanosleep(&look, NULL);
    }
    return true;
}

/* Of a group that is the caller's own. Returns likewise. */
static pid_t end_alone(pid_t child)
{
    kill(child, SIGTERM);
    if (ends_within(child, LAST_NS))
        return 0;
    kill(child, SIGKILL);
    return ends_within(child, END_NS) ? 0 : child;
}

/* Of whoever has ended, so that its group stays its own until it is waited for. */
static void reap(pid_t child)
{
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static int see_through(struct pst_shell *shell, pid_t child, int output_fd, siginfo_t *ended)
{
    int fd = pidfd_open(child, 0);
    int error = fd < 0 ? -errno : wait_until(shell, fd, output_fd);
    if (fd >= 0)
        close(fd);
    if (error) {
        shell->left = shell->shares_group ? end_alone(child) : end_group(child);
        return error;
    }
    while (waitid(P_PID, (id_t)child, ended, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    if (output_fd >= 0)
        take_rest(shell, output_fd);
    if (shell->keeps_group)
        shell->group = child;
    else
        reap(child);
    return 0;
}

/* The environment is this command's alone. */
static int run(struct pst_shell *shell, siginfo_t *ended)
{
    int pipes[2] = {-1, -1};
    pid_t child;
    shell->shares_group = shell->asks && has_terminal();
    char **joined = join_environment(shell->environment);
    int error = joined ? 0 : -ENOMEM;
    if (!error && shell->output && pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0)
        error = -errno;
    if (!error && shell->output)
        error = fcntl(pipes[1], F_SETFL, 0) < 0 ? -errno : 0; /* the command's end may block */
    if (!error)
        error = spawn(shell, joined, shell->output ? pipes[1] : STDERR_FILENO, &child);
    free(joined);
    if (pipes[1] >= 0)
        close(pipes[1]);
    if (!error)
        error = see_through(shell, child, pipes[0], ended);
    if (pipes[0] >= 0)
        close(pipes[0]);
    return error;
}

/* First what is left, for whoever has little room. */
static void say_error(const struct pst_shell *shell, int error, char *message)
{
    int used = 0;
    if (shell->left != 0)
        used = snprintf(message, PST_MESSAGE_BYTES,
                        "process group %d is left, which SIGKILL does not end: it waits in the "
                        "kernel, or is another user's: ",
                        (int)shell->left);
    message += used;
    if (error == -ETIMEDOUT)
        snprintf(message, PST_MESSAGE_BYTES - (size_t)used,
                 "%.200s: timed out after %.3g s, and was killed", shell->command,
                 (double)shell->limit_ns / 1e9);
    else if (error == -EMSGSIZE)
        snprintf(message, PST_MESSAGE_BYTES - (size_t)used,
                 "%.200s: printed more than a MiB, and was killed", shell->command);
    else
        snprintf(message, PST_MESSAGE_BYTES - (size_t)used, "%.200s: %s", shell->command,
                 pst_error_text(error));
}

int pst_shell_run(struct pst_shell *shell, char *message)
{
    siginfo_t ended = {0};
    shell->left = 0;
    shell->output_used = shell->surplus = 0;
    shell->group = 0;
    int error = run(shell, &ended);
    bool is_signal = ended.si_code != CLD_EXITED;
    if (error)
        say_error(shell, error, message);
    else if (is_signal || ended.si_status != 0)
        snprintf(message, PST_MESSAGE_BYTES, "%.200s: %s %d", shell->command,
                 is_signal ? "ended by signal" : "exit code", ended.si_status);
    return error ? error : is_signal || ended.si_status != 0 ? -ECHILD : 0;
}

void pst_shell_end_group(pid_t group)
{
    if (group == 0)
        return;
    kill(-group, SIGKILL);
    reap(group);
}
