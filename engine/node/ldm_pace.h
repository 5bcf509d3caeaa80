/*
 * An LDM keeps its pace. Private to engine/node/; the LDM's thread.
 */
#ifndef PST_ENGINE_NODE_LDM_PACE_H
#define PST_ENGINE_NODE_LDM_PACE_H

#include "engine/pace/ring_pace.h"

/* While the LDM reads, the pace is told what it measured, and its requests follow the pace
 * (engine/pace/ring_pace.h). Returns when to call again; PST_DEADLINE_NONE: when something else is
 * due. */
uint64_t ldm_pace_keep(struct pst_pace_share *pace, struct pst_ring *ring, bool reads,
                       uint64_t now_ns);

#endif
