/*
 * The hub's thread: takes signals from the rings of the node's other threads, polls the other
 * nodes, and hands all of it to routing.c. It never blocks but in its one idle wait. Started and
 * stopped by node.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/priority.h"
#include "engine/base/thread.h"
#include "engine/node/history.h"
#include "engine/node/node_fabric.h"
#include "engine/node/routing.h"
#include "engine/node/threads.h"
#include "engine/node/watch.h"

/* Between two looks of the status at what the hub knows. */
#define STATUS_NS UINT64_C(50000000)
/* At the end; who goes on talking is not waited for. */
#define LAST_ROUNDS 16u

struct hub {
    struct pst_node *node;
    struct routing routing;
    struct history history;
    struct watch watch;
    uint64_t status_due_ns;
};

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
    case PST_BLOCK_OUTCOME: /* the hub's own */
        return NULL;
    }
    return NULL;
}

static uint64_t now_ns(void *context)
{
    (void)context;
    return pst_monotonic_ns();
}

static bool deliver(void *context, const struct pst_signal *signal)
{
    const struct hub *hub = context;
    struct pst_channel *channel = channel_of(hub->node, signal->receiver_ref);
    if (!channel)
        return false;
    pst_channel_to_peer(channel, signal);
    return true;
}

static uint32_t room(void *context, pst_ref receiver_ref)
{
    const struct hub *hub = context;
    const struct pst_channel *channel = channel_of(hub->node, receiver_ref);
    return channel ? pst_spsc_room(channel->to_peer) : UINT32_MAX;
}

/* Writers wait until signals of this node have gone on, as long as a proxy of its says so, or the
 * master: its own proxy, before what it sends is sent, or what is LDM 1's. */
static void hurry(struct hub *hub)
{
    struct pst_node *node = hub->node;
    bool is_urgent = atomic_load_explicit(&node->ldm_holds_writers, memory_order_relaxed) ||
                     (node->holds_writers && proxy_holds_writers(hub->routing.proxy));
    (void)pst_priority_set(is_urgent ? PST_PRIORITY_URGENT : PST_PRIORITY_NORMAL);
}

static void on_proxy(void *context)
{
    struct hub *hub = context;
    const struct pst_proxy *proxy = hub->routing.proxy;
    hurry(hub);
    history_follow(&hub->history, hub->node, proxy);
    atomic_store_explicit(&hub->node->proxy_backup,
                          proxy->state == PST_PROXY_IDLE ? 0 : proxy->backup, memory_order_relaxed);
}

static bool drain(struct hub *hub, struct pst_channel *channel)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    uint32_t count = pst_channel_from_peer(channel, signals);
    for (uint32_t i = 0; i < count; i++)
        routing_take(&hub->routing, &signals[i]);
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
    if (!pst_spsc_is_empty(node->client.to_hub) ||
        !pst_spsc_is_empty(node->archive.channel.to_hub) ||
        atomic_load_explicit(&node->hub.must_stop, memory_order_acquire))
        return false;
    for (uint32_t i = 0; i < node->config.plan->ldms; i++) {
        if (!pst_spsc_is_empty(node->ldms[i].worker.channel.to_hub))
            return false;
    }
    for (uint32_t i = 0; i < node->config.sources_count; i++) {
        if (!pst_spsc_is_empty(node->sources[i].worker.channel.to_hub))
            return false;
    }
    return true;
}

static uint64_t deadline_ns(const struct hub *hub, const struct pst_fabric *fabric)
{
    uint64_t first_ns = routing_deadline_ns(&hub->routing);
    if (hub->watch.due_ns < first_ns)
        first_ns = hub->watch.due_ns;
    uint64_t fabric_ns = fabric ? pst_fabric_deadline_ns(fabric) : PST_DEADLINE_NONE;
    return fabric_ns < first_ns ? fabric_ns : first_ns;
}

static void sleep_until(struct hub *hub, uint64_t until_ns)
{
    struct pst_fabric *fabric = hub->routing.peers ? pst_peers_fabric(hub->routing.peers) : NULL;
    uint64_t timeout_ns = PST_DOORBELL_FOREVER;
    if (until_ns != PST_DEADLINE_NONE) {
        uint64_t now_ns = pst_monotonic_ns();
        timeout_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    }
    int woken =
        pst_doorbell_wait(&hub->node->hub_bell, timeout_ns, fabric ? pst_fabric_fd(fabric) : -1);
    assert(woken >= 0);
}

