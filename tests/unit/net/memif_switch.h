/*
 * A switch between ports of DPDK's memif, all in one process and on one thread, for tests that are
 * linked with --wrap=pst_packet_ethdev_open: what a node flushes lies at once in the rings of the
 * nodes that it is for. DPDK's EAL is open.
 *
 * The driver frees what connects two ports in a thread of its own, when one of them closes. So only
 * the switch's ports see their peers go, and the switch touches none of them until that is over.
 */
#ifndef PST_TESTS_UNIT_NET_MEMIF_SWITCH_H
#define PST_TESTS_UNIT_NET_MEMIF_SWITCH_H

#include <stdint.h>

#define MEMIF_SWITCH_PORTS 3u

/* With its sockets in directory; aborts on errors. Nodes 1…MEMIF_SWITCH_PORTS, who are known by the
 * last byte of their addresses, connect when they are opened. */
void memif_switch_open(const char *directory);
void memif_switch_close(void);

/* The device that a node has to be opened with: the switch's, until it is closed. */
const char *memif_switch_device(uint32_t node);

#endif
