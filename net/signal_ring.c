/*
 * The ring of signals between two threads of a node: an rte_ring in SP/SC mode, used in place, with
 * a stamp on each signal. One thread puts (the hub, or a thread that answers it), one takes.
 */
#include "net/signal_ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

#include "net/ring_init.h"

/* Each side's own state lies on cache lines that the other side never touches, and two lines apart,
 * for processors that fetch lines in pairs. */
struct pst_signal_ring {
    uint64_t incarnation;

    struct {
        uint64_t refused;
        uint32_t sequence;
    } producer __attribute__((aligned(PST_SIGNAL_RING_ALIGNMENT)));

    struct {
        uint32_t sequence;
        enum pst_spsc_fault fault;
    } consumer __attribute__((aligned(PST_SIGNAL_RING_ALIGNMENT)));

    struct rte_ring ring __attribute__((aligned(PST_SIGNAL_RING_ALIGNMENT))); /* slots follow */
};

_Static_assert(offsetof(struct pst_signal_ring, ring) + sizeof(struct rte_ring) ==
                   sizeof(struct pst_signal_ring),
               "rte_ring takes the memory behind itself for its slots");
_Static_assert(offsetof(struct pst_signal_ring, consumer) -
                           offsetof(struct pst_signal_ring, producer) >=
                       PST_SIGNAL_RING_ALIGNMENT &&
                   offsetof(struct pst_signal_ring, ring) -
                           offsetof(struct pst_signal_ring, consumer) >=
                       PST_SIGNAL_RING_ALIGNMENT,
               "neither side writes a line that the other side writes");

size_t pst_spsc_bytes(uint32_t slots)
{
    size_t bytes = offsetof(struct pst_signal_ring, ring) + pst_spsc_ring_bytes(slots);
    return (bytes + PST_SIGNAL_RING_ALIGNMENT - 1) & ~(size_t)(PST_SIGNAL_RING_ALIGNMENT - 1);
}

struct pst_signal_ring *pst_spsc_init(void *memory, uint32_t slots, uint64_t incarnation)
{
    assert((uintptr_t)memory % PST_SIGNAL_RING_ALIGNMENT == 0);
    struct pst_signal_ring *ring = memory;
    /* The slots too, so that their pages come from the initialising thread's NUMA node. */
    memset(memory, 0, pst_spsc_bytes(slots));
    ring->incarnation = incarnation;
    pst_spsc_ring_init(&ring->ring, slots);
    return ring;
}

int pst_spsc_put(struct pst_signal_ring *ring, const struct pst_signal *signal)
{
    assert(pst_spsc_content_fault(signal) == PST_SIGNAL_FAULT_NONE);
    struct rte_ring_zc_data space;
    if (rte_ring_enqueue_zc_burst_elem_start(&ring->ring, PST_SIGNAL_BYTES, 1, &space, NULL) == 0) {
        ring->producer.refused++;
        return -EAGAIN;
    }
    struct pst_signal *slot = space.ptr1;
    memcpy(slot, signal, sizeof(*slot));
    pst_spsc_stamp(slot, ring->incarnation, ring->producer.sequence++);
    rte_ring_enqueue_zc_elem_finish(&ring->ring, 1);
    return 0;
}

/* Copies first: so what is checked is what is used, whatever a producer in another process does to
 * the slot meanwhile. */
static uint32_t take(struct rte_ring *ring, struct pst_signal *signals, uint32_t count)
{
    struct rte_ring_zc_data filled;
    uint32_t taken =
        rte_ring_dequeue_zc_burst_elem_start(ring, PST_SIGNAL_BYTES, count, &filled, NULL);
    if (taken == 0)
        return 0;
    memcpy(signals, filled.ptr1, filled.n1 * sizeof(*signals));
    if (filled.n1 < taken)
        memcpy(signals + filled.n1, filled.ptr2, (taken - filled.n1) * sizeof(*signals));
    rte_ring_dequeue_zc_elem_finish(ring, taken);
    return taken;
}

int pst_spsc_get_burst(struct pst_signal_ring *ring, struct pst_signal *signals, uint32_t count)
{
    assert(count <= INT32_MAX);
    if (ring->consumer.fault != PST_SIGNAL_FAULT_NONE)
        return -PST_E_LINK;
    uint32_t taken = take(&ring->ring, signals, count);
    for (uint32_t i = 0; i < taken; i++) {
        ring->consumer.fault =
            pst_spsc_fault(&signals[i], ring->incarnation, ring->consumer.sequence);
        if (ring->consumer.fault != PST_SIGNAL_FAULT_NONE)
            return i > 0 ? (int)i : -PST_E_LINK;
        ring->consumer.sequence++;
    }
    return (int)taken;
}

bool pst_spsc_is_empty(struct pst_signal_ring *ring)
{
    if (ring->consumer.fault != PST_SIGNAL_FAULT_NONE)
        return false;
    /* Begins a dequeue and gives it up: rte_ring_empty() reads the producer's tail without an
     * acquire. */
    struct rte_ring_zc_data filled;
    uint32_t waiting =
        rte_ring_dequeue_zc_burst_elem_start(&ring->ring, PST_SIGNAL_BYTES, 1, &filled, NULL);
    if (waiting > 0)
        rte_ring_dequeue_zc_elem_finish(&ring->ring, 0);
    return waiting == 0;
}

enum pst_spsc_fault pst_spsc_ring_fault(const struct pst_signal_ring *ring)
{
    return ring->consumer.fault;
}

uint32_t pst_spsc_room(struct pst_signal_ring *ring)
{
    /* Begins an enqueue and gives it up: rte_ring_free_count() reads without an acquire too. */
    struct rte_ring_zc_data slots;
    uint32_t room_after = 0;
    uint32_t reserved =
        rte_ring_enqueue_zc_burst_elem_start(&ring->ring, PST_SIGNAL_BYTES, 1, &slots, &room_after);
    if (reserved > 0)
        rte_ring_enqueue_zc_elem_finish(&ring->ring, 0);
    return reserved + room_after;
}

uint64_t spsc_refused(const struct pst_signal_ring *ring)
{
    return ring->producer.refused;
}
