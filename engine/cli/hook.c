/*
 * Runs the commands of --before-command and --after-command. Called by cmd_backup.c, on the main
 * thread.
 */
#include "engine/cli/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/limits.h"

/* For what wants to clean up, between SIGTERM and SIGKILL. */
#define LAST_NS 999999999L

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

/* As a program of its own would be started: penstock's masks and handlers are none of its. */
static int spawn(const char *command, char **environment, pid_t *child)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    int error = -posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error)
        error = -posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK);
    if (!error)
        error = -posix_spawn(child, "/bin/sh", &files, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

/* 0: it has ended. -ETIMEDOUT, -EINTR. */
static int wait_until(int child_fd, uint64_t until_ns, int interrupt_fd)
{
    struct pollfd polled[2] = {{.fd = child_fd, .events = POLLIN},
                               {.fd = interrupt_fd, .events = POLLIN}};
    for (;;) {
        uint64_t now_ns = pst_monotonic_ns();
        uint64_t left_ms = now_ns < until_ns ? (until_ns - now_ns) / 1000000 + 1 : 0;
        int ready = poll(polled, 2, (int)left_ms);
        if (ready > 0 && polled[0].revents != 0)
            return 0;
        if (ready > 0)
            return -EINTR;
        if (ready == 0 && pst_monotonic_ns() >= until_ns)
            return -ETIMEDOUT;
    }
}

static int see_through(pid_t child, uint64_t limit_ns, int interrupt_fd, int *status)
{
    int fd = pidfd_open(child, 0);
    int error = fd < 0 ? -errno : wait_until(fd, pst_monotonic_ns() + limit_ns, interrupt_fd);
    if (error) {
        const struct timespec last = {.tv_nsec = LAST_NS};
        kill(-child, SIGTERM);
        nanosleep(&last, NULL); /* all of it: a shell may end before what it has started */
        kill(-child, SIGKILL);
    }
    while (waitpid(child, status, 0) < 0 && errno == EINTR)
        ;
    if (fd >= 0)
        close(fd);
    return error;
}

int cli_hook_run(const char *command, const char *const *environment, uint64_t limit_ns,
                 int interrupt_fd, char *message)
{
    pid_t child;
    int status = 0;
    char **joined = join_environment(environment);
    int error = joined ? spawn(command, joined, &child) : -ENOMEM;
    free(joined);
    if (!error)
        error = see_through(child, limit_ns, interrupt_fd, &status);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "%.200s: %s", command, pst_error_text(error));
    else if (WIFSIGNALED(status))
        snprintf(message, PST_MESSAGE_BYTES, "%.200s: ended by signal %d", command,
                 WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0)
        snprintf(message, PST_MESSAGE_BYTES, "%.200s: exit code %d", command, WEXITSTATUS(status));
    return error ? error : status != 0 ? -ECHILD : 0;
}
