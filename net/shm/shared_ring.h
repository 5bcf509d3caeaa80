/*
 * Private to net/shm: a ring of signals between two processes that do not trust each other's memory
 * accesses. The memory holds an rte_ring and its slots (DPDK programmer's guide, "Ring Library").
 * Each side works on a private copy of the rte_ring and takes nothing from the shared one but the
 * other side's index, once it has checked it. So whatever overwrites the memory, no loop is longer
 * than the ring and no access is outside it; a signal is copied first, then checked, then
 * delivered. The first fault breaks the end that finds it for good (-PST_E_LINK).
 *
 * The memory also holds the words by which the two sides sleep, wake and see each other alive.
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

/* One side's end, in private memory. For one thread. */
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

/* Frees an end; the memory stays. No effect for NULL. */
void shared_ring_free(struct shared_ring_end *end);

/* The producer. As pst_spsc_put(): 0, -EAGAIN, or -PST_E_LINK; but the consumer sees nothing
 * before it is published. After -EAGAIN the consumer owes a wake-up as soon as it has taken
 * something. */
PST_MUST_USE int shared_ring_put(struct shared_ring_end *out, const struct pst_signal *signal);

/* The producer: shows the consumer all that was put, by one write to the cache line that it reads.
 * Whether there was anything: then wake the consumer if it sleeps. */
bool shared_ring_publish(struct shared_ring_end *out);

/* The producer: how many signals fit just now; 0 too where the ring is broken. */
uint32_t shared_ring_room(struct shared_ring_end *out);

/* The producer: 0, or -PST_E_LINK: what the consumer has written is not sound. Puts nothing. */
PST_MUST_USE int shared_ring_check(struct shared_ring_end *out);

/* The consumer. As pst_spsc_get_burst(). */
PST_MUST_USE int shared_ring_get_burst(struct shared_ring_end *in, struct pst_signal *signals,
                                       uint32_t count);

/* The consumer: false also where the ring is broken, which get_burst then reports. */
bool shared_ring_is_empty(struct shared_ring_end *in);

/* Either side: what broke its end. */
enum pst_spsc_fault shared_ring_fault(const struct shared_ring_end *end);

/* Sleep words of net/doorbell.h: of the consumer, and of the producer that waits for room. */
uint32_t *shared_ring_consumer_sleep(struct shared_ring_end *end);
uint32_t *shared_ring_producer_sleep(struct shared_ring_end *end);

/* The producer's sign of life: a counter that the producer moves and the consumer reads. */
void shared_ring_beat(struct shared_ring_end *out);
uint32_t shared_ring_beats(const struct shared_ring_end *in);

#endif
