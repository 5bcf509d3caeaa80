#include "net/signal_ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <rte_hash_crc.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

/* Each side's own state lies on lines that the other side never touches: two lines apart, for
 * processors that fetch lines in pairs. */
struct pst_signal_ring {
    uint64_t incarnation;

    struct {
        uint64_t refused;
        uint32_t sequence;
    } producer __attribute__((aligned(PST_SIGNAL_RING_ALIGNMENT)));

    struct {
        uint32_t sequence;
        enum pst_signal_fault fault;
    } consumer __attribute__((aligned(PST_SIGNAL_RING_ALIGNMENT)));

    struct rte_ring ring __attribute__((aligned(PST_SIGNAL_RING_ALIGNMENT))); /* slots follow */
};

_Static_assert(offsetof(struct pst_signal_ring, ring) + sizeof(struct rte_ring) ==
                   sizeof(struct pst_signal_ring),
               "rte_ring takes the memory behind itself for its slots");
_Static_assert(offsetof(struct pst_signal, checksum) % sizeof(uint64_t) == 0 &&
                   PST_SIGNAL_BYTES % sizeof(uint64_t) == 0,
               "the checksum runs over whole words");

static uint32_t crc_of_words(const unsigned char *bytes, size_t size, uint32_t crc)
{
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, bytes + i, sizeof(word));
        crc = rte_hash_crc_8byte(word, crc);
    }
    return crc;
}

/* CRC-32C of what precedes the checksum in the low half, and of what follows it, continued from
 * the first, in the high half: 64 bits that differ, where two CRCs of the same bytes would not. */
static uint64_t checksum_of(const struct pst_signal *signal)
{
    const unsigned char *bytes = (const unsigned char *)signal;
    const size_t end = offsetof(struct pst_signal, checksum) + sizeof(signal->checksum);
    uint32_t low = crc_of_words(bytes, offsetof(struct pst_signal, checksum), UINT32_MAX);
    uint32_t high = crc_of_words(bytes + end, sizeof(*signal) - end, low);
    return (uint64_t)high << 32 | low;
}

static enum pst_signal_fault content_fault(const struct pst_signal *signal)
{
    if (signal->version != PST_SIGNAL_VERSION)
        return PST_SIGNAL_FAULT_VERSION;
    uint16_t payload_bytes = pst_gsn_payload_bytes(signal->gsn);
    if (payload_bytes == 0)
        return PST_SIGNAL_FAULT_GSN;
    if (signal->length != payload_bytes)
        return PST_SIGNAL_FAULT_LENGTH;
    if (signal->flags != 0 || signal->reserved != 0)
        return PST_SIGNAL_FAULT_RESERVED;
    return PST_SIGNAL_FAULT_NONE;
}

static enum pst_signal_fault signal_fault(const struct pst_signal_ring *ring,
                                          const struct pst_signal *signal)
{
    if (signal->checksum != checksum_of(signal))
        return PST_SIGNAL_FAULT_CHECKSUM;
    if (signal->incarnation != ring->incarnation)
        return PST_SIGNAL_FAULT_INCARNATION;
    if (signal->link_sequence != ring->consumer.sequence)
        return PST_SIGNAL_FAULT_SEQUENCE;
    return content_fault(signal);
}

size_t pst_signal_ring_bytes(uint32_t slots)
{
    ssize_t ring_bytes = rte_ring_get_memsize_elem(PST_SIGNAL_BYTES, slots);
    assert(ring_bytes > 0);
    size_t bytes = offsetof(struct pst_signal_ring, ring) + (size_t)ring_bytes;
    return (bytes + PST_SIGNAL_RING_ALIGNMENT - 1) & ~(size_t)(PST_SIGNAL_RING_ALIGNMENT - 1);
}

struct pst_signal_ring *pst_signal_ring_init(void *memory, uint32_t slots, uint64_t incarnation)
{
    assert((uintptr_t)memory % PST_SIGNAL_RING_ALIGNMENT == 0);
    assert(slots >= 2 && (slots & (slots - 1)) == 0);
    struct pst_signal_ring *ring = memory;
    /* The slots too: their pages come from the initialising thread's NUMA node now, not later. */
    memset(memory, 0, pst_signal_ring_bytes(slots));
    ring->incarnation = incarnation;
    int status = rte_ring_init(&ring->ring, "signals", slots, RING_F_SP_ENQ | RING_F_SC_DEQ);
    assert(status == 0);
    return ring;
}

