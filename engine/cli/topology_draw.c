/*
 * Draws the placement plan with characters. Called by cmd_topology.c, on the main thread.
 */
#include <string.h>

#include "engine/cli/print.h"
#include "engine/cli/topology_view.h"
#include "engine/cli/value.h"
#include "numa/cpu_list.h"

#define CELLS_PER_ROW 4u
#define CELL_COLUMNS 18 /* "CPU 16   LDM 1,3,5" */
#define ROLE_COLUMNS 12 /* of them behind a CPU number of four digits */

/* ---- what runs on a CPU ---- */

static void append(char *text, size_t bytes, const char *more)
{
    size_t used = strlen(text);
    snprintf(text + used, bytes - used, "%s%s", used > 0 ? "+" : "", more);
}

/* "LDM 1-3", "hub", "hub+LDM 1"; "." for an idle CPU, "x" for one that is not ours. */
static const char *role(const struct pst_plan *plan, const struct pst_topology_cpu *cpu, char *text,
                        size_t bytes)
{
    struct pst_cpu_list ldms = {0};
    for (uint32_t i = 0; i < plan->ldms; i++)
        if (plan->ldm[i].cpu == cpu->id)
            ldms.cpu[ldms.count++] = (uint16_t)(i + 1);
    text[0] = '\0';
    if (plan->hub.cpu == cpu->id)
        append(text, bytes, "hub");
    if (ldms.count > 0) {
        char numbers[32], named[40];
        snprintf(named, sizeof(named), "LDM %s", pst_cpu_list_format(&ldms, numbers, 24));
        append(text, bytes, named);
    }
    if (text[0] == '\0')
        append(text, bytes, cpu->allowed ? "." : "x");
    return text;
}

/* Cuts what is too long for a cell, and marks the cut. */
static void fit(char *text, size_t columns)
{
    if (strlen(text) > columns)
        strcpy(text + columns - 2, "..");
}

/* ---- boxes ---- */

/* The cores of one node, each by its first CPU in the topology. */
struct cores {
    uint32_t count;
    uint16_t core[PST_CPUS_MAX];
};

static bool has_core(const struct cores *cores, uint16_t core)
{
    for (uint32_t i = 0; i < cores->count; i++)
        if (cores->core[i] == core)
            return true;
    return false;
}

static void collect_cores(const struct pst_topology *topology, int32_t node, struct cores *cores)
{
    cores->count = 0;
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        if (topology->cpus[i].online && topology->cpus[i].node == node &&
            !has_core(cores, topology->cpus[i].core))
            cores->core[cores->count++] = topology->cpus[i].core;
}

/* The index-th online CPU of a core; NULL past the last. */
static const struct pst_topology_cpu *sibling(const struct pst_topology *topology, uint16_t core,
                                              uint32_t index)
{
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        if (topology->cpus[i].online && topology->cpus[i].core == core && index-- == 0)
            return &topology->cpus[i];
    return NULL;
}

static void draw_border(FILE *out, uint32_t cells)
{
    cli_print(out, "  +");
    for (uint32_t i = 0; i < cells; i++)
        cli_print(out, "%.*s+", CELL_COLUMNS, "------------------------------");
    cli_print_empty_line(out);
}

static void draw_cell(FILE *out, const struct cli_topology_view *view,
                      const struct pst_topology_cpu *cpu)
{
    char text[96] = "";
    if (cpu) {
        char roles[64];
        role(view->plan, cpu, roles, sizeof(roles));
        fit(roles, ROLE_COLUMNS);
        snprintf(text, sizeof(text), "%3u %s", cpu->id, roles);
    }
    cli_print(out, " %-*s|", CELL_COLUMNS - 1, text);
}

/* A row of cells: as many lines as its cores have siblings. */
static void draw_row(FILE *out, const struct cli_topology_view *view, const uint16_t *cores,
                     uint32_t cells)
{
    for (uint32_t line = 0;; line++) {
        const struct pst_topology_cpu *cpus[CELLS_PER_ROW];
        bool any = false;
        for (uint32_t i = 0; i < cells; i++) {
            cpus[i] = sibling(view->topology, cores[i], line);
            any = any || cpus[i];
        }
        if (!any)
            return;
        cli_print(out, "  |");
        for (uint32_t i = 0; i < cells; i++)
            draw_cell(out, view, cpus[i]);
        cli_print_empty_line(out);
    }
}

static void draw_cores(FILE *out, const struct cli_topology_view *view, int32_t node)
{
    struct cores cores;
    collect_cores(view->topology, node, &cores);
    uint32_t widest = cores.count < CELLS_PER_ROW ? cores.count : CELLS_PER_ROW;
    if (cores.count == 0)
        return;
    draw_border(out, widest);
    for (uint32_t at = 0; at < cores.count; at += CELLS_PER_ROW) {
        uint32_t left = cores.count - at;
        uint32_t cells = left < CELLS_PER_ROW ? left : CELLS_PER_ROW;
        draw_row(out, view, &cores.core[at], cells);
        draw_border(out, at + CELLS_PER_ROW < cores.count ? widest : cells);
    }
}

