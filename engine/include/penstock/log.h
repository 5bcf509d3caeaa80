/*
 * Log lines of the engine: to stderr as "penstock: …", or to a hook.
 */
#ifndef PENSTOCK_LOG_H
#define PENSTOCK_LOG_H

#ifdef __cplusplus
extern "C" {
#endif

enum pst_log_level {
    PST_LOG_ERROR,   /* what was asked for fails */
    PST_LOG_WARNING, /* something was given up, the rest goes on */
    PST_LOG_INFO,    /* of interest to an operator, once */
    PST_LOG_DEBUG,
};

/* Logs a line, as the engine does its own: for sources and sinks, which run on its threads. Any
 * thread; keeps errno. Source names and paths may hold anything: what is not printable becomes '?'.
 */
void pst_log(enum pst_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Lines above level are dropped. For the whole process; call it while nothing else of Penstock
 * runs. Default: PST_LOG_INFO. */
void pst_log_set_level(enum pst_log_level level);

/* message: one line without its end, no control characters; borrowed for the call. Called from any
 * thread, by several at once; it must not block for long, nor call Penstock. */
typedef void pst_log_hook(void *context, enum pst_log_level level, const char *message);

/* Lines go to hook instead of stderr; NULL: to stderr again. When: as pst_log_set_level. */
void pst_log_set_hook(pst_log_hook *hook, void *context);

#ifdef __cplusplus
}
#endif

#endif
