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
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/journal.h"
#include "engine/base/log_queue.h"
#include "engine/base/printable.h"
#include "engine/base/time_text.h"

/* How long the end of a process waits for a log that nothing reads. */
#define QUEUE_NS UINT64_C(1000000000)

/* A time, "penstock: warning: ", or the journal's fields. */
#define BEGINNING_BYTES JOURNAL_FIELDS_BYTES

static enum pst_log_level log_level = PST_LOG_INFO;
static pst_log_hook *log_hook;
static void *log_context;

static pst_log_hook *log_listener;
static void *listener_context;

static enum journal_way journal_way;
static const char *journal_socket;
static bool shows_times;
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
static const char *beginning_of(enum pst_log_level level, const struct pst_alert *alert, char *text)
{
    char now[PST_TIME_TEXT_BYTES];
    if (log_hook)
        return "";
    if (journal_way == JOURNAL_FIELDS)
        return journal_fields(level, alert, text);
    if (journal_way == JOURNAL_LINES)
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

void pst_log_find_journal(const char *socket_path)
{
    journal_socket = socket_path;
    journal_way = journal_find_way();
}

bool pst_log_keeps_alerts(void)
{
    return journal_way == JOURNAL_FIELDS && !log_hook;
}

static size_t format_line(const char *beginning, char *line, const char *format, va_list list)
{
    int begun = snprintf(line, PST_LOG_LINE_BYTES, "%s", beginning);
    int used = begun + vsnprintf(line + begun, PST_LOG_LINE_BYTES - (size_t)begun, format, list);
    if (used > PST_LOG_LINE_BYTES - 1)
        used = PST_LOG_LINE_BYTES - 1;
    pst_make_printable(line + begun, (size_t)(used - begun)); /* a file name may hold anything */
    return (size_t)used;
}

size_t pst_log_format(enum pst_log_level level, char *line, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    bool is_journal = journal_way != JOURNAL_NONE;
    const char *beginning = (is_journal ? journal_beginnings : beginnings)[level];
    size_t used = format_line(beginning, line, format, list);
    va_end(list);
    line[used++] = '\n';
    return used;
}

/* Where nobody takes datagrams, the message goes the way that stderr goes. line: ends in a newline,
 * as each field does. */
static void write_to_journal(enum pst_log_level level, char *line, size_t used)
{
    if (journal_send(journal_socket, line, used))
        return;
    size_t at = journal_message_at(line);
    const char *beginning = journal_beginnings[level];
    const struct iovec parts[] = {{(void *)(uintptr_t)beginning, strlen(beginning)},
                                  {line + at, used - at}};
    ssize_t written = writev(STDERR_FILENO, parts, 2);
    (void)written;
}

/* line: PST_LOG_LINE_BYTES. */
static void write_line(enum pst_log_level level, char *line, size_t used)
{
    if (log_hook) {
        log_hook(log_context, level, line);
        return;
    }
    line[used++] = '\n';
    if (journal_way == JOURNAL_FIELDS) {
        write_to_journal(level, line, used);
        return;
    }
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
                                beginning_of(level, NULL, text), lost);
    write_line(level, line, used);
}

static void log_list(enum pst_log_level level, const struct pst_alert *alert, const char *format,
                     va_list list)
{
    if (level <= PST_LOG_WARNING)
        atomic_fetch_add_explicit(&warnings, 1, memory_order_relaxed);
    if (level > log_level)
        return;
    int saved_errno = errno;
    char line[PST_LOG_LINE_BYTES];
    char text[BEGINNING_BYTES];
    const char *beginning = beginning_of(level, alert, text);
    size_t used = format_line(beginning, line, format, list);
    if (log_listener)
        log_listener(listener_context, level, line + strlen(beginning));
    if (!log_queue_put(level, line, used))
        write_line(level, line, used);
    errno = saved_errno;
}

void pst_log(enum pst_log_level level, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    log_list(level, NULL, format, list);
    va_end(list);
}

void pst_log_alert(enum pst_log_level level, const struct pst_alert *alert, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    log_list(level, alert, format, list);
    va_end(list);
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
