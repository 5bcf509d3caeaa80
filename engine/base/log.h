/*
 * Log lines: one event, one line, one write(2) or one call of the hook (penstock/log.h). Any
 * thread; never from engine/protocol. A line is cut at PST_LOG_LINE_BYTES; control characters in it
 * become '?'. Data for programs goes to stdout and never through here.
 */
#ifndef PST_ENGINE_BASE_LOG_H
#define PST_ENGINE_BASE_LOG_H

#include <stddef.h>

#include "penstock/log.h"

#define PST_LOG_LINE_BYTES 4096

/* Writes "penstock: <level>: <message>\n", to the journal "<N><message>\n", or hands the message
 * over. Keeps errno. */
void pst_log(enum pst_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The line that it would write, for who may not format it then. line: PST_LOG_LINE_BYTES, and no
 * terminating zero. Returns its bytes. */
size_t pst_log_format(enum pst_log_level level, char *line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Looks whether stderr is systemd's journal (JOURNAL_STREAM, systemd.exec(5)). A program's main
 * calls it, before any other thread starts. */
void pst_log_find_journal(void);

#endif
