/*
 * SIGINT, SIGTERM and SIGHUP as a wish to stop in order: a flag and a descriptor that becomes
 * readable.
 */
#ifndef PST_ENGINE_SERVICE_INTERRUPT_H
#define PST_ENGINE_SERVICE_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "penstock/error.h"

/* Takes the signals over for the rest of the process, and ignores SIGPIPE and SIGXFSZ: a closed
 * pipe and a limit on file sizes are errors of the write that meets them. Main thread, before any
 * other thread starts. 0 or -errno. */
PST_MUST_USE int pst_interrupt_install(void);

/* The end is on its way: from now on a second SIGINT or SIGTERM ends the process at once, as
 * SIGKILL does, and so, with a line in the log, does the lapse of seconds. Main thread. */
void pst_interrupt_end_within(uint32_t seconds);

/* Any thread. */
const atomic_bool *pst_interrupt_flag(void);
bool pst_interrupted(void);

/* Readable once a signal came. Never closed. */
int pst_interrupt_fd(void);

#endif
