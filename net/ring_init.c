/*
 * Initialises an rte_ring. Called by whoever makes one, signal_ring.c and net/shm/shared_ring.c;
 * tests/unit/net/ring_init_test.c holds its bytes to DPDK's.
 */
#include "net/ring_init.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <rte_ring_core.h>

#include "engine/protocol/signal.h"

_Static_assert(offsetof(struct rte_ring, prod) % RTE_CACHE_LINE_SIZE == 0 &&
                   offsetof(struct rte_ring, cons) % RTE_CACHE_LINE_SIZE == 0 &&
                   offsetof(struct rte_ring, cons) > offsetof(struct rte_ring, prod) &&
                   sizeof(struct rte_ring) - offsetof(struct rte_ring, cons) >= RTE_CACHE_LINE_SIZE,
               "the two sides and the slots behind them share no line");

static bool is_legal(uint32_t slots)
{
    return slots >= 2 && (slots & (slots - 1)) == 0 && slots <= RTE_RING_SZ_MASK;
}

size_t pst_spsc_ring_bytes(uint32_t slots)
{
    assert(is_legal(slots));
    return RTE_ALIGN_CEIL(sizeof(struct rte_ring) + (size_t)slots * PST_SIGNAL_BYTES,
                          (size_t)RTE_CACHE_LINE_SIZE);
}

void pst_spsc_ring_init(struct rte_ring *ring, uint32_t slots)
{
    assert(is_legal(slots));
    memset(ring, 0, sizeof(*ring)); /* what lies between the fields, too: it is compared */
    memcpy(ring->name, "signals", sizeof("signals"));
    ring->flags = RING_F_SP_ENQ | RING_F_SC_DEQ;
    ring->size = slots;
    ring->mask = ring->capacity = slots - 1;
    ring->prod.sync_type = ring->cons.sync_type = RTE_RING_SYNC_ST;
}
