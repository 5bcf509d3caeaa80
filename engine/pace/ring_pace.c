/* Requests that follow the pace. Called by LDMs, and by the threads of a verify or restore, each
 * for its own ring. */
#include "engine/pace/ring_pace.h"

uint64_t pst_pace_keep(struct pst_pace_share *share, struct pst_ring *ring,
                       const struct pst_ring_transfers *ended, uint64_t now_ns)
{
    pace_note_transfers(share, ended->count, ended->ns);
    pst_pace_note_io(share, ended->busy_ns);
    uint64_t due_ns = pace_tick(share, now_ns);
    pst_ring_set_priority(ring, pace_priority(share));
    pst_ring_set_gentle(ring, pace_is_gentle(share));
    return due_ns;
}
