/*
 * What the archive thread sends: answers to requests, and reports. Its own thread calls this, from
 * archive_thread.c and archive_fetch.c.
 */
#include <sched.h>

#include "engine/node/archive_work.h"

void archive_answer(struct archive_thread *thread, const struct pst_signal *request, int error,
                    struct pst_signal *conf)
{
    union pst_payload payload = conf->payload;
    pst_signal_init_answer(conf, error ? PST_REF_OF(request->gsn) : PST_CONF_OF(request->gsn),
                           request);
    payload.order.master_ref = conf->payload.order.master_ref;
    conf->payload = payload;
    if (error) {
        conf->payload.ref.error = (uint32_t)-error;
        conf->payload.ref.where = request->receiver_ref;
    }
    pst_channel_to_hub(&thread->worker->channel, conf);
}

void archive_send(struct archive_thread *thread, const struct pst_signal *signal)
{
    /* The hub always drains its ring, whoever is slow beyond it. */
    while (pst_spsc_room(thread->worker->channel.to_hub) <= PST_RING_RESERVE) {
        if (atomic_load_explicit(&thread->worker->must_stop, memory_order_acquire))
            return; /* the hub has stopped */
        sched_yield();
    }
    pst_channel_to_hub(&thread->worker->channel, signal);
}
