/*
 * Log lines to stderr: one event, one line, one write(2). Any thread; never from engine/protocol.
 * A line is cut at PST_LOG_LINE_BYTES; control characters in it become '?'. Data for programs goes
 * to stdout and never through here.
 */
#ifndef PST_ENGINE_BASE_LOG_H
#define PST_ENGINE_BASE_LOG_H

#define PST_LOG_LINE_BYTES 4096

enum pst_log_level {
    PST_LOG_ERROR,   /* the command fails */
    PST_LOG_WARNING, /* something was given up, the command goes on */
    PST_LOG_INFO,    /* what an operator wants to know once */
    PST_LOG_DEBUG,   /* only with --verbose */
};

/* Lines above level are dropped. Call before other threads start. Default: PST_LOG_INFO. */
void pst_log_set_level(enum pst_log_level level);

/* Writes "penstock: <level>: <message>\n". Keeps errno. */
void pst_log(enum pst_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
