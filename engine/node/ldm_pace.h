/*
 * An LDM keeps its pace. Private to engine/node/; the LDM's thread.
 */
#ifndef PST_ENGINE_NODE_LDM_PACE_H
#define PST_ENGINE_NODE_LDM_PACE_H

#include "engine/pace/pace.h"
#include "io/ring.h"

/* While the LDM reads, it tells the pace what it measured, and its requests get the priority that
 * the pace wants. Returns when to call again; PST_DEADLINE_NONE: when something else is due. */
uint64_t ldm_pace_keep(struct pst_pace_share *pace, struct pst_ring *ring, bool reads,
                       uint64_t now_ns);

#endif