static void wait_for_work(struct hub *hub, struct pst_idle *idle)
{
    struct pst_fabric *fabric = hub->routing.peers ? pst_peers_fabric(hub->routing.peers) : NULL;
    enum pst_proxy_state state = hub->routing.proxy->state;
    idle->is_patient =
        state != PST_PROXY_SCANNING && (state != PST_PROXY_IDLE || hub->routing.is_running);
    if (!pst_idle(idle))
        return;
    pst_doorbell_announce(&hub->node->hub_bell);
    if (fabric)
        pst_fabric_announce(fabric);
    if (nothing_waits(hub->node) && (!fabric || pst_fabric_is_quiet(fabric)))
        sleep_until(hub, deadline_ns(hub, fabric));
    else
        pst_doorbell_cancel(&hub->node->hub_bell);
    if (fabric)
        pst_fabric_cancel(fabric);
}

static void show_doubts(const struct pst_outcome_machine *outcome, struct pst_node_status *status)
{
    status->in_doubt = 0;
    status->has_more = outcome->must_sweep_again;
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        const struct pst_doubt *doubt = &outcome->doubts[i];
        struct pst_doubt_status *shown = &status->doubts[status->in_doubt];
        if (doubt->state == PST_DOUBT_FREE)
            continue;
        shown->number = doubt->what.number;
        memcpy(shown->uid, doubt->what.uid, sizeof(shown->uid));
        shown->state = pst_doubt_state_name(doubt->state);
        shown->master_node = pst_ref_node(doubt->what.master_ref);
        shown->waits_for = pst_outcome_waits_for(outcome, doubt);
        status->in_doubt++;
    }
}

static void show_refusals(const struct hub *hub, struct pst_node_status *status)
{
    const struct pst_fabric *fabric = pst_peers_fabric(hub->routing.peers);
    status->refusals_count = 0;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        if (node == hub->node->config.node || status->refusals_count == PST_REFUSALS_MAX)
            continue;
        struct pst_refusal_status *shown = &status->refusals[status->refusals_count];
        const char *reason = pst_fabric_refusal(fabric, node);
        if (*reason == '\0')
            continue;
        shown->node = node;
        snprintf(shown->reason, sizeof(shown->reason), "%s", reason);
        status->refusals_count++;
    }
}

static void show_status(struct hub *hub)
{
    struct pst_node *node = hub->node;
    uint64_t now_ns = pst_monotonic_ns();
    if (!hub->routing.peers || now_ns < hub->status_due_ns ||
        pthread_mutex_trylock(&node->status_lock) != 0)
        return;
    hub->status_due_ns = now_ns + STATUS_NS;
    node->status.updated_ns = now_ns;
    node->status.requests =
        (struct pst_request_counters){.strays = hub->routing.outcome->stray_signals};
    pst_senders_count(&hub->routing.proxy->senders, &node->status.requests);
    node->status.fabric = pst_fabric_counters(pst_peers_fabric(hub->routing.peers), 0);
    node->status.signals_refused = peers_refused(hub->routing.peers);
    node->status.nodes_failed = hub->routing.nodes_failed;
    node->status.kept_out = hub->routing.kept_out.nodes;
    show_refusals(hub, &node->status);
    show_doubts(hub->routing.outcome, &node->status);
    watch_show(&hub->watch, &node->status);
    rates_note(&node->rates, now_ns, node_bytes_read(node));
    pthread_mutex_unlock(&node->status_lock);
}

static void give_up_peers(struct hub *hub)
{
    pthread_mutex_lock(&hub->node->status_lock);
    hub->node->status.is_broken = true;
    pthread_mutex_unlock(&hub->node->status_lock);
    pst_peers_close(hub->routing.peers);
    hub->routing.peers = NULL;
    pst_doorbell_ring(&hub->node->client.bell);
}

static bool poll_peers(struct hub *hub)
{
    int worked = hub->routing.peers ? pst_peers_poll(hub->routing.peers) : 0;
    if (worked < 0)
        give_up_peers(hub);
    return worked > 0;
}

