/*
 * Threads of the engine in a process that is somebody else's.
 */
#ifndef PST_ENGINE_BASE_THREAD_H
#define PST_ENGINE_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>

#include "penstock/error.h"

/* pthread_create, for a thread that takes none of the process's signals: handlers run on threads of
 * the process's own, and what a write meets (SIGPIPE, SIGXFSZ) is its error alone. Faults of the
 * thread itself are not held back. Its stack has PST_STACK_BYTES_MIN at least. 0 or -errno. */
PST_MUST_USE int pst_thread_create(pthread_t *thread, void *(*run)(void *), void *argument);

/* The calling thread, and those that it starts, take none of the process's signals from here on,
 * but for faults of their own. *before: for pthread_sigmask(SIG_SETMASK). 0 or -errno. */
PST_MUST_USE int pst_thread_block_signals(sigset_t *before);

/* Names the calling thread, as top -H, ps -L, gdb and perf show it: printf's format, 15 bytes at
 * the most, the rest is cut off. */
void pst_thread_name(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A condition of which pthread_cond_timedwait takes times of CLOCK_MONOTONIC. */
void pst_condition_init(pthread_cond_t *condition);

#endif
