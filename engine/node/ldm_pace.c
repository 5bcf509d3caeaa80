/* Called by ldm_thread.c, on the LDM's thread. */
#include "engine/node/ldm_pace.h"

#include "engine/protocol/step.h"

uint64_t ldm_pace_keep(struct pst_pace_share *pace, struct pst_ring *ring, bool reads,
                       uint64_t now_ns)
{
    const struct pst_ring_transfers ended = pst_ring_take_transfers(ring);
    if (reads)
        return pst_pace_keep(pace, ring, &ended, now_ns);
    pst_pace_note_io(pace, ended.busy_ns);
    return PST_DEADLINE_NONE;
}
