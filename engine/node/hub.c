/*
 * The hub's thread: routes every signal of the node by its receiver, runs the proxy and, in a
 * cluster, the outcome machine, and polls the other nodes. It never blocks but in its one idle
 * wait. Started and stopped by node.c.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/fault_point.h"
#include "engine/base/log.h"
#include "engine/node/history.h"
#include "engine/node/keep_out.h"
#include "engine/node/node_fabric.h"
#include "engine/node/peers.h"
#include "engine/node/threads.h"
#include "engine/protocol/outcome.h"
#include "engine/protocol/proxy.h"

/* Room kept in the client's ring for what is no report. */
#define CLIENT_ANSWERS_MAX 16u

/* Between two looks of the status at what the hub knows. */
#define STATUS_NS UINT64_C(50000000)

/* The actions of one machine's step. They are performed before the machine steps again: nothing
 * that it sends may come back to it on the way. */
struct turn {
    struct pst_actions actions;
    bool is_taken;
};

struct hub {
    struct pst_node *node;
    struct pst_proxy *proxy;
    struct history history;
    struct turn proxy_turn;
    struct pst_peers *peers;             /* NULL: a node alone */
    struct pst_outcome_machine *outcome; /* likewise: what is decided here, is known here */
    struct turn outcome_turn;
    struct keep_out kept_out;
    uint64_t nodes_failed;
    uint64_t status_due_ns;
};

static void route(void *context, const struct pst_signal *signal);

static struct pst_actions *begin_turn(struct turn *turn)
{
    assert(!turn->is_taken);
    turn->is_taken = true;
    turn->actions.sends_count = 0;
    turn->actions.works_count = 0;
    return &turn->actions;
}

static void end_turn(struct hub *hub, struct turn *turn)
{
    assert(turn->actions.works_count == 0);
    for (uint32_t i = 0; i < turn->actions.sends_count; i++)
        pst_send_each(&turn->actions.sends[i], route, hub);
    turn->is_taken = false;
}

static void step_proxy(struct hub *hub, struct pst_event *event)
{
    event->now_ns = pst_monotonic_ns();
    pst_proxy_step(hub->proxy, event, begin_turn(&hub->proxy_turn));
    history_follow(&hub->history, hub->node, hub->proxy);
    bool idle = hub->proxy->state == PST_PROXY_IDLE;
    atomic_store_explicit(&hub->node->proxy_backup, idle ? 0 : hub->proxy->backup,
                          memory_order_relaxed);
    end_turn(hub, &hub->proxy_turn);
}

static void step_outcome(struct hub *hub, struct pst_event *event)
{
    event->now_ns = pst_monotonic_ns();
    pst_outcome_step(hub->outcome, event, begin_turn(&hub->outcome_turn));
    end_turn(hub, &hub->outcome_turn);
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
    case PST_BLOCK_OUTCOME: /* the hub's own */
        return NULL;
    }
    return NULL;
}

/* A client that does not read, its output being stopped, say, misses reports, never an answer. */
static bool may_be_dropped(const struct pst_node *node, const struct pst_signal *signal)
{
    return signal->gsn == PST_BACKUP_STATUS_REP &&
           pst_spsc_room(node->client.to_peer) < CLIENT_ANSWERS_MAX;
}

/* A master coordinates the whole cluster: so not while there are lower ids, and not without a node
 * that belongs to it unless the client allows that. 0, or the reason, and the node that it is
 * about. */
static uint32_t why_not(const struct hub *hub, const struct pst_signal *request, uint32_t *node)
{
    const struct pst_node_config *config = &hub->node->config;
    struct pst_set live = pst_peers_live(hub->peers);
    for (*node = 1; *node < config->node; (*node)++) {
        if (pst_set_has(&live, *node - 1))
            return PST_E_NOT_MASTER;
    }
    if (request->payload.backup_req.flags & PST_BACKUP_ALLOW_MISSING)
        return 0;
    for (*node = 1; *node <= PST_NODES_MAX; (*node)++) {
        if (pst_set_has(&config->cluster->expected, *node - 1) && !pst_set_has(&live, *node - 1))
            return PST_E_NODE_MISSING;
    }
    return 0;
}

/* true: refused, and the client has its answer. */
static bool refuse_backup(struct hub *hub, const struct pst_signal *request)
{
    uint32_t node;
    if (!hub->peers || request->gsn != PST_BACKUP_REQ)
        return false;
    uint32_t error = why_not(hub, request, &node);
    if (!error)
        return false;
    struct pst_signal ref;
    pst_signal_init_answer(&ref, PST_BACKUP_REF, request);
    ref.payload.ref.master_ref = request->receiver_ref;
    ref.payload.ref.error = error;
    ref.payload.ref.where = pst_ref_make(node, PST_BLOCK_PROXY, 0);
    ref.payload.ref.request_id = request->payload.backup_req.request_id;
    route(hub, &ref);
    return true;
}

