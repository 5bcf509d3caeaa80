/*
 * Which fabric joins a node to the others, and how it is opened: the one place in engine/node that
 * knows. All else uses net/fabric.h.
 */
#ifndef PST_ENGINE_NODE_NODE_FABRIC_H
#define PST_ENGINE_NODE_NODE_FABRIC_H

#include "engine/node/node.h"
#include "net/fabric.h"

/* What the process needs before a fabric can be opened. Main thread, before the hub starts and
 * after it has ended. 0, or -errno, logged. */
PST_MUST_USE int node_fabric_prepare(const struct pst_node_config *config);
void node_fabric_release(const struct pst_node_config *config);

/* The hub's thread. config->cluster is not NULL. The fabric is the caller's. 0, or -errno, logged.
 */
PST_MUST_USE int node_fabric_open(const struct pst_node_config *config,
                                  const struct pst_fabric_hello *hello, struct pst_fabric **fabric);

#endif
