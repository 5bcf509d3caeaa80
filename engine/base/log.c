/*
 * Formats log lines and writes them: to stderr, the journal or a hook, at once, or through the
 * queue (log_queue.c) where one runs. Called by every thread of every folder but engine/protocol.
 */
#include "engine/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log_queue.h"
#include "engine/base/printable.h"
#include "engine/base/time_text.h"

/* How long the end of a process waits for a log that nothing reads. */
#define QUEUE_NS UINT64_C(1000000000)

/* A time, "penstock: warning: ". */
#define BEGINNING_BYTES 80u

static enum pst_log_level log_level = PST_LOG_INFO;
static pst_log_hook *log_hook;
static void *log_context;

static pst_log_hook *log_listener;
static void *listener_context;

static bool is_journal, shows_times;
static atomic_uint_fast64_t warnings; /* and errors */
static atomic_bool bar_is_shown;

static const char *const beginnings[] = {
    [PST_LOG_ERROR] = "penstock: error: ",
    [PST_LOG_WARNING] = "penstock: warning: ",
    [PST_LOG_INFO] = "penstock: ",
    [PST_LOG_DEBUG] = "penstock: debug: ",
};

/* The journal has the program's name, and takes the level from the line: sd-daemon(3). */
static const char *const journal_beginnings[] = {
    [PST_LOG_ERROR] = "<3>",
    [PST_LOG_WARNING] = "<4>",
    [PST_LOG_INFO] = "<6>",
    [PST_LOG_DEBUG] = "<7>",
};

void pst_log_show_times(void)
{
    shows_times = true;
}

/* text: BEGINNING_BYTES. Of a line of this level; a hook gets the message alone. */
static const char *beginning_of(enum pst_log_level level, char *text)
{
    char now[PST_TIME_TEXT_BYTES];
    if (is_journal)
        return journal_beginnings[level];
    if (!shows_times)
        return beginnings[level];
    snprintf(text, BEGINNING_BYTES, "%s %s", pst_time_text(pst_unix_ns(), 3, now),
             beginnings[level]);
    return text;
}

void pst_log_note_bar(bool is_shown)
{
    atomic_store(&bar_is_shown, is_shown);
}

void pst_log_set_level(enum pst_log_level level)
{
    log_level = level;
}

uint64_t pst_log_warnings(void)
{
    return atomic_load_explicit(&warnings, memory_order_relaxed);
}

void pst_log_set_hook(pst_log_hook *hook, void *context)
{
    log_hook = hook;
    log_context = context;
}

void pst_log_set_listener(pst_log_hook *listener, void *context)
{
    log_listener = listener;
    listener_context = context;
}

/* JOURNAL_STREAM is "DEVICE:INODE" of what systemd connected, which may not be stderr any more. */
void pst_log_find_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    struct stat status;
    is_journal = false;
    if (!stream || fstat(STDERR_FILENO, &status) < 0)
        return;
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    is_journal = strcmp(stream, own) == 0;
}

static size_t format_line(const char *beginning, char *line, const char *format, va_list list)
{
    int used = snprintf(line, PST_LOG_LINE_BYTES, "%s", beginning);
    used += vsnprintf(line + used, PST_LOG_LINE_BYTES - (size_t)used, format, list);
    if (used > PST_LOG_LINE_BYTES - 1)
        used = PST_LOG_LINE_BYTES - 1;
    pst_make_printable(line, (size_t)used); /* a file name may hold anything */
    return (size_t)used;
}

size_t pst_log_format(enum pst_log_level level, char *line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const char *beginning = (is_journal ? journal_beginnings : beginnings)[level];
    size_t used = format_line(beginning, line, format, list);
    va_end(list);
    line[used++] = '\n';
    return used;
}

/* line: PST_LOG_LINE_BYTES. */
static void write_line(enum pst_log_level level, char *line, size_t used)
{
    if (log_hook) {
        log_hook(log_context, level, line);
        return;
    }
    line[used++] = '\n';
    const struct iovec parts[] = {{(void *)(uintptr_t) "\r\033[K", 4}, {line, used}};
    bool replaces_bar = atomic_exchange(&bar_is_shown, false);
    /* A log that cannot be written has nowhere to report it. */
    ssize_t written = writev(STDERR_FILENO, replaces_bar ? parts : parts + 1, replaces_bar ? 2 : 1);
    (void)written;
}

static void write_queued(enum pst_log_level level, char *line, size_t used, uint64_t lost)
{
    char text[BEGINNING_BYTES];
    if (lost != 0)
        used = (size_t)snprintf(line, PST_LOG_LINE_BYTES,
                                "%s%" PRIu64 " log lines were lost: nothing read the log in time",
                                log_hook ? "" : beginning_of(level, text), lost);
    write_line(level, line, used);
}

void pst_log(enum pst_log_level level, const char *format, ...)
{
    if (level <= PST_LOG_WARNING)
        atomic_fetch_add_explicit(&warnings, 1, memory_order_relaxed);
    if (level > log_level)
        return;
    int saved_errno = errno;
    char line[PST_LOG_LINE_BYTES];
    char text[BEGINNING_BYTES];
    const char *beginning = beginning_of(level, text);
    va_list list;
    va_start(list, format);
    size_t used = format_line(log_hook ? "" : beginning, line, format, list);
    va_end(list);
    if (log_listener)
        log_listener(listener_context, level, line + (log_hook ? 0 : strlen(beginning)));
    if (!log_queue_put(level, line, used))
        write_line(level, line, used);
    errno = saved_errno;
}

int pst_log_queue_start(void)
{
    return log_queue_start(write_queued);
}

void pst_log_queue_stop(void)
{
    log_queue_stop(QUEUE_NS);
}

void pst_log_queue_flush(void)
{
    log_queue_flush(QUEUE_NS);
}
