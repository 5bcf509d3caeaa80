/*
 * Writes the placement plan as JSON. Called by cmd_topology.c, on the main thread.
 */
#include <jansson.h>

#include "engine/cli/json.h"
#include "engine/cli/topology_view.h"
#include "engine/json/json_build.h"

/* Unknown numbers are null. */
static json_t *number_or_null(int32_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static json_t *hugepages_json(const struct pst_topology_node *node)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < node->hugepage_sizes; i++)
        pst_json_append(&list, json_pack("{s:I, s:I, s:I}", "page_bytes",
                                         (json_int_t)node->hugepages[i].page_bytes, "total_pages",
                                         (json_int_t)node->hugepages[i].total_pages, "free_pages",
                                         (json_int_t)node->hugepages[i].free_pages));
    return list;
}

static json_t *nodes_json(const struct pst_topology *topology)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < topology->node_count; i++) {
        const struct pst_topology_node *node = &topology->nodes[i];
        json_t *distances = json_array();
        for (uint32_t j = 0; j < topology->node_count; j++)
            pst_json_append(&distances, json_integer(node->distance[j]));
        pst_json_append(
            &list, json_pack("{s:i, s:I, s:b, s:b, s:o, s:o}", "numa_node", (int)node->id,
                             "memory_bytes", (json_int_t)node->memory_bytes, "memory_only",
                             (int)node->memory_only, "memory_allowed", (int)node->memory_allowed,
                             "hugepages", hugepages_json(node), "distances", distances));
    }
    return list;
}

static json_t *cpus_json(const struct pst_topology *topology)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        const struct pst_topology_cpu *cpu = &topology->cpus[i];
        pst_json_append(&list,
                        json_pack("{s:i, s:i, s:o, s:o, s:b, s:b}", "cpu", (int)cpu->id, "core",
                                  (int)cpu->core, "numa_node", number_or_null(cpu->node), "package",
                                  number_or_null(cpu->package), "online", (int)cpu->online,
                                  "allowed", (int)cpu->allowed));
    }
    return list;
}

static json_t *device_json(const struct pst_topology_device *device)
{
    return json_pack("{s:o, s:o}", "name", cli_json_text(device->name), "numa_node",
                     number_or_null(device->node));
}

static json_t *disk_json(const struct cli_topology_view *view)
{
    return json_pack("{s:o, s:o, s:o}", "path", cli_json_text(view->path), "name",
                     cli_json_text(view->disk->name), "numa_node",
                     number_or_null(view->disk->node));
}

static json_t *nics_json(const struct cli_topology_view *view)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < view->nic_count; i++)
        pst_json_append(&list, device_json(&view->nics[i]));
    return list;
}

static json_t *placement_json(const struct pst_placement *placement)
{
    return json_pack("{s:i, s:o, s:o}", "cpu", (int)placement->cpu, "numa_node",
                     number_or_null(placement->cpu_node), "memory_numa_node",
                     number_or_null(placement->memory_node));
}

static json_t *plan_json(const struct pst_plan *plan)
{
    json_t *ldms = json_array(), *given_up = json_array();
    for (uint32_t i = 0; i < plan->ldms; i++) {
        const struct pst_placement *ldm = &plan->ldm[i];
        pst_json_append(&ldms, json_pack("{s:i, s:i, s:o, s:o}", "ldm", (int)i + 1, "cpu",
                                         (int)ldm->cpu, "numa_node", number_or_null(ldm->cpu_node),
                                         "memory_numa_node", number_or_null(ldm->memory_node)));
    }
    for (uint32_t i = 0; i < plan->note_count; i++)
        pst_json_append(&given_up, json_string(plan->notes[i]));
    return json_pack("{s:o, s:o, s:o}", "hub", placement_json(&plan->hub), "ldms", ldms, "given_up",
                     given_up);
}

struct json_t *cli_topology_json(const struct cli_topology_view *view)
{
    const struct pst_topology *topology = view->topology;
    json_t *quota = topology->quota_millicpus == 0
                        ? json_null()
                        : json_real((double)topology->quota_millicpus / 1000);
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "has_numa", (int)topology->has_numa,
                     "numa_nodes", nodes_json(topology), "cpus", cpus_json(topology), "cpu_quota",
                     quota, "disk", disk_json(view), "nics", nics_json(view), "plan",
                     plan_json(view->plan));
}
