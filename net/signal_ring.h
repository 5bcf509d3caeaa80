/*
 * A lock-free ring of signals by value: one producer thread, one consumer thread (rte_ring in
 * SP/SC mode; DPDK programmer's guide, "Ring Library"). Needs no EAL, no hugepages, no root: it
 * lives wholly in memory that the caller gives, holds no pointers, and may thus be mapped at
 * different addresses by its two sides.
 *
 * Every signal is checked on its way out: a lost, repeated, stale or damaged one is never
 * delivered; the ring is then broken for good (PST_E_LINK) and pst_spsc_ring_fault() says why.
 */
#ifndef PST_NET_SIGNAL_RING_H
#define PST_NET_SIGNAL_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/protocol/signal.h"
#include "net/signal_check.h"
#include "penstock/error.h"

#define PST_SIGNAL_RING_ALIGNMENT 128u

struct pst_signal_ring;

/* Bytes of memory that a ring of so many slots takes. slots: a power of two from 2; one of them
 * stays free, so slots - 1 signals fit. */
size_t pst_spsc_bytes(uint32_t slots);

/*
 * Makes an empty ring in memory, which has pst_spsc_bytes(slots) bytes, is aligned to
 * PST_SIGNAL_RING_ALIGNMENT and stays the caller's, who may free it when neither side uses the ring
 * any more. incarnation: the producing node's; stamped on every signal, and checked.
 * Call it once, before either side uses the ring. It cannot fail.
 */
struct pst_signal_ring *pst_spsc_init(void *memory, uint32_t slots, uint64_t incarnation);

/*
 * Producer thread. Copies the signal and stamps link_sequence, incarnation and checksum on the
 * copy; asserts that gsn, version, flags and length are legal. The consumer may see it at once:
 * ring its doorbell next. Returns 0, or -EAGAIN where the ring is full (nothing is put, counted).
 */
PST_MUST_USE int pst_spsc_put(struct pst_signal_ring *ring, const struct pst_signal *signal);

/*
 * Consumer thread. Copies the oldest signals, count at most, into signals. Returns how many, 0 if
 * there are none, or -PST_E_LINK, now and ever after: the next signal is not what was put. Good
 * signals before a bad one are delivered first.
 */
PST_MUST_USE int pst_spsc_get_burst(struct pst_signal_ring *ring, struct pst_signal *signals,
                                    uint32_t count);

/* Consumer thread. For the look before a sleep. A broken ring is never empty: get_burst has an
 * error to report. */
bool pst_spsc_is_empty(struct pst_signal_ring *ring);

/* Consumer thread. Why get_burst returned -PST_E_LINK. */
enum pst_spsc_fault pst_spsc_ring_fault(const struct pst_signal_ring *ring);

/* Producer thread. How many signals fit just now, at least. */
uint32_t pst_spsc_room(struct pst_signal_ring *ring);

/* Producer thread. How often put found the ring full. */
uint64_t spsc_refused(const struct pst_signal_ring *ring);

#endif
