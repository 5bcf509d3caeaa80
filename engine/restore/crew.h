/*
 * The threads of a verify or restore. What runs on them is private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_CREW_H
#define PST_ENGINE_RESTORE_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/activity.h"
#include "engine/base/limits.h"
#include "penstock/error.h"

struct pst_crew {
    uint32_t workers;     /* 1…PST_LDMS_MAX */
    const uint32_t *cpus; /* worker i is pinned to cpus[i] (numa/place.h); NULL: unpinned */
    uint32_t depth;       /* reads in flight of each: PST_DEPTH_MIN…MAX; 0: the default */
    struct pst_activity *activities; /* worker i binds activities[i]; NULL: nobody watches */
    const atomic_bool *cancel; /* set by anyone, a signal handler too: stop soon; may be NULL */
};

struct pst_crew_progress {
    uint64_t bytes_done;
    uint64_t bytes_total;  /* grows while the backup is looked through, then stays */
    uint64_t objects_done; /* made, or checked in the catalogues */
};

/* Calls work(context, worker) on crew->workers threads, pinned where the crew says so, and tick
 * (may be NULL) on the caller's thread some ten times a second while they run. 0 when all are back,
 * or the error of one of them; a thread that cannot be started, or pinned, is an error too. */
PST_MUST_USE int crew_run(const struct pst_crew *crew, int (*work)(void *context, uint32_t worker),
                          void (*tick)(void *context), void *context);

bool crew_is_cancelled(const struct pst_crew *crew);
uint32_t crew_depth(const struct pst_crew *crew);

#endif