static void draw_hugepages(FILE *out, const struct pst_topology_node *node)
{
    char size[CLI_VALUE_TEXT_BYTES];
    for (uint32_t i = 0; i < node->hugepage_sizes; i++)
        if (node->hugepages[i].total_pages > 0)
            cli_print_line(out, "  %llu of %llu hugepages of %s free",
                           (unsigned long long)node->hugepages[i].free_pages,
                           (unsigned long long)node->hugepages[i].total_pages,
                           cli_value_size_text(node->hugepages[i].page_bytes, size));
}

static void draw_node(FILE *out, const struct cli_topology_view *view,
                      const struct pst_topology_node *node)
{
    char size[CLI_VALUE_TEXT_BYTES];
    cli_print(out, "node %u: ", node->id);
    if (node->memory_bytes == 0)
        cli_print(out, "no memory");
    else
        cli_print(out, "%s%s%s", cli_value_size_text(node->memory_bytes, size),
                  node->memory_only ? ", memory only" : "",
                  node->memory_allowed ? "" : ", closed to this process");
    cli_print_empty_line(out);
    draw_hugepages(out, node);
    draw_cores(out, view, node->id);
    if (view->disk->node == node->id)
        cli_print_line(out, "  disk %s", view->disk->name);
    for (uint32_t i = 0; i < view->nic_count; i++)
        if (view->nics[i].node == node->id)
            cli_print_line(out, "  NIC %s", view->nics[i].name);
}

/* ---- the rest ---- */

static void draw_unplaced_devices(FILE *out, const struct cli_topology_view *view)
{
    if (view->disk->name[0] == '\0')
        cli_print_line(out, "disk: none behind %s", view->path);
    else if (!pst_topology_find_node(view->topology, view->disk->node))
        cli_print_line(out, "disk %s: NUMA node unknown", view->disk->name);
    for (uint32_t i = 0; i < view->nic_count; i++)
        if (!pst_topology_find_node(view->topology, view->nics[i].node))
            cli_print_line(out, "NIC %s: NUMA node unknown", view->nics[i].name);
}

static void draw_distances(FILE *out, const struct pst_topology *topology)
{
    if (topology->node_count < 2)
        return;
    cli_print_line(out, "distances:");
    cli_print(out, "     ");
    for (uint32_t i = 0; i < topology->node_count; i++)
        cli_print(out, " %4u", topology->nodes[i].id);
    for (uint32_t i = 0; i < topology->node_count; i++) {
        cli_print_empty_line(out);
        cli_print(out, " %4u", topology->nodes[i].id);
        for (uint32_t j = 0; j < topology->node_count; j++)
            cli_print(out, " %4u", topology->nodes[i].distance[j]);
    }
    cli_print_empty_line(out);
}

static void draw_limits(FILE *out, const struct pst_topology *topology)
{
    struct pst_cpu_list offline = {0};
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        if (!topology->cpus[i].online)
            offline.cpu[offline.count++] = topology->cpus[i].id;
    char text[64];
    if (offline.count > 0)
        cli_print_line(out, "offline: CPU%s %s", offline.count == 1 ? "" : "s",
                       pst_cpu_list_format(&offline, text, sizeof(text)));
    if (topology->quota_millicpus != 0)
        cli_print_line(out, "CPU time granted by the cgroup: %u.%02u CPUs",
                       topology->quota_millicpus / 1000, topology->quota_millicpus % 1000 / 10);
    if (!topology->has_numa)
        cli_print_line(out, "this kernel has no NUMA: all memory counts as one node");
}

static void draw_plan(FILE *out, const struct pst_plan *plan)
{
    struct pst_cpu_list cpus = {0}; /* in the order of the LDMs, each once */
    for (uint32_t i = 0; i < plan->ldms; i++)
        if (!pst_cpu_list_has(&cpus, plan->ldm[i].cpu))
            cpus.cpu[cpus.count++] = plan->ldm[i].cpu;
    char text[512];
    cli_print_line(out, "plan: hub on CPU %u, %u LDM%s on CPU%s %s", plan->hub.cpu, plan->ldms,
                   plan->ldms == 1 ? "" : "s", cpus.count == 1 ? "" : "s",
                   pst_cpu_list_format(&cpus, text, sizeof(text)));
    cli_print_line(out, "given up:%s", plan->note_count == 0 ? " nothing" : "");
    for (uint32_t i = 0; i < plan->note_count; i++)
        cli_print_line(out, "  - %s", plan->notes[i]);
}

void cli_topology_draw(FILE *out, const struct cli_topology_view *view)
{
    for (uint32_t i = 0; i < view->topology->node_count; i++)
        draw_node(out, view, &view->topology->nodes[i]);
    cli_print_line(out,
                   "(. idle, x closed to this process; CPUs in one cell share a physical core)");
    draw_unplaced_devices(out, view);
    draw_distances(out, view->topology);
    draw_limits(out, view->topology);
    draw_plan(out, view->plan);
}
