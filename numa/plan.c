/*
 * Decides which CPU each LDM and the hub run on, from the topology and what was asked for. Pure;
 * any thread.
 */
#include "numa/plan.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "numa/cpu_list.h"

#define FARTHEST UINT32_MAX

/* The plan in the making. Loads are indexed by CPU number; a core has the number of its first CPU.
 */
struct planner {
    const struct pst_topology *topology;
    const struct pst_plan_request *request;
    struct pst_plan *plan;
    uint32_t cores;                   /* physical cores with an allowed CPU */
    uint16_t cpu_ldms[PST_CPUS_MAX];  /* LDMs on a CPU */
    uint16_t core_ldms[PST_CPUS_MAX]; /* LDMs on a physical core */
    bool cpu_hub[PST_CPUS_MAX];       /* the hub sits on this CPU */
    bool core_hub[PST_CPUS_MAX];      /* … on this core */
    uint32_t distances[PST_CPUS_MAX]; /* from a CPU's node to the disk's, by index in cpus[] */
};

static void note(struct planner *planner, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct planner *planner, const char *format, ...)
{
    struct pst_plan *plan = planner->plan;
    assert(plan->note_count < PST_PLAN_NOTES_MAX);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(plan->notes[plan->note_count++], PST_PLAN_NOTE_BYTES, format, arguments);
    va_end(arguments);
}

