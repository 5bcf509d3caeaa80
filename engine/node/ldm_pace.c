/* The pace of an LDM: what it measured goes there, and its requests follow. Called by ldm_thread.c,
 * on the LDM's thread. */
#include "engine/node/ldm_pace.h"

#include "engine/protocol/step.h"

static enum pst_io_priority io_priority_of(enum pst_pace_priority priority)
{
    static const enum pst_io_priority priorities[] = {
        [PST_PACE_NORMAL] = PST_IO_PRIORITY_USUAL,
        [PST_PACE_LOW] = PST_IO_PRIORITY_LOW,
        [PST_PACE_IDLE] = PST_IO_PRIORITY_IDLE,
    };
    return priorities[priority];
}

uint64_t ldm_pace_keep(struct pst_pace_share *pace, struct pst_ring *ring, bool reads,
                       uint64_t now_ns)
{
    const struct pst_ring_transfers ended = pst_ring_take_transfers(ring);
    if (!reads)
        return PST_DEADLINE_NONE;
    pst_pace_note_transfers(pace, ended.count, ended.ns);
    pst_pace_note_io(pace, ended.busy_ns);
    uint64_t due_ns = pst_pace_tick(pace, now_ns);
    pst_ring_set_priority(ring, io_priority_of(pst_pace_priority(pace)));
    pst_ring_set_gentle(ring, pst_pace_is_gentle(pace));
    return due_ns;
}
