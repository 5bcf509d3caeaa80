/*
 * The requests of a thread follow its pace: one rule for all who read by a ring, be it a backup, a
 * verify or a restore. The thread of the share and of the ring.
 */
#ifndef PST_ENGINE_PACE_RING_PACE_H
#define PST_ENGINE_PACE_RING_PACE_H

#include "engine/pace/pace.h"

/* ended: what pst_ring_take_transfers() gave, but for busy_ns, where the thread has I/O that the
 * ring does not see. The pace takes note of it and decides anew where that is due; what the ring
 * starts from now on has the I/O priority and the size that the pace wants. Returns when to call
 * again; UINT64_MAX: no time is set for it. */
uint64_t pst_pace_keep(struct pst_pace_share *share, struct pst_ring *ring,
                       const struct pst_ring_transfers *ended, uint64_t now_ns);

#endif
