/*
 * A thread that reads a backup keeps its pace. Private to engine/restore/; the thread of the share.
 */
#ifndef PST_ENGINE_RESTORE_READ_PACE_H
#define PST_ENGINE_RESTORE_READ_PACE_H

#include "engine/pace/ring_pace.h"

/* All since *busy_since_ns, which becomes now_ns, counts as being in flight: what a restore writes
 * meanwhile, too. */
void read_pace_keep(struct pst_pace_share *pace, struct pst_ring *ring, uint64_t *busy_since_ns,
                    uint64_t now_ns);

#endif
