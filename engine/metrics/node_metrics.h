/*
 * A node's metrics, of the status that it answers on its control socket: a pure function. Any
 * thread.
 */
#ifndef PST_ENGINE_METRICS_NODE_METRICS_H
#define PST_ENGINE_METRICS_NODE_METRICS_H

#include "engine/metrics/exposition.h"

struct json_t;

/* status: as docs/json.md describes node_status. What it lacks (a node of an older version) is left
 * out. *text and *bytes as of exposition_end; 0 or -ENOMEM. */
PST_MUST_USE int pst_metrics_of_node(const struct json_t *status, enum pst_exposition_format format,
                                     char **text, size_t *bytes);

#endif
