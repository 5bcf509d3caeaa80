/*
 * Master: coordinates a backup over all nodes. Runs in LDM 1 of the master node; masterRef is that
 * BACKUP instance.
 *
 * Multithreaded nodes are addressed by their proxy, single-threaded ones by their LDM 1; one backup
 * may have both. The outcome is two-phase: once every node is prepared, the cluster manifest is
 * written durably (ARCHIVE_DECIDE_REQ). That write is the decision: whatever comes before it may
 * abort, nothing after it does.
 */
#ifndef PST_ENGINE_PROTOCOL_MASTER_H
#define PST_ENGINE_PROTOCOL_MASTER_H

#include "engine/protocol/master_state.h"

/* nodes: the live ones, self_ref's among them; multithreaded: those of them with several LDMs. */
void master_init(struct pst_master *master, pst_ref self_ref, const struct pst_set *nodes,
                 const struct pst_set *multithreaded, const struct pst_timeouts *timeouts);

void master_step(struct pst_master *master, const struct pst_event *event,
                 struct pst_actions *actions);

/* When it wants a PST_EVENT_TIMER; PST_DEADLINE_NONE for never. */
uint64_t master_deadline_ns(const struct pst_master *master);

#endif
