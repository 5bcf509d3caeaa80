/*
 * How an rte_ring begins in memory of ours: as rte_ring_init() would make it, whose library loads
 * all of DPDK's EAL. All else of a ring is in DPDK's headers.
 */
#ifndef PST_NET_RING_INIT_H
#define PST_NET_RING_INIT_H

#include <stddef.h>
#include <stdint.h>

struct rte_ring;

/* Of a ring with its slots, each of a signal. slots: a power of two from 2. Any thread. */
size_t pst_spsc_ring_bytes(uint32_t slots);

/* Makes an empty ring for one producer and one consumer; the slots stay as they are. Before either
 * side uses it. */
void pst_spsc_ring_init(struct rte_ring *ring, uint32_t slots);

#endif
