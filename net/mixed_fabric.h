/*
 * A fabric of two: the one of this host for the nodes near by, the one between hosts for all others
 * (docs/adr/0026-mixed-fabric.md). It expels, as the near one does: a node that a near one has
 * declared dead leaves the far ones too.
 */
#ifndef PST_NET_MIXED_FABRIC_H
#define PST_NET_MIXED_FABRIC_H

#include "net/fabric.h"

/*
 * Joins two fabrics, just opened by the calling thread as the same node, which are the mixed one's
 * from then on; after an error they are closed. near_nodes, by id - 1: who is reached by near, and
 * by nothing else. far must not expel. 0, or -errno: EMFILE, ENOMEM, …
 */
PST_MUST_USE int pst_mixed_fabric_open(struct pst_fabric *near, const struct pst_set *near_nodes,
                                       struct pst_fabric *far, struct pst_fabric **fabric);

#endif
