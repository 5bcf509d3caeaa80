/*
 * Runs one function on each thread of a crew. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_CREW_H
#define PST_ENGINE_RESTORE_CREW_H

#include "engine/restore/verify.h"

/* Calls work(context, worker) on crew->workers threads, pinned where the crew says so, and tick
 * (may be NULL) on the caller's thread some ten times a second while they run. 0 when all are back,
 * or the error of one of them; a thread that cannot be started, or pinned, is an error too. */
int pst_crew_run(const struct pst_crew *crew, int (*work)(void *context, uint32_t worker),
                 void (*tick)(void *context), void *context) PST_MUST_USE;

bool pst_crew_is_cancelled(const struct pst_crew *crew);
uint32_t pst_crew_depth(const struct pst_crew *crew);

#endif
