/*
 * SIGINT, SIGTERM and SIGHUP as a request to stop in order: a flag, and a descriptor that becomes
 * readable.
 */
#ifndef PST_ENGINE_SERVICE_INTERRUPT_H
#define PST_ENGINE_SERVICE_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "penstock/error.h"

/* Handles the signals for the rest of the process, but for those that are ignored already; a second
 * SIGINT or SIGTERM, 0.3 s or more after the first, ends the process at once with 128 + its number.
 * Also ignores SIGPIPE and SIGXFSZ: a closed pipe and a limit on file sizes become errors of the
 * write that meets them. Main thread, before any other thread starts. 0 or -errno. */
PST_MUST_USE int pst_interrupt_install(void);

/* From here on, a thread of its own takes these signals: the calling thread, and those that it
 * starts, may hang in a call that no signal ends. What it starts by fork(2) and exec(2) would have
 * them blocked. Main thread. 0 or -errno. */
PST_MUST_USE int pst_interrupt_take_apart(void);

/* The process is stopping, for a signal or another reason: from 0.3 s after that on a SIGINT or
 * SIGTERM ends it at once, and so, with a line in the log, does the end of this many seconds. Main
 * thread. Private to engine/service/. */
void interrupt_end_within(uint32_t seconds);

/* Whether a signal came. Any thread. */
const atomic_bool *pst_interrupt_flag(void);
bool pst_interrupted(void);

/* Readable once a signal came; -1 before pst_interrupt_install. Never closed. Any thread. */
int pst_interrupt_fd(void);

#endif
