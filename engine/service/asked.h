/*
 * SIGUSR1 as a question for the progress: a flag, and a descriptor that becomes readable.
 */
#ifndef PST_ENGINE_SERVICE_ASKED_H
#define PST_ENGINE_SERVICE_ASKED_H

#include <stdbool.h>

#include "penstock/error.h"

/* Handles the signal for the rest of the process. Main thread. 0 or -errno. */
PST_MUST_USE int pst_asked_install(void);

/* Readable once somebody has asked; -1 before pst_asked_install. Never closed. */
int asked_fd(void);

/* Whether somebody has asked since the last call. Cheap; one thread. */
bool pst_asked_take(void);

#endif
