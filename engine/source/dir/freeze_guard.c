/*
 * Runs the user's freeze and thaw commands in a process of its own, with one thread, which outlives
 * the backup's. Called by freeze.c after the fork.
 */
#include "engine/source/dir/freeze_guard.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/shell.h"
#include "engine/source/dir/freeze.h"

#define GCI_BYTES 48u

/* Large; there is one in the process. */
struct job {
    const struct freeze *freeze;
    int socket;
    bool is_frozen; /* the thaw command is due */
    pid_t group;    /* of the freeze command: it may have left something running */
    struct freeze_request request;
    struct freeze_answer answer;
    char source[PST_SOURCE_NAME_MAX + 32];
    char path[PATH_MAX + 32];
    char snapshot[PATH_MAX + 32];
    char gci[GCI_BYTES];
};

/* What a command is told; strings of the job's. */
static void fill_environment(struct job *job, bool is_thaw, const char *environment[5])
{
    const struct freeze *freeze = job->freeze;
    const struct freeze_request *request = &job->request;
    uint32_t count = 0;
    snprintf(job->source, sizeof(job->source), "PENSTOCK_BACKUP_SOURCE=%s", freeze->source->name);
    snprintf(job->path, sizeof(job->path), "PENSTOCK_BACKUP_PATH=%s", freeze->path);
    snprintf(job->snapshot, sizeof(job->snapshot), "PENSTOCK_BACKUP_SNAPSHOT=%s",
             request->snapshot);
    snprintf(job->gci, sizeof(job->gci), "PENSTOCK_BACKUP_GCI=%llu",
             (unsigned long long)request->gci);
    environment[count++] = job->source;
    environment[count++] = job->path;
    if (is_thaw && request->snapshot[0])
        environment[count++] = job->snapshot;
    if (is_thaw && request->gci)
        environment[count++] = job->gci;
    environment[count] = NULL;
}

/* ---- thaw ---- */

/* Whatever happens meanwhile: once begun, it has its time, also where all that belongs to the
 * backup is asked to end, as systemd does. */
static int thaw(struct job *job, char *text)
{
    const char *environment[5];
    fill_environment(job, true, environment);
    struct pst_shell shell = {.command = job->freeze->commands->thaw,
                              .environment = environment,
                              .limit_ns = PST_THAW_NS,
                              .interrupt_fd = -1,
                              .stays = true};
    text[0] = '\0';
    int error = shell.command ? pst_shell_run(&shell, text) : 0;
    pst_shell_end_group(job->group);
    job->group = 0;
    job->is_frozen = false;
    return error == -ECHILD ? -PST_E_COMMAND : error;
}

/* ---- freeze ---- */

/* The one line that was printed, without its end. */
static int take_snapshot_path(const struct pst_shell *shell, struct freeze_answer *answer)
{
    size_t bytes = shell->output_used;
    const char *fault = NULL;
    if (bytes > 0 && bytes < shell->output_bytes && answer->snapshot[bytes - 1] == '\n')
        bytes--;
    if (shell->output_used == shell->output_bytes)
        fault = "more than a path";
    else if (memchr(answer->snapshot, '\n', bytes) || memchr(answer->snapshot, '\0', bytes))
        fault = "more than one line";
    else if (bytes > 0 && answer->snapshot[0] != '/')
        fault = "what is no absolute path";
    answer->snapshot[fault ? 0 : bytes] = '\0';
    if (!fault)
        return 0;
    snprintf(answer->text, sizeof(answer->text),
             "it printed %s: have it print the path of the snapshot on standard output, or "
             "nothing, and all else on standard error (>&2)",
             fault);
    return -PST_E_COMMAND;
}

static int freeze(struct job *job)
{
    const char *environment[5];
    struct freeze_answer *answer = &job->answer;
    fill_environment(job, false, environment);
    struct pst_shell shell = {.command = job->freeze->commands->freeze,
                              .environment = environment,
                              .limit_ns = job->request.limit_ns,
                              .interrupt_fd = job->socket,
                              .output = answer->snapshot,
                              .output_bytes = sizeof(answer->snapshot),
                              .keeps_group = true};
    int error = pst_shell_run(&shell, answer->text);
    job->group = shell.group;
    job->is_frozen = true;
    if (!error)
        error = take_snapshot_path(&shell, answer);
    if (!error)
        return 0;
    answer->snapshot[0] = '\0';
    if (error != -EINTR)
        answer->thaw_error = thaw(job, answer->thaw_text);
    if (error == -ETIMEDOUT && shell.left == 0)
        return -PST_E_FREEZE;
    /* Another try would be one more that does not end. */
    return error == -ECHILD || error == -ETIMEDOUT || error == -EMSGSIZE ? -PST_E_COMMAND : error;
}

/* ---- the process ---- */

/* The log's queue and its lock are the backup's process's. */
static void report(const struct job *job, const char *what, const char *why)
{
    static char line[PST_LOG_LINE_BYTES];
    size_t bytes = pst_log_format(PST_LOG_ERROR, line, "source %s: %s%s", job->freeze->source->name,
                                  what, why);
    if (write(STDERR_FILENO, line, bytes) < 0)
        return; /* nobody is left to be told */
}

/* A command that writes to a pipe which nobody reads any more would end by that. */
static void leave_broken_pipe(void)
{
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&log, 1, 0) > 0 && (log.revents & POLLERR))
        (void)dup2(STDIN_FILENO, STDERR_FILENO); /* /dev/null */
}

static void report_thaw(const struct job *job, const char *why)
{
    report(job, FREEZE_THAW_FAILED, why);
}

static void thaw_alone(struct job *job)
{
    static char text[PST_MESSAGE_BYTES];
    leave_broken_pipe();
    report(job, "the backup's process is gone: --thaw-command runs now", "");
    if (thaw(job, text))
        report_thaw(job, text);
}

/* The backup's process had gone before it was answered. */
static void report_unheard(const struct job *job)
{
    const struct freeze_answer *answer = &job->answer;
    if (answer->thaw_error)
        report_thaw(job, answer->thaw_text);
    else if (job->request.order == FREEZE_THAW && answer->error)
        report_thaw(job, answer->text);
}

static int obey(struct job *job)
{
    if (job->request.order == FREEZE_FREEZE)
        return freeze(job);
    if (job->request.order == FREEZE_THAW)
        return thaw(job, job->answer.text);
    job->is_frozen = true;
    memcpy(job->answer.snapshot, job->request.snapshot, sizeof(job->answer.snapshot));
    return 0;
}

int freeze_guard_run(const void *context, int socket)
{
    static struct job job;
    job = (struct job){.freeze = context, .socket = socket};
    while (recv(socket, &job.request, sizeof(job.request), 0) == (ssize_t)sizeof(job.request)) {
        job.answer = (struct freeze_answer){0};
        job.answer.error = obey(&job);
        memcpy(job.request.snapshot, job.answer.snapshot, sizeof(job.request.snapshot));
        if (send(socket, &job.answer, sizeof(job.answer), MSG_NOSIGNAL) >= 0)
            continue;
        report_unheard(&job);
        break;
    }
    if (job.is_frozen)
        thaw_alone(&job);
    return 0;
}
