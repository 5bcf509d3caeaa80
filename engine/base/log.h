/*
 * Log lines: one event, one line, one write(2) or one call of the hook. pst_log() (penstock/log.h)
 * writes "penstock: <level>: <message>\n", with pst_log_show_times a time before it, to the journal
 * "<N><message>\n", or hands the message over. Any thread; never from engine/protocol. A line is
 * cut at PST_LOG_LINE_BYTES; control characters in it become '?'. Data for programs goes to stdout
 * and never through here.
 */
#ifndef PST_ENGINE_BASE_LOG_H
#define PST_ENGINE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/alert.h"
#include "penstock/error.h"
#include "penstock/log.h"

#define PST_LOG_LINE_BYTES 4096

/* systemd-journald.service(8) */
#define PST_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* pst_log() of the public header; the journal has the alert in fields of its own. */
void pst_log_alert(enum pst_log_level level, const struct pst_alert *alert, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether anybody sees these fields: for what is worth a line only with them. */
bool pst_log_keeps_alerts(void);

/* How many warnings and errors were logged, printed or not, since the process started. */
uint64_t pst_log_warnings(void);

/* Every line that is logged at this level or a graver one goes to listener too, at once and without
 * its beginning, printable. As the hook; set before any other thread starts. NULL: none. */
void pst_log_set_listener(pst_log_hook *listener, void *context);

/* From here on lines go through a bounded queue to a thread of their own: pst_log() waits for no
 * terminal, pipe or journal, and no hook, and a line that finds no room is counted and reported.
 * Counted: as many stops as starts. -errno: lines are written as before. Any thread. */
PST_MUST_USE int pst_log_queue_start(void);

/* Waits until what is queued is written, a second at most. */
void pst_log_queue_stop(void);
void pst_log_queue_flush(void);

/* The line that pst_log() would write, without a time, for a signal handler, which may not format
 * it. line: PST_LOG_LINE_BYTES, and no terminating zero. Returns its bytes. */
size_t pst_log_format(enum pst_log_level level, char *line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From here on each line to stderr begins with its time (RFC 3339, UTC, milliseconds), but for the
 * journal, which has its own. For programs that stay. Before any other thread starts. */
void pst_log_show_times(void);

/* Whether the terminal's current line shows a progress bar, which the next line replaces. Any
 * thread. */
void pst_log_note_bar(bool is_shown);

/* Looks whether stderr is systemd's journal (JOURNAL_STREAM, systemd.exec(5)). Its lines go to
 * socket_path then, static: PST_JOURNAL_SOCKET; where nobody takes them there, to stderr as
 * "<N><message>\n", N a priority of syslog(3). A program's main calls it, before any other thread
 * starts. */
void pst_log_find_journal(const char *socket_path);

#endif
