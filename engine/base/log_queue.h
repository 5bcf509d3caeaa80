/*
 * A bounded queue of log lines, and the thread that writes them: for processes in which some thread
 * may not wait for a pipe that nobody reads, a stopped terminal or a journal that hangs.
 *
 * Any thread. A line that finds no room is lost, counted, and its loss is a line of its own in its
 * place. Private to engine/base; penstock/log.h and log.h are for others.
 */
#ifndef PST_ENGINE_BASE_LOG_QUEUE_H
#define PST_ENGINE_BASE_LOG_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"
#include "penstock/log.h"

#define LOG_QUEUE_BYTES (256u << 10)

/* Called on the queue's thread alone, a line at a time; it may block. line: PST_LOG_LINE_BYTES, the
 * callee's for the call, of which used are the line. lost: 0 for a line, else how many lines had no
 * room here (used is 0). */
typedef void log_queue_write(enum pst_log_level level, char *line, size_t used, uint64_t lost);

/* Starts the thread; a second start is counted. -errno: lines go on being written by their threads.
 */
PST_MUST_USE int log_queue_start(log_queue_write *write);

/* The last of the starts: waits timeout_ns at most until all lines are written, and ends the
 * thread. One that hangs in a write is left behind, with the lines that it has not written. */
void log_queue_stop(uint64_t timeout_ns);

/* Waits timeout_ns at most until all lines are written. */
void log_queue_flush(uint64_t timeout_ns);

/* Takes a line (without its end, at most PST_LOG_LINE_BYTES - 1), or counts it as lost. false: no
 * queue runs in this process, and the caller writes it itself. */
bool log_queue_put(enum pst_log_level level, const char *line, size_t bytes);

#endif
