/*
 * The threads of a verify or restore. What runs on them is private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_CREW_H
#define PST_ENGINE_RESTORE_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/activity.h"
#include "engine/base/limits.h"
#include "engine/pace/pace.h"
#include "penstock/error.h"

struct pst_crew {
    uint32_t workers;      /* 1…PST_LDMS_MAX */
    const uint32_t *cpus;  /* worker i is pinned to cpus[i] (numa/place.h); NULL: unpinned */
    uint32_t depth;        /* reads in flight of each: PST_DEPTH_MIN…MAX; 0: the default */
    struct pst_pace *pace; /* of all; NULL: as fast as it goes */
    struct pst_activity *activities; /* worker i binds activities[i]; NULL: nobody watches */
    const atomic_bool *cancel; /* set by anyone, a signal handler too: stop soon; may be NULL */
};

struct pst_crew_progress {
    uint64_t bytes_done;
    uint64_t bytes_total;  /* grows while the backup is looked through, then stays */
    uint64_t objects_done; /* made, or checked in the catalogues */
};

/* The threads themselves: started by the first work, they keep what they need from one to the next.
 */
struct crew;

/* What a thread keeps between two works, its own: set there, released there when the crew ends. */
struct crew_own {
    void *data; /* NULL: nothing */
    void (*release)(void *data);
};

/* options: borrowed as long as the crew lives. -ENOMEM. */
PST_MUST_USE int crew_open(const struct pst_crew *options, struct crew **crew);
void crew_close(struct crew *crew);

/* Calls work(context, worker) on the first so many threads (CREW_ALL), pinned where the crew says
 * so, and tick (may be NULL) on the caller's thread some ten times a second while they run. 0 when
 * all are back, or the error of one of them; a thread that cannot be started, or pinned, is an
 * error too. */
#define CREW_ALL UINT32_MAX
PST_MUST_USE int crew_run(struct crew *crew, uint32_t workers,
                          int (*work)(void *context, uint32_t worker), void (*tick)(void *context),
                          void *context);

/* Calls step for slices that add up to 0 … count - 1, on all threads; a small count on the caller's
 * alone. */
PST_MUST_USE int crew_each(struct crew *crew, size_t count,
                           void (*step)(void *context, size_t from, size_t end), void *context);

uint32_t crew_workers(const struct crew *crew);
uint32_t crew_depth(const struct crew *crew);
struct pst_pace *crew_pace(const struct crew *crew);
bool crew_is_cancelled(const struct crew *crew);

/* On that worker's thread. */
struct crew_own *crew_own(struct crew *crew, uint32_t worker);

#endif
