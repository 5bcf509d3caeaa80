/*
 * What the archive thread sends: answers to requests, and reports. Its own thread calls this, from
 * archive_thread.c and archive_fetch.c.
 */
#include <sched.h>

#include "engine/node/archive_state.h"

void archive_answer(struct archive_thread *thread, const struct pst_signal *request, int error,
                    struct pst_signal *conf)
{
    pst_ref self_ref = pst_ref_make(thread->worker->node->config.node, PST_BLOCK_ARCHIVE, 0);
    conf->gsn = error ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn);
    conf->version = PST_SIGNAL_VERSION;
    conf->length = pst_gsn_payload_bytes(conf->gsn);
    conf->sender_ref = self_ref;
    conf->receiver_ref = request->sender_ref;
    conf->backup = request->backup;
    conf->sequence = request->sequence;
    conf->payload.order.master_ref = request->payload.order.master_ref;
    if (error) {
        conf->payload.ref.error = (uint32_t)-error;
        conf->payload.ref.where = self_ref;
    }
    pst_channel_to_hub(&thread->worker->channel, conf);
}

void archive_send(struct archive_thread *thread, const struct pst_signal *signal)
{
    /* The hub always drains its ring, whoever is slow beyond it. */
    while (pst_signal_ring_room(thread->worker->channel.to_hub) <= PST_RING_RESERVE) {
        if (atomic_load_explicit(&thread->worker->must_stop, memory_order_acquire))
            return; /* the hub has stopped */
        sched_yield();
    }
    pst_channel_to_hub(&thread->worker->channel, signal);
}
