/*
 * The node's counters in DPDK's telemetry, where its process runs the EAL: what `penstock status`
 * shows as numbers. docs/metrics.md lists them. Main thread.
 */
#ifndef PST_ENGINE_NODE_NODE_TELEMETRY_H
#define PST_ENGINE_NODE_NODE_TELEMETRY_H

#include "engine/node/node.h"

/* After the start of the node, and before its end. Nothing where there is no EAL. */
void pst_node_telemetry_open(const struct pst_node_config *config, struct pst_node *node);
void pst_node_telemetry_close(const struct pst_node_config *config);

#endif
