/*
 * The placement plan for people and for programs.
 */
#ifndef PST_ENGINE_CLI_TOPOLOGY_VIEW_H
#define PST_ENGINE_CLI_TOPOLOGY_VIEW_H

#include <stdint.h>
#include <stdio.h>

#include "numa/plan.h"
#include "numa/topology.h"

/* All that `penstock topology` shows; everything is borrowed. */
struct cli_topology_view {
    const struct pst_topology *topology;
    const struct pst_plan *plan;
    const char *path; /* what the disk was asked for */
    const struct pst_topology_device *disk;
    const struct pst_topology_device *nics;
    uint32_t nic_count;
};

/* Draws a box per NUMA node, a cell per physical core, a line per SMT sibling, at most 80 columns,
 * ASCII only; then devices, limits, and what was given up. */
void cli_topology_draw(FILE *out, const struct cli_topology_view *view);

struct json_t;

/* The same as one JSON object, the caller's; NULL: no memory. */
struct json_t *cli_topology_json(const struct cli_topology_view *view);

#endif
