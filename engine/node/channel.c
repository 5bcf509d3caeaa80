/*
 * The rings and doorbells between the hub and one other thread of the node. Both ends are in this
 * process, so a full or damaged ring is a bug, and ends it.
 */
#include "engine/node/channel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/base/log.h"

int pst_channel_open(struct pst_channel *channel, struct pst_doorbell *hub_bell, uint32_t slots,
                     uint64_t incarnation)
{
    size_t ring_bytes = pst_spsc_bytes(slots);
    ring_bytes = (ring_bytes + PST_SIGNAL_RING_ALIGNMENT - 1) / PST_SIGNAL_RING_ALIGNMENT *
                 PST_SIGNAL_RING_ALIGNMENT;
    channel->memory_bytes = 2 * ring_bytes;
    channel->memory = aligned_alloc(PST_SIGNAL_RING_ALIGNMENT, channel->memory_bytes);
    if (!channel->memory)
        return -ENOMEM;
    channel->hub_bell = hub_bell;
    channel->to_peer = pst_spsc_init(channel->memory, slots, incarnation);
    channel->to_hub = pst_spsc_init((char *)channel->memory + ring_bytes, slots, incarnation);
    int error = pst_doorbell_open(&channel->bell);
    if (error) {
        free(channel->memory);
        channel->memory = NULL;
    }
    return error;
}

void channel_close(struct pst_channel *channel)
{
    if (!channel->memory)
        return;
    pst_doorbell_close(&channel->bell);
    free(channel->memory);
    channel->memory = NULL;
}

static void put(struct pst_signal_ring *ring, struct pst_doorbell *bell,
                const struct pst_signal *signal)
{
    int error = pst_spsc_put(ring, signal);
    assert(!error);
    pst_doorbell_ring(bell);
}

void pst_channel_to_peer(struct pst_channel *channel, const struct pst_signal *signal)
{
    PST_CLAIM_THREAD(&channel->hub_end);
    put(channel->to_peer, &channel->bell, signal);
}

void pst_channel_to_hub(struct pst_channel *channel, const struct pst_signal *signal)
{
    PST_CLAIM_THREAD(&channel->peer_end);
    put(channel->to_hub, channel->hub_bell, signal);
}

void channel_heard_failure(struct pst_channel *channel, const struct pst_signal *order)
{
    struct pst_signal report;
    assert(order->gsn == PST_NODE_FAILED_ORD);
    pst_signal_init_answer(&report, PST_NODE_FAILED_REP, order);
    report.payload = order->payload;
    pst_channel_to_hub(channel, &report);
}

static uint32_t get(struct pst_signal_ring *ring, struct pst_signal *signals)
{
    int count = pst_spsc_get_burst(ring, signals, PST_CHANNEL_BURST);
    if (count < 0) {
        pst_log(PST_LOG_ERROR, "a signal ring of this process is damaged: %s",
                pst_spsc_fault_text(pst_spsc_ring_fault(ring)));
        pst_log_queue_flush();
        abort();
    }
    return (uint32_t)count;
}

uint32_t pst_channel_from_peer(struct pst_channel *channel, struct pst_signal *signals)
{
    PST_CLAIM_THREAD(&channel->hub_end);
    return get(channel->to_hub, signals);
}

uint32_t pst_channel_from_hub(struct pst_channel *channel, struct pst_signal *signals)
{
    PST_CLAIM_THREAD(&channel->peer_end);
    return get(channel->to_peer, signals);
}

static pst_ref completed(const struct pst_send *send, uint32_t member)
{
    pst_ref ref = send->signal.receiver_ref;
    switch (send->route) {
    case PST_ROUTE_LDMS:
        return pst_ref_make(pst_ref_node(ref), PST_BLOCK_BACKUP, member + 1);
    case PST_ROUTE_SOURCES:
        return pst_ref_make(pst_ref_node(ref), PST_BLOCK_SOURCE, member);
    case PST_ROUTE_NODES:
        return pst_ref_make(member + 1, pst_ref_block(ref), pst_ref_instance(ref));
    default:
        return ref;
    }
}

void pst_send_each(const struct pst_send *send,
                   void (*deliver)(void *context, const struct pst_signal *signal), void *context)
{
    if (send->route == PST_ROUTE_ONE) {
        deliver(context, &send->signal);
        return;
    }
    struct pst_signal signal = send->signal;
    for (uint32_t member = pst_set_next(&send->targets, 0); member < PST_SET_MEMBERS;
         member = pst_set_next(&send->targets, member + 1)) {
        signal.receiver_ref = completed(send, member);
        deliver(context, &signal);
    }
}
