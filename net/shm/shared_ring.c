/*
 * The ring between two processes: each side works on its own copy of the rte_ring and believes
 * nothing in shared memory but, after a check, the other side's index. The hub's thread of either
 * side.
 */
#include "net/shm/shared_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

#include "net/doorbell.h"
#include "net/ring_init.h"

#define LINE 128u

/* Each word on cache lines of its own; beside it, the side that writes it. */
struct shared_ring {
    uint32_t beats __attribute__((aligned(LINE)));          /* producer */
    uint32_t consumer_sleep __attribute__((aligned(LINE))); /* both */
    uint32_t producer_sleep __attribute__((aligned(LINE))); /* both */
    struct rte_ring ring __attribute__((aligned(LINE)));    /* slots follow */
};

struct shared_ring_end {
    struct rte_ring view;
    struct shared_ring *shared;
    struct pst_signal *slots;
    uint64_t incarnation;
    uint32_t sequence;
    uint32_t published; /* producer: its index as the consumer may see it */
    enum pst_spsc_fault fault;
};

/* What pst_spsc_ring_init() writes and neither side changes: name, flags, size, mask, capacity. */
#define GEOMETRY_BYTES offsetof(struct rte_ring, pad0)

_Static_assert(offsetof(struct shared_ring, ring) + sizeof(struct rte_ring) ==
                   sizeof(struct shared_ring),
               "rte_ring takes the memory behind itself for its slots");
_Static_assert(offsetof(struct shared_ring, consumer_sleep) >= LINE &&
                   offsetof(struct shared_ring, producer_sleep) -
                           offsetof(struct shared_ring, consumer_sleep) >=
                       LINE &&
                   offsetof(struct shared_ring, ring) -
                           offsetof(struct shared_ring, producer_sleep) >=
                       LINE,
               "each word on lines of its own");
_Static_assert(sizeof(struct shared_ring) % _Alignof(struct pst_signal) == 0,
               "the slots are aligned");

size_t shared_ring_bytes(uint32_t slots)
{
    return offsetof(struct shared_ring, ring) + pst_spsc_ring_bytes(slots);
}

static struct shared_ring_end *end_make(void *memory, uint32_t slots, uint64_t incarnation)
{
    struct shared_ring_end *end = aligned_alloc(_Alignof(struct shared_ring_end), sizeof(*end));
    if (!end)
        return NULL;
    memset(end, 0, sizeof(*end));
    end->shared = memory;
    end->slots = (struct pst_signal *)(end->shared + 1);
    end->incarnation = incarnation;
    pst_spsc_ring_init(&end->view, slots);
    return end;
}

int shared_ring_make(struct shared_ring_end **out, void *memory, uint32_t slots,
                     uint64_t incarnation)
{
    /* The slots too, so that their pages come from the initialising thread's NUMA node. */
    memset(memory, 0, shared_ring_bytes(slots));
    *out = end_make(memory, slots, incarnation);
    if (!*out)
        return -ENOMEM;
    memcpy(&(*out)->shared->ring, &(*out)->view, sizeof((*out)->view));
    return 0;
}

void shared_ring_free(struct shared_ring_end *end)
{
    free(end);
}

static bool geometry_is_sound(const struct shared_ring_end *end)
{
    return memcmp(&end->shared->ring, &end->view, GEOMETRY_BYTES) == 0;
}

static int broken(struct shared_ring_end *end, enum pst_spsc_fault fault)
{
    end->fault = fault;
    return -PST_E_LINK;
}

int shared_ring_attach(struct shared_ring_end **in, void *memory, uint32_t slots,
                       uint64_t incarnation)
{
    *in = end_make(memory, slots, incarnation);
    if (!*in)
        return -ENOMEM;
    if (geometry_is_sound(*in))
        return 0;
    shared_ring_free(*in);
    *in = NULL;
    return -PST_E_LINK;
}