int pst_signal_ring_put(struct pst_signal_ring *ring, const struct pst_signal *signal)
{
    assert(content_fault(signal) == PST_SIGNAL_FAULT_NONE);
    struct rte_ring_zc_data space;
    if (rte_ring_enqueue_zc_burst_elem_start(&ring->ring, PST_SIGNAL_BYTES, 1, &space, NULL) == 0) {
        ring->producer.refused++;
        return -EAGAIN;
    }
    struct pst_signal *slot = space.ptr1;
    memcpy(slot, signal, sizeof(*slot));
    slot->link_sequence = ring->producer.sequence++;
    slot->incarnation = ring->incarnation;
    slot->checksum = checksum_of(slot);
    rte_ring_enqueue_zc_elem_finish(&ring->ring, 1);
    return 0;
}

/* Copies before anything is checked: what was checked is then what is used, whatever a producer in
 * another process does to the slot meanwhile. */
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

int pst_signal_ring_get_burst(struct pst_signal_ring *ring, struct pst_signal *signals,
                              uint32_t count)
{
    assert(count <= INT32_MAX);
    if (ring->consumer.fault != PST_SIGNAL_FAULT_NONE)
        return -PST_E_LINK;
    uint32_t taken = take(&ring->ring, signals, count);
    for (uint32_t i = 0; i < taken; i++) {
        ring->consumer.fault = signal_fault(ring, &signals[i]);
        if (ring->consumer.fault != PST_SIGNAL_FAULT_NONE)
            return i > 0 ? (int)i : -PST_E_LINK;
        ring->consumer.sequence++;
    }
    return (int)taken;
}

bool pst_signal_ring_is_empty(struct pst_signal_ring *ring)
{
    if (ring->consumer.fault != PST_SIGNAL_FAULT_NONE)
        return false;
    /* A dequeue begun and given up: rte_ring_empty() reads the producer's tail without an acquire.
     */
    struct rte_ring_zc_data filled;
    uint32_t waiting =
        rte_ring_dequeue_zc_burst_elem_start(&ring->ring, PST_SIGNAL_BYTES, 1, &filled, NULL);
    if (waiting > 0)
        rte_ring_dequeue_zc_elem_finish(&ring->ring, 0);
    return waiting == 0;
}

enum pst_signal_fault pst_signal_ring_fault(const struct pst_signal_ring *ring)
{
    return ring->consumer.fault;
}

const char *pst_signal_fault_text(enum pst_signal_fault fault)
{
    switch (fault) {
    case PST_SIGNAL_FAULT_NONE:
        return "no fault";
    case PST_SIGNAL_FAULT_CHECKSUM:
        return "checksum: the signal is damaged";
    case PST_SIGNAL_FAULT_INCARNATION:
        return "incarnation: the signal is from another life of its sender";
    case PST_SIGNAL_FAULT_SEQUENCE:
        return "link sequence: signals were lost or repeated";
    case PST_SIGNAL_FAULT_VERSION:
        return "version: the sender speaks another version of the protocol";
    case PST_SIGNAL_FAULT_GSN:
        return "gsn: no such signal";
    case PST_SIGNAL_FAULT_LENGTH:
        return "length: not that of the signal's payload";
    case PST_SIGNAL_FAULT_RESERVED:
        return "flags: a reserved byte is not zero";
    }
    return "unknown fault";
}

uint32_t pst_signal_ring_room(struct pst_signal_ring *ring)
{
    /* An enqueue begun and given up: rte_ring_free_count() too reads without an acquire. */
    struct rte_ring_zc_data slots;
    uint32_t room_after = 0;
    uint32_t reserved =
        rte_ring_enqueue_zc_burst_elem_start(&ring->ring, PST_SIGNAL_BYTES, 1, &slots, &room_after);
    if (reserved > 0)
        rte_ring_enqueue_zc_elem_finish(&ring->ring, 0);
    return reserved + room_after;
}

uint64_t pst_signal_ring_refused(const struct pst_signal_ring *ring)
{
    return ring->producer.refused;
}
