/*
 * Two rings of signals and two doorbells: how the hub and one other thread of the node talk.
 */
#ifndef PST_ENGINE_NODE_CHANNEL_H
#define PST_ENGINE_NODE_CHANNEL_H

#include "engine/base/check.h"
#include "engine/protocol/step.h"
#include "net/doorbell.h"
#include "net/signal_ring.h"
#include "penstock/error.h"

/* Signals taken out of a ring at once. */
#define PST_CHANNEL_BURST 16u

struct pst_channel {
    struct pst_doorbell bell; /* the peer's */
    struct pst_doorbell *hub_bell;
    struct pst_signal_ring *to_peer;
    struct pst_signal_ring *to_hub;
    void *memory; /* both rings */
    size_t memory_bytes;
    /* Each end is the thread's that first uses it: a ring has one producer and one consumer. */
    struct pst_thread_owner hub_end;
    struct pst_thread_owner peer_end;
};

/* slots: of each ring, a power of two. hub_bell is borrowed. 0 or -errno. */
PST_MUST_USE int pst_channel_open(struct pst_channel *channel, struct pst_doorbell *hub_bell,
                                  uint32_t slots, uint64_t incarnation);
void channel_close(struct pst_channel *channel);

/* The hub's thread, the peer's thread. The limits make a full ring impossible: asserted. */
void pst_channel_to_peer(struct pst_channel *channel, const struct pst_signal *signal);
void pst_channel_to_hub(struct pst_channel *channel, const struct pst_signal *signal);

/* The peer's thread, when it has dealt with a NODE_FAILED_ORD: what it sent to that node is ahead
 * of this. order is answered. */
void channel_heard_failure(struct pst_channel *channel, const struct pst_signal *order);

/* Up to PST_CHANNEL_BURST signals; asserts that the ring is sound: both ends are this process. */
uint32_t pst_channel_from_peer(struct pst_channel *channel, struct pst_signal *signals);
uint32_t pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals);

/* Hands each signal of a send to deliver, its receiver complete: a fan-out is many. node: own. */
void pst_send_each(const struct pst_send *send,
                   void (*deliver)(void *context, const struct pst_signal *signal), void *context);

#endif
