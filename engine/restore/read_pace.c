/* Called by chunk_reader.c and row_reading.c, by each thread that reads. */
#include "engine/restore/read_pace.h"

void read_pace_keep(struct pst_pace_share *pace, struct pst_ring *ring, uint64_t *busy_since_ns,
                    uint64_t now_ns)
{
    struct pst_ring_transfers ended = pst_ring_take_transfers(ring);
    ended.busy_ns = now_ns - *busy_since_ns;
    *busy_since_ns = now_ns;
    (void)pst_pace_keep(pace, ring, &ended, now_ns);
}
