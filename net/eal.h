/*
 * DPDK's EAL: one in each process, for rings in its memory (PST_SHM_EAL) and for network ports that
 * DPDK drives (net/packet/packet_ethdev.h). What needs it is given a struct pst_eal_ops, so that
 * who does not, does not load DPDK.
 */
#ifndef PST_NET_EAL_H
#define PST_NET_EAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

struct pst_eal_config {
    const char
        *name; /* of the node, among those of this host: "0a1b2c3d-1". NULL: its process id */
    bool has_hugepages; /* its memory lies in hugepages, which must be reserved; else in normal
                           pages, which no other process can map and no PCI device can reach */
    const char *pci_function; /* that it may drive, such as 0000:3b:02.0; NULL: none */
};

/* A page of its memory for one ring. */
struct pst_eal_page {
    const void *zone; /* for release */
    size_t bytes;
    int fd; /* of the file that the page lies in, at offset; the caller's */
    uint64_t offset;
};

/* A number that a command of DPDK's telemetry answers with. */
struct pst_eal_counter {
    const char *name; /* static */
    uint64_t value;
};

#define PST_EAL_COUNTERS_MAX 32u

/* Fills in the answer to a command, and returns how many there are. A thread of DPDK's own. */
typedef uint32_t pst_eal_count(void *context,
                               struct pst_eal_counter counters[PST_EAL_COUNTERS_MAX]);

struct pst_eal_ops {
    /*
     * Starts it, once in a process: a primary of its own, with no files that remain, no
     * secondaries and no worker threads. What it logs goes into the log. Its telemetry listens at
     * dpdk/penstock-NAME/dpdk_telemetry.v2 below $RUNTIME_DIRECTORY, else /run for root. Its
     * threads take none of the process's signals. Main thread, before threads start that use it;
     * its CPU affinity is kept. 0, or -errno with message.
     */
    int (*open)(const struct pst_eal_config *config, char *message, uint32_t message_bytes);

    /* Main thread, after the last one that used it has ended. */
    void (*close)(void);

    /* Has a command of its telemetry ("/penstock/status", static, as help) answered by count, until
     * it is withdrawn: then nobody is in count any more. While it is open; main thread. 0 or
     * -errno.
     */
    int (*publish)(const char *command, const char *help, pst_eal_count *count, void *context);
    void (*withdraw)(void);

    /* The hub's thread. 0 or -errno; E2BIG: size bytes need more than a page. */
    int (*reserve)(size_t size, struct pst_eal_page *page);
    void (*release)(const void *zone);
};

#endif
