/* Starts the threads of the engine, and makes what they wait for; called by whoever has threads. */
#include "engine/base/thread.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

int pst_thread_block_signals(sigset_t *before)
{
    static const int faults[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    return -pthread_sigmask(SIG_BLOCK, &blocked, before);
}

int pst_thread_create(pthread_t *thread, void *(*run)(void *), void *argument)
{
    sigset_t before;
    int error = pst_thread_block_signals(&before);
    if (error)
        return error;
    error = -pthread_create(thread, NULL, run, argument);
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
