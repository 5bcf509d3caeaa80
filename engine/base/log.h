/*
 * Log lines: one event, one line, one write(2) or one call of the hook (penstock/log.h). Any
 * thread; never from engine/protocol. A line is cut at PST_LOG_LINE_BYTES; control characters in it
 * become '?'. Data for programs goes to stdout and never through here.
 */
#ifndef PST_ENGINE_BASE_LOG_H
#define PST_ENGINE_BASE_LOG_H

#include "penstock/log.h"

#define PST_LOG_LINE_BYTES 4096

/* Writes "penstock: <level>: <message>\n", or hands the message over. Keeps errno. */
void pst_log(enum pst_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
