#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/node_internal.h"
#include "engine/protocol/proxy.h"

/* Room kept in the client's ring for what is no report. */
#define CLIENT_ANSWERS_MAX 16u

struct hub {
    struct pst_node *node;
    struct pst_proxy *proxy;
    struct pst_actions actions;
};

static void route(void *context, const struct pst_signal *signal);

static void step(struct hub *hub, struct pst_event *event)
{
    event->now_ns = pst_monotonic_ns();
    hub->actions.sends_count = 0;
    hub->actions.works_count = 0;
    pst_proxy_step(hub->proxy, event, &hub->actions);
    assert(hub->actions.works_count == 0);
    for (uint32_t i = 0; i < hub->actions.sends_count; i++)
        pst_send_each(&hub->actions.sends[i], route, hub);
}

static void to_proxy(struct hub *hub, const struct pst_signal *signal)
{
    struct pst_event event = {.type = PST_EVENT_SIGNAL, .signal = signal};
    step(hub, &event);
}

/* The channel that leads to a receiver on this node; NULL: there is none of that name. */
static struct pst_channel *channel_of(struct pst_node *node, pst_ref receiver_ref)
{
    uint32_t instance = pst_ref_instance(receiver_ref);
    if (pst_ref_node(receiver_ref) != node->config.node)
        return NULL;
    switch (pst_ref_block(receiver_ref)) {
    case PST_BLOCK_CLIENT:
        return &node->client;
    case PST_BLOCK_PROXY: /* 1: LDM 1 in the proxy's place */
        return instance == 1 ? &node->ldms[0].worker.channel : NULL;
    case PST_BLOCK_BACKUP:
        if (instance < 1 || instance > node->config.plan->ldms)
            return NULL;
        return &node->ldms[instance - 1].worker.channel;
    case PST_BLOCK_SOURCE:
        return instance < node->config.sources_count ? &node->sources[instance].worker.channel
                                                     : NULL;
    case PST_BLOCK_ARCHIVE:
        return &node->archive.channel;
    case PST_BLOCK_OUTCOME: /* a node alone is never in doubt */
        return NULL;
    }
    return NULL;
}

/* A client that does not read, its output being stopped, say, misses reports, never an answer. */
static bool may_be_dropped(const struct pst_node *node, const struct pst_signal *signal)
{
    return signal->gsn == PST_BACKUP_STATUS_REP &&
           pst_signal_ring_room(node->client.to_peer) < CLIENT_ANSWERS_MAX;
}

static void route(void *context, const struct pst_signal *signal)
{
    struct hub *hub = context;
    struct pst_node *node = hub->node;
    if (may_be_dropped(node, signal))
        return;
    if (signal->receiver_ref == hub->proxy->self_ref) {
        to_proxy(hub, signal);
        return;
    }
    struct pst_channel *channel = channel_of(node, signal->receiver_ref);
    if (channel)
        pst_channel_to_peer(channel, signal);
    else
        pst_log(PST_LOG_WARNING, "%s for unknown receiver %08x dropped", pst_gsn_name(signal->gsn),
                signal->receiver_ref);
}

static bool drain(struct hub *hub, struct pst_channel *channel)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    uint32_t count = pst_channel_from_peer(channel, signals);
    for (uint32_t i = 0; i < count; i++)
        route(hub, &signals[i]);
    return count > 0;
}

static bool drain_all(struct hub *hub)
{
    struct pst_node *node = hub->node;
    bool worked = drain(hub, &node->client) | drain(hub, &node->archive.channel);
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        worked |= drain(hub, &node->ldms[i].worker.channel);
    for (uint32_t i = 0; i < node->config.sources_count; i++)
        worked |= drain(hub, &node->sources[i].worker.channel);
    return worked;
}

static bool nothing_waits(struct pst_node *node)
{
    if (!pst_signal_ring_is_empty(node->client.to_hub) ||
        !pst_signal_ring_is_empty(node->archive.channel.to_hub) ||
        atomic_load_explicit(&node->hub.must_stop, memory_order_acquire))
        return false;
    for (uint32_t i = 0; i < node->config.plan->ldms; i++) {
        if (!pst_signal_ring_is_empty(node->ldms[i].worker.channel.to_hub))
            return false;
    }
    for (uint32_t i = 0; i < node->config.sources_count; i++) {
        if (!pst_signal_ring_is_empty(node->sources[i].worker.channel.to_hub))
            return false;
    }
    return true;
}

static void wait_for_work(struct hub *hub, struct pst_idle *idle)
{
    if (!pst_idle(idle))
        return;
    struct pst_doorbell *bell = &hub->node->hub_bell;
    pst_doorbell_announce(bell);
    if (!nothing_waits(hub->node)) {
        pst_doorbell_cancel(bell);
        return;
    }
    uint64_t deadline_ns = pst_proxy_deadline_ns(hub->proxy);
    uint64_t timeout_ns = PST_DOORBELL_FOREVER;
    if (deadline_ns != PST_DEADLINE_NONE) {
        uint64_t now_ns = pst_monotonic_ns();
        timeout_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    }
    int woken = pst_doorbell_wait(bell, timeout_ns, -1);
    assert(woken >= 0);
}

void *hub_run(void *argument)
{
    struct pst_worker *worker = argument;
    const struct pst_node_config *config = &worker->node->config;
    struct hub hub = {.node = worker->node, .proxy = calloc(1, sizeof(*hub.proxy))};
    struct pst_idle idle = {0};
    int error = hub.proxy ? pst_place_pin(config->plan->hub.cpu) : -ENOMEM;
    if (error < 0) {
        pst_log(PST_LOG_ERROR, "the hub cannot be pinned to CPU %u: %s", config->plan->hub.cpu,
                pst_error_text(error));
        goto out;
    }
    pst_ref self_ref = pst_ref_make(config->node, PST_BLOCK_PROXY, 0);
    pst_proxy_init(hub.proxy, self_ref, self_ref, config->plan->ldms, config->sources_count,
                   &config->timeouts);
    atomic_store(&worker->ready, 0);
    while (!atomic_load_explicit(&worker->must_stop, memory_order_acquire)) {
        bool worked = drain_all(&hub);
        if (pst_monotonic_ns() >= pst_proxy_deadline_ns(hub.proxy)) {
            struct pst_event event = {.type = PST_EVENT_TIMER};
            step(&hub, &event);
        }
        if (worked)
            pst_idle_reset(&idle);
        else
            wait_for_work(&hub, &idle);
    }
out:
    free(hub.proxy);
    if (error < 0)
        atomic_store(&worker->ready, error);
    return NULL;
}