/* true: it was for the hub itself. */
static bool take_report(struct hub *hub, const struct pst_signal *signal)
{
    if (signal->gsn != PST_NODE_FAILED_REP)
        return false;
    uint32_t node = signal->payload.node_change.node;
    if (keep_out_remove(&hub->kept_out, signal->sender_ref, node) && hub->peers)
        pst_peers_readmit(hub->peers, node);
    return true;
}

static void deliver(struct hub *hub, const struct pst_signal *signal)
{
    struct pst_node *node = hub->node;
    struct pst_event event = {.type = PST_EVENT_SIGNAL, .signal = signal};
    if (hub->peers && pst_ref_node(signal->receiver_ref) != node->config.node) {
        pst_peers_send(hub->peers, signal);
        return;
    }
    if (may_be_dropped(node, signal) || refuse_backup(hub, signal) || take_report(hub, signal))
        return;
    if (signal->receiver_ref == hub->proxy->self_ref) {
        step_proxy(hub, &event);
        return;
    }
    if (hub->outcome && signal->receiver_ref == hub->outcome->self_ref) {
        step_outcome(hub, &event);
        return;
    }
    struct pst_channel *channel = channel_of(node, signal->receiver_ref);
    if (channel)
        pst_channel_to_peer(channel, signal);
    else
        pst_log(PST_LOG_WARNING, "%s for unknown receiver %08x dropped", pst_gsn_name(signal->gsn),
                signal->receiver_ref);
}

static void route(void *context, const struct pst_signal *signal)
{
    PST_FAULT_POINT("before", pst_gsn_name(signal->gsn));
    deliver(context, signal);
    PST_FAULT_POINT("after", pst_gsn_name(signal->gsn));
}

/* From another node. Whatever it sends, there stays room for this node's own signals. Reports to an
 * LDM 1 that hangs may be missed: newer ones follow. */
static void on_peer_signal(void *context, const struct pst_signal *signal)
{
    struct hub *hub = context;
    struct pst_channel *channel = channel_of(hub->node, signal->receiver_ref);
    if (!channel || pst_spsc_room(channel->to_peer) >= PST_RING_RESERVE)
        route(hub, signal);
    else if (signal->gsn != PST_BACKUP_PROGRESS_REP)
        pst_peers_cut_off(hub->peers, pst_ref_node(signal->sender_ref),
                          "it sends more than can be asked for");
}

static void order_thread(struct hub *hub, struct pst_channel *channel, pst_ref receiver_ref,
                         struct pst_signal *order)
{
    uint32_t node = order->payload.node_change.node;
    order->receiver_ref = receiver_ref;
    if (order->gsn == PST_NODE_FAILED_ORD)
        keep_out_add(&hub->kept_out, receiver_ref, node, pst_monotonic_ns());
    pst_channel_to_peer(channel, order);
}

