/*
 * Whether a thread stands still in one call: looked at from time to time by another, it is logged
 * once with what it is at, and once more when it goes on. One thread looks.
 */
#ifndef PST_ENGINE_BASE_STALL_H
#define PST_ENGINE_BASE_STALL_H

#include "engine/base/activity.h"

#define PST_STALL_LOOK_NS UINT64_C(1000000000) /* between two looks */

/* One thread, or what its ring has in flight. */
struct pst_stall {
    const struct pst_activity *activity;
    const char *thread; /* its name, for the log */
    uint64_t moves;     /* when it moved last */
    uint64_t since_ns;
    bool is_stalled; /* and logged */
};

/* For how long it has not moved; 0: it has, or it waits for orders. From warning_ns on it is
 * logged. Times of CLOCK_MONOTONIC. */
uint64_t pst_stall_look(struct pst_stall *stall, uint64_t warning_ns, uint64_t now_ns);

#endif
