/*
 * What this process may use of the machine: affinity mask, cgroup cpuset (v1 and v2), CPU quota.
 * Only for numa/. root as in topology.h; any thread.
 */
#ifndef PST_NUMA_ALLOWED_H
#define PST_NUMA_ALLOWED_H

#include <stdbool.h>
#include <stdint.h>

#include "numa/cpu_list.h"
#include "penstock/error.h"

struct allowed {
    bool cpus_limited; /* false: cpus is empty and every online CPU may be used */
    struct pst_cpu_list cpus;
    bool nodes_limited; /* the same for memory */
    struct pst_cpu_list nodes;
    uint32_t quota_millicpus; /* 0: none */
    uint64_t memory_bytes;    /* that the cgroup grants; UINT64_MAX: all */
};

/* Reads them; what the kernel does not offer (no cgroups, no /proc) limits nothing. */
PST_MUST_USE int allowed_read(const char *root, struct allowed *allowed);

#endif