static void on_peer_change(void *context, bool joined, const struct pst_node_change *change)
{
    struct hub *hub = context;
    struct pst_node *node = hub->node;
    struct pst_event event = {.type = joined ? PST_EVENT_NODE_JOINED : PST_EVENT_NODE_FAILED,
                              .node = change->node,
                              .multithreaded = change->ldms > 1};
    struct pst_signal order;
    pst_signal_init(&order, joined ? PST_NODE_JOINED_ORD : PST_NODE_FAILED_ORD,
                    hub->proxy->self_ref, 0, 0, 0);
    order.payload.node_change = *change;
    uint32_t self = node->config.node;
    uint32_t ldms = joined ? 1 : node->config.plan->ldms;
    hub->nodes_failed += !joined;
    PST_FAULT_POINT("before", pst_gsn_name(order.gsn));
    for (uint32_t i = 0; i < ldms; i++)
        order_thread(hub, &node->ldms[i].worker.channel,
                     pst_ref_make(self, PST_BLOCK_BACKUP, i + 1), &order);
    if (!joined)
        order_thread(hub, &node->archive.channel, pst_ref_make(self, PST_BLOCK_ARCHIVE, 0), &order);
    step_proxy(hub, &event);
    step_outcome(hub, &event);
    order_thread(hub, &node->client, pst_ref_make(self, PST_BLOCK_CLIENT, 0), &order);
    PST_FAULT_POINT("after", pst_gsn_name(order.gsn));
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

static uint64_t deadline_ns(const struct hub *hub)
{
    uint64_t first_ns = pst_proxy_deadline_ns(hub->proxy);
    if (!hub->peers)
        return first_ns;
    uint64_t outcome_ns = pst_outcome_deadline_ns(hub->outcome);
    uint64_t fabric_ns = pst_fabric_deadline_ns(pst_peers_fabric(hub->peers));
    if (outcome_ns < first_ns)
        first_ns = outcome_ns;
    if (hub->kept_out.log_at_ns < first_ns)
        first_ns = hub->kept_out.log_at_ns;
    return fabric_ns < first_ns ? fabric_ns : first_ns;
}

static void sleep_until(struct hub *hub, uint64_t until_ns)
{
    struct pst_fabric *fabric = hub->peers ? pst_peers_fabric(hub->peers) : NULL;
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
    struct pst_fabric *fabric = hub->peers ? pst_peers_fabric(hub->peers) : NULL;
    if (!pst_idle(idle))
        return;
    pst_doorbell_announce(&hub->node->hub_bell);
    if (fabric)
        pst_fabric_announce(fabric);
    if (nothing_waits(hub->node) && (!fabric || pst_fabric_is_quiet(fabric)))
        sleep_until(hub, deadline_ns(hub));
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

static void show_status(struct hub *hub)
{
    struct pst_node *node = hub->node;
    uint64_t now_ns = pst_monotonic_ns();
    if (!hub->peers || now_ns < hub->status_due_ns ||
        pthread_mutex_trylock(&node->status_lock) != 0)
        return;
    hub->status_due_ns = now_ns + STATUS_NS;
    node->status.updated_ns = now_ns;
    node->status.fabric = pst_fabric_counters(pst_peers_fabric(hub->peers), 0);
    node->status.signals_refused = pst_peers_refused(hub->peers);
    node->status.nodes_failed = hub->nodes_failed;
    node->status.kept_out = hub->kept_out.nodes;
    show_doubts(hub->outcome, &node->status);
    pthread_mutex_unlock(&node->status_lock);
}

static void give_up_peers(struct hub *hub)
{
    pthread_mutex_lock(&hub->node->status_lock);
    hub->node->status.is_broken = true;
    pthread_mutex_unlock(&hub->node->status_lock);
    pst_peers_close(hub->peers);
    hub->peers = NULL;
    pst_doorbell_ring(&hub->node->client.bell);
}

static bool poll_peers(struct hub *hub)
{
    int worked = hub->peers ? pst_peers_poll(hub->peers) : 0;
    if (worked < 0)
        give_up_peers(hub);
    return worked > 0;
}

static void keep_time(struct hub *hub)
{
    struct pst_event event = {.type = PST_EVENT_TIMER};
    if (pst_monotonic_ns() >= pst_proxy_deadline_ns(hub->proxy))
        step_proxy(hub, &event);
    if (hub->outcome && pst_monotonic_ns() >= pst_outcome_deadline_ns(hub->outcome))
        step_outcome(hub, &event);
    keep_out_log(&hub->kept_out, pst_monotonic_ns());
}

static void run(struct hub *hub)
{
    struct pst_worker *worker = &hub->node->hub;
    struct pst_idle idle = {0};
    while (!atomic_load_explicit(&worker->must_stop, memory_order_acquire)) {
        bool worked = drain_all(hub) | poll_peers(hub);
        keep_time(hub);
        show_status(hub);
        if (worked)
            pst_idle_reset(&idle);
        else
            wait_for_work(hub, &idle);
    }
}

static int open_peers(struct hub *hub)
{
    const struct pst_node_config *config = &hub->node->config;
    const struct pst_peers_handlers handlers = {
        .on_signal = on_peer_signal, .on_change = on_peer_change, .context = hub};
    struct pst_set own = {{0}};
    if (!config->cluster)
        return 0;
    hub->outcome = calloc(1, sizeof(*hub->outcome));
    if (!hub->outcome)
        return -ENOMEM;
    pst_set_add(&own, config->node - 1);
    pst_outcome_init(hub->outcome, config->node, &own, &config->timeouts);
    const struct pst_fabric_hello hello = pst_peers_hello(config, hub->node->incarnation);
    struct pst_fabric *fabric;
    int error = node_fabric_open(config, &hello, &fabric);
    return error ? error : pst_peers_open(config, fabric, &handlers, &hub->peers);
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
    keep_out_init(&hub->kept_out);
    hub->proxy = calloc(1, sizeof(*hub->proxy));
    if (!hub->proxy)
        return -ENOMEM;
    pst_proxy_init(hub->proxy, self_ref, self_ref, config->plan->ldms, config->sources_count,
                   &config->timeouts);
    return open_peers(hub);
}

void *hub_run(void *argument)
{
    struct pst_worker *worker = argument;
    struct hub hub = {.node = worker->node};
    int error = open_hub(&hub);
    worker_report_start(worker, error);
    if (!error)
        run(&hub);
    pst_peers_close(hub.peers);
    free(hub.outcome);
    free(hub.proxy);
    return NULL;
}
