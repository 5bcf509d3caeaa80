/*
 * A ring of signals between two processes that do not trust each other's memory accesses. The
 * memory holds an rte_ring and its slots (DPDK programmer's guide, "Ring Library"); each side works
 * on a private copy of the rte_ring and takes nothing from the shared one but the other's index,
 * after it has checked it. So whatever is written over the memory, no loop is longer than the ring
 * and no access is outside it; a signal is copied first, then checked, then delivered. At the first
 * thing that is wrong the end is broken for good (-PST_E_LINK).
 *
 * The memory also holds what the two sides need to sleep and to see each other alive.
 */
#ifndef PST_NET_SHM_SHARED_RING_H
#define PST_NET_SHM_SHARED_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/protocol/signal.h"
#include "net/signal_check.h"
#include "penstock/error.h"

#define SHARED_RING_SIGNALS_MAX 65536u

struct shared_ring;

/* One side's end: one thread's, in private memory. */
struct shared_ring_end;

/* Bytes of memory that so many slots take; slots: a power of two from 2. One stays free. */
size_t shared_ring_bytes(uint32_t slots);

/* The producer: makes an empty ring in memory (page-aligned, the caller's, longer-lived than
 * the end) before the other side attaches. incarnation: the producing node's. 0 or -ENOMEM. */
PST_MUST_USE int shared_ring_make(struct shared_ring_end **out, void *memory, uint32_t slots,
                                  uint64_t incarnation);

/* The consumer. 0, -ENOMEM, or -PST_E_LINK: this is no ring of so many slots. */
PST_MUST_USE int shared_ring_attach(struct shared_ring_end **in, void *memory, uint32_t slots,
                                    uint64_t incarnation);

/* Forgets an end; the memory stays. Nothing for NULL. */
void shared_ring_free(struct shared_ring_end *end);

/* The producer. As pst_signal_ring_put: 0, -EAGAIN, or -PST_E_LINK; but nothing is seen before it
 * is published. After -EAGAIN the consumer owes a wake-up as soon as it has taken something. */
PST_MUST_USE int shared_ring_put(struct shared_ring_end *out, const struct pst_signal *signal);

/* The producer: shows the consumer all that was put, by one write to the line that it reads.
 * Whether there was anything: ring then. */
bool shared_ring_publish(struct shared_ring_end *out);

/* The producer: how many signals fit just now; 0 too where the ring is broken. */
uint32_t shared_ring_room(struct shared_ring_end *out);

/* The producer: whether what the consumer writes is sound, without putting anything. */
PST_MUST_USE int shared_ring_check(struct shared_ring_end *out);

/* The consumer. As pst_signal_ring_get_burst. */
PST_MUST_USE int shared_ring_get_burst(struct shared_ring_end *in, struct pst_signal *signals,
                                       uint32_t count);

/* The consumer: false too where the ring is broken, for get_burst has that to tell. */
bool shared_ring_is_empty(struct shared_ring_end *in);

/* Either side: what broke its end. */
enum pst_signal_fault shared_ring_fault(const struct shared_ring_end *end);

/* Words of net/doorbell.h: where the consumer sleeps, where the producer waits for room. */
uint32_t *shared_ring_consumer_sleep(struct shared_ring_end *end);
uint32_t *shared_ring_producer_sleep(struct shared_ring_end *end);

/* The producer's sign of life: moved on by the producer, seen by the consumer. */
void shared_ring_beat(struct shared_ring_end *out);
uint32_t shared_ring_beats(const struct shared_ring_end *in);

#endif
