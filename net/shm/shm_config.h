/*
 * What the fabric of one host is opened with: net/shm/shm_fabric.h.
 */
#ifndef PST_NET_SHM_SHM_CONFIG_H
#define PST_NET_SHM_SHM_CONFIG_H

#include "net/fabric.h"

/* Where the rings come from. */
enum pst_shm_memory {
    PST_SHM_HUGE_IF_FREE, /* hugepages if the host has free ones, else normal pages, which the log
                             then says */
    PST_SHM_NORMAL,
    PST_SHM_EAL, /* memory of DPDK's EAL, which has been started; every node of the cluster must use
                    it */
};

struct pst_shm_config {
    const char
        *directory; /* one for each cluster and host; made if missing, 0700; its parent must
                       exist. Refused unless it belongs to this user and is closed to others */
    struct pst_fabric_hello hello;
    enum pst_shm_memory memory;
    const struct pst_eal_ops *eal; /* for PST_SHM_EAL: net/eal.h */
    uint32_t ring_signals;         /* a power of two; 0: PST_RING_SIGNALS */
    uint64_t failure_ns; /* how long a peer may be silent; 0: PST_FABRIC_FAILURE_NS. A node must
                            call poll at least six times as often */
};

#endif