static int refuse(struct planner *planner, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct planner *planner, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(planner->plan->error, PST_PLAN_NOTE_BYTES, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

/* ---- what there is ---- */

static void survey(struct planner *planner)
{
    const struct pst_topology *topology = planner->topology;
    bool seen[PST_CPUS_MAX] = {false};
    for (uint32_t i = 0; i < topology->cpu_count; i++) {
        const struct pst_topology_cpu *cpu = &topology->cpus[i];
        if (!cpu->allowed)
            continue;
        planner->cores += !seen[cpu->core];
        seen[cpu->core] = true;
        planner->distances[i] = topology_distance(topology, cpu->node, planner->request->disk_node);
    }
}

static uint32_t choose_ldms(const struct planner *planner)
{
    uint32_t room = planner->cores;
    uint32_t quota = planner->topology->quota_millicpus / 1000;
    if (planner->topology->quota_millicpus != 0 && quota < room)
        room = quota;
    uint32_t ldms = room > 1 ? room - 1 : 1;
    return ldms < PST_PLAN_LDMS_DEFAULT_MAX ? ldms : PST_PLAN_LDMS_DEFAULT_MAX;
}

/* ---- the placement ---- */

static struct pst_placement place_on(const struct pst_topology_cpu *cpu)
{
    return (struct pst_placement){
        .cpu = cpu->id, .cpu_node = cpu->node, .memory_node = PST_NUMA_NODE_UNKNOWN};
}

static void place_ldm(struct planner *planner, uint32_t index, const struct pst_topology_cpu *cpu)
{
    planner->plan->ldm[index] = place_on(cpu);
    planner->cpu_ldms[cpu->id]++;
    planner->core_ldms[cpu->core]++;
}

static void place_hub(struct planner *planner, const struct pst_topology_cpu *cpu)
{
    planner->plan->hub = place_on(cpu);
    planner->cpu_hub[cpu->id] = true;
    planner->core_hub[cpu->core] = true;
}

/* What speaks against a CPU, the weightiest first; the smaller is the better. */
struct cost {
    uint32_t terms[6];
};

static struct cost ldm_cost(const struct planner *planner, uint32_t index)
{
    const struct pst_topology_cpu *cpu = &planner->topology->cpus[index];
    return (struct cost){{planner->core_ldms[cpu->core], planner->core_hub[cpu->core],
                          planner->cpu_ldms[cpu->id], planner->cpu_hub[cpu->id],
                          planner->distances[index], (uint32_t)cpu->node}};
}

static struct cost hub_cost(const struct planner *planner, uint32_t index)
{
    const struct pst_topology_cpu *cpu = &planner->topology->cpus[index];
    return (struct cost){{planner->cpu_ldms[cpu->id], planner->core_ldms[cpu->core],
                          planner->distances[index], (uint32_t)cpu->node, 0, 0}};
}

static bool is_cheaper(const struct cost *a, const struct cost *b)
{
    for (size_t i = 0; i < sizeof(a->terms) / sizeof(a->terms[0]); i++)
        if (a->terms[i] != b->terms[i])
            return a->terms[i] < b->terms[i];
    return false;
}

/* The cheapest allowed CPU; among equals the lowest number. There is always one: see make(). */
static const struct pst_topology_cpu *pick(const struct planner *planner,
                                           struct cost (*cost_of)(const struct planner *, uint32_t))
{
    const struct pst_topology_cpu *best = NULL;
    struct cost lowest;
    for (uint32_t i = 0; i < planner->topology->cpu_count; i++) {
        if (!planner->topology->cpus[i].allowed)
            continue;
        struct cost cost = cost_of(planner, i);
        if (!best || is_cheaper(&cost, &lowest)) {
            best = &planner->topology->cpus[i];
            lowest = cost;
        }
    }
    assert(best);
    return best;
}

/* ---- what was asked for ---- */

static int check_usable(struct planner *planner, const char *option, uint32_t id)
{
    const struct pst_topology_cpu *cpu = topology_find_cpu(planner->topology, id);
    if (!cpu)
        return refuse(planner,
                      "%s: this machine has no CPU %u; `penstock topology` shows those it has",
                      option, id);
    if (!cpu->online)
        return refuse(planner, "%s: CPU %u is offline; bring it online or name another", option,
                      id);
    if (!cpu->allowed)
        return refuse(planner,
                      "%s: CPU %u is outside the affinity mask or cgroup of this process; name one "
                      "that `penstock topology` shows as usable",
                      option, id);
    return 0;
}

static int parse_list(struct planner *planner, const char *option, const char *text,
                      struct pst_cpu_list *list)
{
    int error = cpu_list_parse(text, list);
    if (error == -ERANGE)
        return refuse(planner, "%s: CPU numbers end at %u", option, PST_CPUS_MAX - 1);
    if (error || list->count == 0)
        return refuse(planner,
                      "%s: \"%.64s\" is not a list of CPUs; write it like 2-5,8, each CPU once",
                      option, text);
    return 0;
}

static int take_ldm_cpus(struct planner *planner)
{
    static const char option[] = "--ldm-cpus";
    struct pst_cpu_list list;
    int error = parse_list(planner, option, planner->request->ldm_cpus, &list);
    if (error)
        return error;
    if (list.count > PST_LDMS_MAX)
        return refuse(planner, "%s names %u CPUs; a node has at most %u LDMs", option, list.count,
                      PST_LDMS_MAX);
    uint32_t asked = planner->request->ldms;
    if (asked != 0 && asked != list.count)
        return refuse(planner, "%s names %u CPUs, --ldms asks for %u; give one CPU for each LDM",
                      option, list.count, asked);
    for (uint32_t i = 0; i < list.count; i++) {
        error = check_usable(planner, option, list.cpu[i]);
        if (error)
            return error;
        place_ldm(planner, i, topology_find_cpu(planner->topology, list.cpu[i]));
    }
    planner->plan->ldms = list.count;
    return 0;
}

static int take_hub_cpu(struct planner *planner)
{
    static const char option[] = "--hub-cpu";
    struct pst_cpu_list list;
    int error = parse_list(planner, option, planner->request->hub_cpu, &list);
    if (error)
        return error;
    if (list.count != 1)
        return refuse(planner, "%s: the hub runs on one CPU; \"%.64s\" names %u", option,
                      planner->request->hub_cpu, list.count);
    error = check_usable(planner, option, list.cpu[0]);
    if (!error)
        place_hub(planner, topology_find_cpu(planner->topology, list.cpu[0]));
    return error;
}

static void choose_ldm_cpus(struct planner *planner)
{
    uint32_t ldms = planner->request->ldms;
    planner->plan->ldms = ldms != 0 ? ldms : choose_ldms(planner);
    for (uint32_t i = 0; i < planner->plan->ldms; i++)
        place_ldm(planner, i, pick(planner, ldm_cost));
}

/* ---- memory ---- */

/* The nearest node with memory that the process may use; at one distance, one with CPUs first. */
static int32_t nearest_memory(const struct pst_topology *topology, int32_t from)
{
    int32_t best = PST_NUMA_NODE_UNKNOWN;
    uint32_t lowest = FARTHEST;
    for (uint32_t i = 0; i < topology->node_count; i++) {
        const struct pst_topology_node *node = &topology->nodes[i];
        if (node->memory_bytes == 0 || !node->memory_allowed)
            continue;
        uint32_t distance = topology_distance(topology, from, node->id);
        uint32_t cost = distance * 2 + (node->memory_only ? 1 : 0);
        if (cost < lowest) {
            best = node->id;
            lowest = cost;
        }
    }
    return best;
}

static void bind_memory(struct planner *planner, struct pst_placement *placement)
{
    if (planner->topology->has_numa && placement->cpu_node != PST_NUMA_NODE_UNKNOWN)
        placement->memory_node = nearest_memory(planner->topology, placement->cpu_node);
}

/* ---- what was given up ---- */

/* "LDM 4" or "LDMs 1-3,7". */
static const char *ldms_text(const struct pst_cpu_list *list, char *text, size_t bytes)
{
    char numbers[96];
    pst_cpu_list_format(list, numbers, sizeof(numbers));
    snprintf(text, bytes, "LDM%s %s", list->count == 1 ? "" : "s", numbers);
    return text;
}

/* The LDMs whose CPU is on this node. */
static void collect_ldms(const struct planner *planner, int32_t node, struct pst_cpu_list *list)
{
    list->count = 0;
    for (uint32_t i = 0; i < planner->plan->ldms; i++)
        if (planner->plan->ldm[i].cpu_node == node)
            list->cpu[list->count++] = (uint16_t)(i + 1);
}

static void note_sharing(struct planner *planner)
{
    uint32_t ldms = 0, cores = 0;
    for (uint32_t core = 0; core < PST_CPUS_MAX; core++)
        if (planner->core_ldms[core] > 1) {
            ldms += planner->core_ldms[core];
            cores++;
        }
    if (cores > 0)
        note(planner, "%u LDMs share %u physical core%s", ldms, cores, cores == 1 ? "" : "s");
}

static void note_hub(struct planner *planner)
{
    const struct pst_plan *plan = planner->plan;
    const struct pst_topology_cpu *hub = topology_find_cpu(planner->topology, plan->hub.cpu);
    struct pst_cpu_list same_cpu = {0}, same_core = {0};
    for (uint32_t i = 0; i < plan->ldms; i++) {
        const struct pst_topology_cpu *cpu = topology_find_cpu(planner->topology, plan->ldm[i].cpu);
        struct pst_cpu_list *list = cpu == hub ? &same_cpu : &same_core;
        if (cpu->core == hub->core)
            list->cpu[list->count++] = (uint16_t)(i + 1);
    }
    char text[160];
    if (same_cpu.count > 0)
        note(planner, "the hub shares CPU %u with %s", hub->id,
             ldms_text(&same_cpu, text, sizeof(text)));
    else if (same_core.count > 0)
        note(planner, "the hub, on CPU %u, shares its physical core with %s", hub->id,
             ldms_text(&same_core, text, sizeof(text)));
}

static void note_distance(struct planner *planner, const struct pst_topology_node *node)
{
    int32_t disk = planner->request->disk_node;
    struct pst_cpu_list list;
    collect_ldms(planner, node->id, &list);
    if (list.count == 0 || disk == node->id)
        return;
    char text[160];
    note(planner, "%s %s on node %u, the disk is on node %d", ldms_text(&list, text, sizeof(text)),
         list.count == 1 ? "is" : "are", node->id, disk);
}

static void note_memory(struct planner *planner, const struct pst_topology_node *node)
{
    struct pst_cpu_list list;
    collect_ldms(planner, node->id, &list);
    if (list.count == 0)
        return;
    int32_t memory = planner->plan->ldm[list.cpu[0] - 1].memory_node;
    if (memory == node->id)
        return;
    char text[160];
    const char *why = node->memory_bytes == 0 ? "has no memory" : "is closed to this process";
    ldms_text(&list, text, sizeof(text));
    if (memory == PST_NUMA_NODE_UNKNOWN)
        note(planner, "the memory of %s may lie anywhere: node %u %s", text, node->id, why);
    else
        note(planner, "the memory of %s lies on node %d: node %u %s", text, memory, node->id, why);
}

static void note_nodes(struct planner *planner)
{
    const struct pst_topology *topology = planner->topology;
    uint32_t with_cpus = 0;
    for (uint32_t i = 0; i < topology->node_count; i++)
        with_cpus += !topology->nodes[i].memory_only;
    bool known = pst_topology_find_node(topology, planner->request->disk_node) != NULL;
    if (with_cpus > 1 && !known)
        note(planner, "the NUMA node of the disk is unknown: CPUs are taken by node number");
    for (uint32_t i = 0; i < topology->node_count && topology->has_numa; i++) {
        if (known)
            note_distance(planner, &topology->nodes[i]);
        note_memory(planner, &topology->nodes[i]);
    }
}

static void note_quota(struct planner *planner)
{
    uint32_t quota = planner->topology->quota_millicpus;
    uint32_t ldms = planner->plan->ldms;
    if (quota != 0 && (ldms + 1) * 1000 > quota)
        note(planner,
             "the cgroup grants %u.%02u CPUs to %u LDM%s and the hub: they may be throttled",
             quota / 1000, quota % 1000 / 10, ldms, ldms == 1 ? "" : "s");
}

/* ---- all of it ---- */

static int place_all(struct planner *planner)
{
    const struct pst_plan_request *request = planner->request;
    if (request->hub_cpu) {
        int error = take_hub_cpu(planner);
        if (error)
            return error;
    }
    if (request->ldm_cpus) {
        int error = take_ldm_cpus(planner);
        if (error)
            return error;
    } else {
        choose_ldm_cpus(planner);
    }
    if (!request->hub_cpu)
        place_hub(planner, pick(planner, hub_cost));
    return 0;
}

static int make(struct planner *planner)
{
    survey(planner);
    if (planner->cores == 0)
        return refuse(planner, "this process may use no online CPU; widen its cgroup's cpuset");
    if (planner->request->ldms > PST_LDMS_MAX)
        return refuse(planner, "--ldms: a node has 1 to %u LDMs, not %u", PST_LDMS_MAX,
                      planner->request->ldms);
    int error = place_all(planner);
    if (error)
        return error;
    bind_memory(planner, &planner->plan->hub);
    for (uint32_t i = 0; i < planner->plan->ldms; i++)
        bind_memory(planner, &planner->plan->ldm[i]);
    note_sharing(planner);
    note_hub(planner);
    note_nodes(planner);
    note_quota(planner);
    return 0;
}

int pst_plan_make(const struct pst_topology *topology, const struct pst_plan_request *request,
                  struct pst_plan *plan)
{
    assert(topology && request && plan);
    *plan = (struct pst_plan){0};
    struct planner planner = {.topology = topology, .request = request, .plan = plan};
    return make(&planner);
}
