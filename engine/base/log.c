#include "engine/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum pst_log_level log_level = PST_LOG_INFO;
static pst_log_hook *log_hook;
static void *log_context;

static const char *const level_names[] = {
    [PST_LOG_ERROR] = "error: ",
    [PST_LOG_WARNING] = "warning: ",
    [PST_LOG_INFO] = "",
    [PST_LOG_DEBUG] = "debug: ",
};

void pst_log_set_level(enum pst_log_level level)
{
    log_level = level;
}

void pst_log_set_hook(pst_log_hook *hook, void *context)
{
    log_hook = hook;
    log_context = context;
}

/* A file name may hold anything; a line stays a line, and a terminal unharmed. */
static void make_printable(char *line, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    }
}

void pst_log(enum pst_log_level level, const char *format, ...)
{
    if (level > log_level)
        return;
    int saved_errno = errno;
    char line[PST_LOG_LINE_BYTES];
    int used = log_hook ? 0 : snprintf(line, sizeof(line), "penstock: %s", level_names[level]);
    va_list arguments;
    va_start(arguments, format);
    used += vsnprintf(line + used, sizeof(line) - (size_t)used, format, arguments);
    va_end(arguments);
    if (used > (int)sizeof(line) - 1)
        used = (int)sizeof(line) - 1;
    make_printable(line, used);
    if (log_hook) {
        log_hook(log_context, level, line);
    } else {
        line[used++] = '\n';
        /* A log that cannot be written has nowhere to say so. */
        ssize_t written = write(STDERR_FILENO, line, (size_t)used);
        (void)written;
    }
    errno = saved_errno;
}