static void watch_threads(struct hub *hub)
{
    if (pst_monotonic_ns() < hub->watch.due_ns)
        return;
    watch_look(&hub->watch, proxy_is_ending(hub->routing.proxy), pst_monotonic_ns());
    routing_note_hung(&hub->routing, hub->watch.is_hung);
}

static void run(struct hub *hub)
{
    struct pst_worker *worker = &hub->node->hub;
    struct pst_idle idle = {0};
    while (!atomic_load_explicit(&worker->must_stop, memory_order_acquire)) {
        hurry(hub);
        bool worked = drain_all(hub) | poll_peers(hub);
        routing_keep_time(&hub->routing);
        watch_threads(hub);
        show_status(hub);
        if (worked)
            pst_idle_reset(&idle);
        else
            wait_for_work(hub, &idle);
    }
}

/* What was said before the node was told to end, such as a master's last word to a client
 * elsewhere: that it has no backup any more is seen as soon as it has said so. */
static void pass_the_rest_on(struct hub *hub)
{
    for (uint32_t i = 0; i < LAST_ROUNDS && drain_all(hub); i++)
        ;
    (void)poll_peers(hub);
}

/* Sources that hold up writers come and go with their nodes. */
static void on_peer_change(void *context, bool joined, const struct pst_node_change *change)
{
    struct routing *routing = context;
    struct hub *hub = routing->context;
    if (routing->peers)
        hub->node->holds_writers =
            node_may_freeze(&hub->node->config) || peers_may_freeze(routing->peers);
    routing_on_peer_change(routing, joined, change);
}

static int open_peers(struct hub *hub)
{
    const struct pst_node_config *config = &hub->node->config;
    const struct pst_peers_handlers handlers = {
        .on_signal = routing_on_peer_signal, .on_change = on_peer_change, .context = &hub->routing};
    struct pst_set own = {{0}};
    if (!config->cluster)
        return 0;
    hub->routing.outcome = calloc(1, sizeof(*hub->routing.outcome));
    if (!hub->routing.outcome)
        return -ENOMEM;
    pst_set_add(&own, config->node - 1);
    pst_outcome_init(hub->routing.outcome, config->node, &own, &config->timeouts);
    const struct pst_fabric_hello hello = peers_hello(config, hub->node->incarnation);
    struct pst_fabric *fabric;
    int error = node_fabric_open(config, &hello, &fabric);
    return error ? error : pst_peers_open(config, fabric, &handlers, &hub->routing.peers);
}

static int open_hub(struct hub *hub)
{
    const struct pst_node_config *config = &hub->node->config;
    pst_ref self_ref = pst_ref_make(config->node, PST_BLOCK_PROXY, 0);
    int error = pst_place_pin(config->plan->hub.cpu);
    if (error) {
        pst_log(PST_LOG_ERROR, "the hub cannot be pinned to CPU %u: %s", config->plan->hub.cpu,
                pst_error_text(error));
        return error;
    }
    error = watch_open(&hub->watch, hub->node);
    if (error)
        return error;
    hub->routing.proxy = calloc(1, sizeof(*hub->routing.proxy));
    if (!hub->routing.proxy)
        return -ENOMEM;
    pst_proxy_init(hub->routing.proxy, self_ref, self_ref, config->plan->ldms,
                   config->sources_count, &config->timeouts);
    return open_peers(hub);
}

void *hub_run(void *argument)
{
    struct pst_worker *worker = argument;
    struct hub hub = {.node = worker->node};
    pst_thread_name("pst hub");
    hub.routing = (struct routing){.config = &worker->node->config,
                                   .now_ns = now_ns,
                                   .deliver = deliver,
                                   .room = room,
                                   .on_proxy = on_proxy,
                                   .context = &hub};
    routing_init(&hub.routing);
    int error = open_hub(&hub);
    worker_report_start(worker, error);
    if (!error) {
        run(&hub);
        pass_the_rest_on(&hub);
    }
    pst_peers_close(hub.routing.peers);
    watch_close(&hub.watch);
    free(hub.routing.outcome);
    free(hub.routing.proxy);
    return NULL;
}
