/* Starts the threads of the engine, and makes what they wait for; called by whoever has threads. */
#include "engine/base/thread.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

#include "engine/base/limits.h"

int pst_thread_block_signals(sigset_t *before)
{
    static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    return -pthread_sigmask(SIG_BLOCK, &blocked, before);
}

/* The stack is what RLIMIT_STACK says, but for a process that has it small. */
static int create(pthread_t *thread, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    size_t bytes;
    int error = -pthread_attr_init(&attributes);
    if (error)
        return error;
    error = -pthread_attr_getstacksize(&attributes, &bytes);
    if (!error && bytes < PST_STACK_BYTES_MIN)
        error = -pthread_attr_setstacksize(&attributes, PST_STACK_BYTES_MIN);
    if (!error)
        error = -pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return error;
}

int pst_thread_create(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t before;
    int error = pst_thread_block_signals(&before);
    if (error)
        return error;
    error = create(thread, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

void pst_thread_name(const char *format, ...)
{
    char name[16]; /* PR_SET_NAME: prctl(2) */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(name, sizeof(name), format, arguments);
    va_end(arguments);
    (void)prctl(PR_SET_NAME, name);
}

void pst_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}
