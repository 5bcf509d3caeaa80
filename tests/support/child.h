/* Parts of a test that run in a child process: they change what the process is, or end it. */
#ifndef PST_TESTS_SUPPORT_CHILD_H
#define PST_TESTS_SUPPORT_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

/* Starts run(context) in a child; what it returns is the child's exit code. */
pid_t child_start(int (*run)(void *context), void *context);

/* The exit code of a child; of one that a signal ended, minus the signal. */
int child_wait(pid_t child);

/* Starts and waits. */
int child_run(int (*run)(void));

/* Whether run(context) ends its process by an assertion. */
bool child_aborts(void (*run)(void *context), void *context);

/* A test of its own, to be returned by main: runs and waits, says how it ended, and that it could
 * not run where the child returns 77: "needs" says what is missing then. */
int child_report(const char *name, const char *needs, int (*run)(void));

#endif
