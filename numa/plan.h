/*
 * The placement plan: which CPU the hub and every LDM of a node get, and which NUMA node the memory
 * of each comes from. Pure: topology and request in, plan out; any thread.
 *
 * Rules, the first that decides wins:
 *  1. an LDM goes to a physical core without an LDM while there is one, and to one without the hub;
 *  2. then to the core, then the CPU (SMT sibling) with the fewest LDMs;
 *  3. near the disk's NUMA node first (ACPI distance), then by node and CPU number.
 * The hub is placed after the LDMs: a core of its own, else a CPU of its own (an idle SMT sibling),
 * else the CPU with the fewest LDMs. A CPU asked for by number is taken as asked.
 * Memory comes from the CPU's own node, or the nearest with memory that the process may use.
 */
#ifndef PST_NUMA_PLAN_H
#define PST_NUMA_PLAN_H

#include <stdint.h>

#include "engine/base/limits.h"
#include "numa/topology.h"
#include "penstock/error.h"

/* The default number of LDMs: one for each allowed physical core but one for the hub, no more
 * than the CPU quota has room for, at least 1 and at most this: one disk needs no more. */
#define PST_PLAN_LDMS_DEFAULT_MAX 16u

#define PST_PLAN_NOTE_BYTES 192u
#define PST_PLAN_NOTES_MAX (2 * PST_NUMA_NODES_MAX + 8)

struct pst_plan_request {
    uint32_t ldms;        /* 0: choose, or as many as ldm_cpus names */
    const char *ldm_cpus; /* "2-5,8": LDM 1 gets the first, and so on; NULL: choose */
    const char *hub_cpu;  /* one CPU number; NULL: choose */
    int32_t disk_node;    /* PST_NUMA_NODE_UNKNOWN: no preference */
};

struct pst_placement {
    uint16_t cpu;
    int32_t cpu_node;    /* PST_NUMA_NODE_UNKNOWN where the topology does not know */
    int32_t memory_node; /* PST_NUMA_NODE_UNKNOWN: leave memory unbound */
};

/* About 60 KiB: allocate it, do not put it on a stack. */
struct pst_plan {
    uint32_t ldms;
    struct pst_placement hub;
    struct pst_placement ldm[PST_LDMS_MAX]; /* ldm[i] is LDM i + 1 */
    uint32_t note_count;                    /* what was given up, one sentence each */
    char notes[PST_PLAN_NOTES_MAX][PST_PLAN_NOTE_BYTES];
    char error[PST_PLAN_NOTE_BYTES]; /* why it failed and what to do; "" after success */
};

/*
 * Makes the plan. request and topology are borrowed for the call.
 * -EINVAL: the request cannot be met as asked; plan->error explains it and names the option.
 */
PST_MUST_USE int pst_plan_make(const struct pst_topology *topology,
                               const struct pst_plan_request *request, struct pst_plan *plan);

#endif
