/*
 * Turns a run into metrics and keeps them in a file. Called by engine/cli/metrics_file.c; any
 * thread.
 */
#include "engine/metrics/run_metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file of ours is shorter. */
#define BEFORE_BYTES_MAX 65536u

/* What the names of these metrics begin with. */
#define SUCCESS PST_METRICS_SUCCESS

static const struct pst_metric ended = {"penstock_run_last_timestamp_seconds", "seconds", false,
                                        "When the last run ended, in seconds since 1970."};
static const struct pst_metric elapsed = {"penstock_run_last_duration_seconds", "seconds", false,
                                          "How long the last run took."};
static const struct pst_metric exit_code = {
    "penstock_run_last_exit_code", NULL, false,
    "Exit code of the last run: 0 is done, 3 done but not all; docs/guide.md has the others."};
static const struct pst_metric warnings = {"penstock_run_last_warnings", NULL, false,
                                           "Warnings and errors that the last run logged."};
static const struct pst_metric success = {
    SUCCESS "timestamp_seconds", "seconds", false,
    "When the last run ended that did what it was to do, in seconds since 1970."};

/* ---- what the last success was ---- */

static bool begins(const char *line, const char *start)
{
    return strncmp(line, start, strlen(start)) == 0;
}

/* "penstock_run_last_success_timestamp_seconds{…} ", as a file of this job has it. -ENOMEM. */
static int sample_start(const struct pst_metrics_run *run, char **start)
{
    struct pst_exposition sample;
    size_t bytes;
    exposition_begin(&sample, PST_EXPOSITION_PROMETHEUS, run->labels);
    exposition_name(&sample, &success);
    return exposition_end(&sample, start, &bytes);
}

static void keep_lines(struct pst_exposition *exposition, const char *before, const char *start)
{
    static const char *const starts[] = {"# HELP " SUCCESS, "# TYPE " SUCCESS, SUCCESS};
    bool is_ours = false;
    for (const char *line = before, *end; (end = strchr(line, '\n')); line = end + 1)
        is_ours = is_ours || begins(line, start);
    for (const char *line = before, *end; is_ours && (end = strchr(line, '\n')); line = end + 1) {
        for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
            if (begins(line, starts[i]))
                exposition_lines(exposition, line, (size_t)(end + 1 - line));
        }
    }
}

/* A run that failed does not know it; the file does, if it is of the same job. */
static void keep_success(struct pst_exposition *exposition, const struct pst_metrics_run *run,
                         const char *before)
{
    char *start;
    if (sample_start(run, &start) < 0) {
        exposition->has_failed = true;
        return;
    }
    keep_lines(exposition, before, start);
    free(start);
}

static void put_success(struct pst_exposition *exposition, const struct pst_metrics_run *run)
{
    exposition_family(exposition, &success);
    exposition_ns(exposition, NULL, run->ended_unix_ns);
    for (uint32_t i = 0; i < run->results_count; i++) {
        exposition_family(exposition, run->results[i].metric);
        exposition_number(exposition, NULL, run->results[i].value);
    }
}

int metrics_of_run(const struct pst_metrics_run *run, const char *before, char **text,
                   size_t *bytes)
{
    struct pst_exposition exposition;
    exposition_begin(&exposition, PST_EXPOSITION_PROMETHEUS, run->labels);
    exposition_family(&exposition, &ended);
    exposition_ns(&exposition, NULL, run->ended_unix_ns);
    exposition_family(&exposition, &elapsed);
    exposition_ns(&exposition, NULL, run->elapsed_ns);
    exposition_family(&exposition, &exit_code);
    exposition_number(&exposition, NULL, run->exit_code);
    exposition_family(&exposition, &warnings);
    exposition_number(&exposition, NULL, run->warnings);
    if (run->has_succeeded)
        put_success(&exposition, run);
    else
        keep_success(&exposition, run, before);
    return exposition_end(&exposition, text, bytes);
}

/* ---- the file ---- */

#define BEGINNING "# HELP penstock_run_"

/* What it holds, terminated, the caller's; "" where it is not there. -errno; -EEXIST: it is no
 * file, or holds something else: a slip of the operator's is to cost none of his data. */
static int read_before(const char *path, char **before)
{
    struct stat status;
    *before = calloc(1, BEFORE_BYTES_MAX + 1);
    if (!*before)
        return -ENOMEM;
    /* A FIFO would be waited for, and a device is not to be replaced. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno == ELOOP ? -EEXIST : -errno;
    int error = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EEXIST;
    if (!error && read(fd, *before, BEFORE_BYTES_MAX) < 0)
        error = -errno;
    if (!error && **before && strncmp(*before, BEGINNING, strlen(BEGINNING)) != 0)
        error = -EEXIST;
    close(fd);
    return error;
}

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(fd, text, bytes);
        if (written < 0)
            return -errno;
        text += written;
        bytes -= (size_t)written;
    }
    return 0;
}

/* Its name ends in no ".prom", so that the collector passes over it. */
static int replace(const char *path, const char *text, size_t bytes)
{
    char name[PATH_MAX];
    if (snprintf(name, sizeof(name), "%s.XXXXXX", path) >= (int)sizeof(name))
        return -ENAMETOOLONG;
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int error = write_all(fd, text, bytes);
    if (!error && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
        error = -errno;
    close(fd);
    if (!error && rename(name, path) < 0)
        error = -errno;
    if (error)
        unlink(name);
    return error;
}

int pst_metrics_write_run(const struct pst_metrics_run *run, const char *path)
{
    char *before, *text = NULL;
    size_t bytes;
    int error = read_before(path, &before);
    if (!error)
        error = metrics_of_run(run, before, &text, &bytes);
    if (!error)
        error = replace(path, text, bytes);
    free(text);
    free(before);
    return error;
}