static uint32_t load(const volatile uint32_t *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

/* Takes over the consumer's index if taking signals can have led to it. */
static int see_consumer(struct shared_ring_end *out)
{
    struct rte_ring *shared = &out->shared->ring, *view = &out->view;
    uint32_t tail = load(&shared->cons.tail);
    if (!geometry_is_sound(out) || load(&shared->prod.tail) != out->published)
        return broken(out, PST_SIGNAL_FAULT_GEOMETRY);
    if (tail - view->cons.tail > out->published - view->cons.tail)
        return broken(out, PST_SIGNAL_FAULT_INDEX);
    view->cons.tail = tail;
    return 0;
}

/* Takes over the producer's index, which may have moved on, but by no more than fits. */
static int see_producer(struct shared_ring_end *in)
{
    struct rte_ring *shared = &in->shared->ring, *view = &in->view;
    uint32_t tail = load(&shared->prod.tail);
    if (!geometry_is_sound(in) || load(&shared->cons.tail) != view->cons.tail)
        return broken(in, PST_SIGNAL_FAULT_GEOMETRY);
    uint32_t waiting = tail - view->cons.tail;
    if (waiting > view->capacity || waiting < view->prod.tail - view->cons.tail)
        return broken(in, PST_SIGNAL_FAULT_INDEX);
    view->prod.tail = tail;
    return 0;
}

/* Whether a slot is free, as far as the view knows; it is reserved then. */
static bool reserve(struct shared_ring_end *out)
{
    struct rte_ring_zc_data space;
    return rte_ring_enqueue_zc_burst_elem_start(&out->view, PST_SIGNAL_BYTES, 1, &space, NULL) == 1;
}

/* 0 with a slot reserved, or an error. Reads the consumer's index only when its last known value
 * means that the ring is full: so its cache line stays with the consumer. */
static int reserve_or_look(struct shared_ring_end *out)
{
    if (reserve(out))
        return 0;
    int error = see_consumer(out);
    if (error || reserve(out))
        return error;
    pst_sleep_announce(&out->shared->producer_sleep);
    error = see_consumer(out);
    if (error || reserve(out))
        return error;
    return -EAGAIN;
}

int shared_ring_put(struct shared_ring_end *out, const struct pst_signal *signal)
{
    assert(pst_spsc_content_fault(signal) == PST_SIGNAL_FAULT_NONE);
    if (out->fault != PST_SIGNAL_FAULT_NONE)
        return -PST_E_LINK;
    int error = reserve_or_look(out);
    if (error)
        return error;
    struct pst_signal *slot = &out->slots[out->view.prod.tail & out->view.mask];
    struct pst_signal stamped = *signal;
    pst_spsc_stamp(&stamped, out->incarnation, out->sequence++);
    memcpy(slot, &stamped, sizeof(*slot));
    rte_ring_enqueue_zc_elem_finish(&out->view, 1);
    return 0;
}

bool shared_ring_publish(struct shared_ring_end *out)
{
    if (out->published == out->view.prod.tail)
        return false;
    out->published = out->view.prod.tail;
    __atomic_store_n(&out->shared->ring.prod.tail, out->published, __ATOMIC_RELEASE);
    return true;
}

uint32_t shared_ring_room(struct shared_ring_end *out)
{
    if (shared_ring_check(out) != 0)
        return 0;
    return out->view.capacity - (out->view.prod.tail - out->view.cons.tail);
}

int shared_ring_check(struct shared_ring_end *out)
{
    return out->fault != PST_SIGNAL_FAULT_NONE ? -PST_E_LINK : see_consumer(out);
}

/* Copies first: so what is checked is what is used, whatever the producer does to the slot
 * meanwhile. */
static uint32_t take(struct shared_ring_end *in, struct pst_signal *signals, uint32_t count)
{
    struct rte_ring_zc_data filled;
    uint32_t first = in->view.cons.tail & in->view.mask;
    uint32_t taken =
        rte_ring_dequeue_zc_burst_elem_start(&in->view, PST_SIGNAL_BYTES, count, &filled, NULL);
    if (taken == 0)
        return 0;
    memcpy(signals, &in->slots[first], filled.n1 * sizeof(*signals));
    if (filled.n1 < taken)
        memcpy(signals + filled.n1, in->slots, (taken - filled.n1) * sizeof(*signals));
    rte_ring_dequeue_zc_elem_finish(&in->view, taken);
    __atomic_store_n(&in->shared->ring.cons.tail, in->view.cons.tail, __ATOMIC_RELEASE);
    return taken;
}

int shared_ring_get_burst(struct shared_ring_end *in, struct pst_signal *signals, uint32_t count)
{
    assert(count <= INT32_MAX);
    if (in->fault != PST_SIGNAL_FAULT_NONE)
        return -PST_E_LINK;
    int error = see_producer(in);
    if (error)
        return error;
    uint32_t taken = take(in, signals, count);
    for (uint32_t i = 0; i < taken; i++) {
        in->fault = pst_spsc_fault(&signals[i], in->incarnation, in->sequence);
        if (in->fault != PST_SIGNAL_FAULT_NONE)
            return i > 0 ? (int)i : -PST_E_LINK;
        in->sequence++;
    }
    return (int)taken;
}

bool shared_ring_is_empty(struct shared_ring_end *in)
{
    return in->fault == PST_SIGNAL_FAULT_NONE && see_producer(in) == 0 &&
           in->view.prod.tail == in->view.cons.tail;
}

enum pst_spsc_fault shared_ring_fault(const struct shared_ring_end *end)
{
    return end->fault;
}

uint32_t *shared_ring_consumer_sleep(struct shared_ring_end *end)
{
    return &end->shared->consumer_sleep;
}

uint32_t *shared_ring_producer_sleep(struct shared_ring_end *end)
{
    return &end->shared->producer_sleep;
}

void shared_ring_beat(struct shared_ring_end *out)
{
    __atomic_fetch_add(&out->shared->beats, 1, __ATOMIC_RELAXED);
}

uint32_t shared_ring_beats(const struct shared_ring_end *in)
{
    return __atomic_load_n(&in->shared->beats, __ATOMIC_RELAXED);
}
