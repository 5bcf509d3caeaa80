/*
 * DPDK's EAL: one in each process, for rings in its memory (net/shm/shm_eal.h) and for network
 * ports that DPDK drives (net/packet/packet_ethdev.h).
 */
#ifndef PST_NET_EAL_H
#define PST_NET_EAL_H

#include <stdbool.h>
#include <stdint.h>

#include "penstock/error.h"

struct pst_eal_config {
    bool has_hugepages; /* its memory lies in hugepages, which must be reserved; else in normal
                           pages, which no other process can map and no PCI device can reach */
    const char *pci_function; /* that it may drive, such as 0000:3b:02.0; NULL: none */
};

/*
 * Starts it, once in a process: a primary of its own, with no files that remain, no secondaries,
 * no telemetry and no worker threads. What it logs goes into the log. Main thread, before threads
 * start that use it; its CPU affinity is kept. 0, or -errno with message.
 */
PST_MUST_USE int pst_eal_open(const struct pst_eal_config *config, char *message,
                              uint32_t message_bytes);

/* Main thread, after the last one that used it has ended. */
void pst_eal_close(void);

#endif
