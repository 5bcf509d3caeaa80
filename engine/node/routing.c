/*
 * Routes every signal of the node by its receiver, runs the proxy and, in a cluster, the outcome
 * machine, and tells the node's threads which nodes fail and join. Called by whoever is the hub:
 * hub.c, on its thread.
 */
#include "engine/node/routing.h"

#include <assert.h>

#include "engine/base/fault_point.h"
#include "engine/base/log.h"

/* Room kept in the client's ring for what is no report. */
#define CLIENT_ANSWERS_MAX 16u

static uint64_t now_ns(const struct routing *routing)
{
    return routing->now_ns(routing->context);
}

static void route(void *context, const struct pst_signal *signal);

static struct pst_actions *begin_turn(struct routing_turn *turn)
{
    assert(!turn->is_taken);
    turn->is_taken = true;
    turn->actions.sends_count = 0;
    turn->actions.works_count = 0;
    return &turn->actions;
}

static void end_turn(struct routing *routing, struct routing_turn *turn)
{
    assert(turn->actions.works_count == 0);
    for (uint32_t i = 0; i < turn->actions.sends_count; i++)
        pst_send_each(&turn->actions.sends[i], route, routing);
    turn->is_taken = false;
}

static void step_proxy(struct routing *routing, struct pst_event *event)
{
    event->now_ns = now_ns(routing);
    pst_proxy_step(routing->proxy, event, begin_turn(&routing->proxy_turn));
    routing->on_proxy(routing->context);
    end_turn(routing, &routing->proxy_turn);
}

static void step_outcome(struct routing *routing, struct pst_event *event)
{
    event->now_ns = now_ns(routing);
    pst_outcome_step(routing->outcome, event, begin_turn(&routing->outcome_turn));
    end_turn(routing, &routing->outcome_turn);
}

/* A client that does not read, its output being stopped, say, misses reports, never an answer. */
static bool may_be_dropped(const struct routing *routing, const struct pst_signal *signal)
{
    return (signal->gsn == PST_BACKUP_STATUS_REP || signal->gsn == PST_SOURCE_TEXT_REP) &&
           routing->room(routing->context, signal->receiver_ref) < CLIENT_ANSWERS_MAX;
}

/* A master coordinates the whole cluster: so not while there are lower ids, and not without a node
 * that belongs to it unless the client allows that. 0, or the reason, and the node that it is
 * about. */
static uint32_t why_not(const struct routing *routing, const struct pst_signal *request,
                        uint32_t *node)
{
    const struct pst_node_config *config = routing->config;
    struct pst_set live = pst_peers_live(routing->peers);
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

/* What was let through is the master's to answer, however often it is asked for: docs/protocol.md,
 * "Signals". What is asked for beside it is refused there. */
static void note_asked(struct routing *routing, const struct pst_signal *request)
{
    if (routing->is_running)
        return;
    routing->asked = request->backup;
    routing->is_running = true;
}

/* A request that was refused is judged anew. */
static void follow_backup(struct routing *routing, const struct pst_signal *signal)
{
    if (pst_ref_block(signal->receiver_ref) != PST_BLOCK_CLIENT || signal->backup != routing->asked)
        return;
    bool is_refused = signal->gsn == PST_BACKUP_REF;
    if (is_refused)
        routing->asked = 0;
    if (is_refused || signal->gsn == PST_BACKUP_COMPLETE_REP || signal->gsn == PST_BACKUP_ABORT_REP)
        routing->is_running = false;
}

/* true: refused, and the client has its answer. */
static bool refuse_backup(struct routing *routing, const struct pst_signal *request)
{
    uint32_t node;
    if (!routing->peers || request->gsn != PST_BACKUP_REQ)
        return false;
    if (routing->asked == request->backup)
        return false;
    uint32_t error = why_not(routing, request, &node);
    if (!error) {
        note_asked(routing, request);
        return false;
    }
    struct pst_signal ref;
    pst_signal_init_answer(&ref, PST_BACKUP_REF, request);
    ref.payload.ref.master_ref = request->receiver_ref;
    ref.payload.ref.error = error;
    ref.payload.ref.where = pst_ref_make(node, PST_BLOCK_PROXY, 0);
    ref.payload.ref.request_id = request->payload.backup_req.request_id;
    route(routing, &ref);
    return true;
}

/* One reason less to keep a node out. */
static void let_in(struct routing *routing, pst_ref thread, uint32_t node)
{
    if (keep_out_remove(&routing->kept_out, thread, node) && routing->peers)
        pst_peers_readmit(routing->peers, node);
}

/* true: it was for the hub itself. */
static bool take_report(struct routing *routing, const struct pst_signal *signal)
{
    if (signal->gsn != PST_NODE_FAILED_REP)
        return false;
    uint32_t node = signal->payload.node_change.node;
    let_in(routing, signal->sender_ref, node);
    return true;
}

/* What a source of this node says goes to the other nodes' clients, too. */
static void spread_text(struct routing *routing, const struct pst_signal *signal)
{
    uint32_t self = routing->config->node;
    if (!routing->peers || signal->gsn != PST_SOURCE_TEXT_REP ||
        pst_ref_node(signal->sender_ref) != self)
        return;
    struct pst_signal copy = *signal;
    struct pst_set others = pst_peers_with_texts(routing->peers);
    for (uint32_t i = pst_set_next(&others, 0); i < PST_NODES_MAX;
         i = pst_set_next(&others, i + 1)) {
        copy.receiver_ref = pst_ref_make(i + 1, PST_BLOCK_CLIENT, 0);
        pst_peers_send(routing->peers, &copy);
    }
}

static void deliver(struct routing *routing, const struct pst_signal *signal)
{
    struct pst_event event = {.type = PST_EVENT_SIGNAL, .signal = signal};
    if (routing->peers && pst_ref_node(signal->receiver_ref) != routing->config->node) {
        pst_peers_send(routing->peers, signal);
        return;
    }
    spread_text(routing, signal);
    follow_backup(routing, signal);
    if (may_be_dropped(routing, signal) || refuse_backup(routing, signal) ||
        take_report(routing, signal))
        return;
    if (signal->receiver_ref == routing->proxy->self_ref)
        step_proxy(routing, &event);
    else if (routing->outcome && signal->receiver_ref == routing->outcome->self_ref)
        step_outcome(routing, &event);
    else if (!routing->deliver(routing->context, signal))
        pst_log(PST_LOG_WARNING, "%s for unknown receiver %08x dropped", pst_gsn_name(signal->gsn),
                signal->receiver_ref);
}

static void route(void *context, const struct pst_signal *signal)
{
    PST_FAULT_POINT("before", pst_gsn_name(signal->gsn));
    deliver(context, signal);
    PST_FAULT_POINT("after", pst_gsn_name(signal->gsn));
}

void routing_take(struct routing *routing, const struct pst_signal *signal)
{
    route(routing, signal);
}

/* From another node. Whatever it sends, there stays room for this node's own signals. Reports to an
 * LDM 1 that hangs may be missed: newer ones follow. */
void routing_on_peer_signal(void *context, const struct pst_signal *signal)
{
    struct routing *routing = context;
    if (routing->room(routing->context, signal->receiver_ref) >= PST_RING_RESERVE)
        route(routing, signal);
    else if (signal->gsn != PST_BACKUP_PROGRESS_REP)
        pst_peers_cut_off(routing->peers, pst_ref_node(signal->sender_ref),
                          "it sends more than can be asked for");
}

static void order_thread(struct routing *routing, pst_ref receiver_ref, struct pst_signal *order)
{
    uint32_t node = order->payload.node_change.node;
    order->receiver_ref = receiver_ref;
    if (order->gsn == PST_NODE_FAILED_ORD)
        keep_out_add(&routing->kept_out, receiver_ref, node, now_ns(routing));
    bool is_delivered = routing->deliver(routing->context, order);
    assert(is_delivered);
}

void routing_on_peer_change(void *context, bool joined, const struct pst_node_change *change)
{
    struct routing *routing = context;
    struct pst_event event = {.type = joined ? PST_EVENT_NODE_JOINED : PST_EVENT_NODE_FAILED,
                              .node = change->node,
                              .multithreaded = change->ldms > 1};
    struct pst_signal order;
    pst_signal_init(&order, joined ? PST_NODE_JOINED_ORD : PST_NODE_FAILED_ORD,
                    routing->proxy->self_ref, 0, 0, 0);
    order.payload.node_change = *change;
    uint32_t self = routing->config->node;
    uint32_t ldms = joined ? 1 : routing->config->plan->ldms;
    routing->nodes_failed += !joined;
    if (!joined && routing->is_hung) {
        keep_out_add(&routing->kept_out, routing->proxy->self_ref, change->node, now_ns(routing));
        pst_set_add(&routing->held_out, change->node - 1);
    }
    PST_FAULT_POINT("before", pst_gsn_name(order.gsn));
    for (uint32_t i = 0; i < ldms; i++)
        order_thread(routing, pst_ref_make(self, PST_BLOCK_BACKUP, i + 1), &order);
    if (!joined)
        order_thread(routing, pst_ref_make(self, PST_BLOCK_ARCHIVE, 0), &order);
    step_proxy(routing, &event);
    step_outcome(routing, &event);
    order_thread(routing, pst_ref_make(self, PST_BLOCK_CLIENT, 0), &order);
    PST_FAULT_POINT("after", pst_gsn_name(order.gsn));
}

void routing_init(struct routing *routing)
{
    keep_out_init(&routing->kept_out);
}

uint64_t routing_deadline_ns(const struct routing *routing)
{
    uint64_t first_ns = pst_proxy_deadline_ns(routing->proxy);
    if (!routing->peers)
        return first_ns;
    uint64_t outcome_ns = pst_outcome_deadline_ns(routing->outcome);
    if (outcome_ns < first_ns)
        first_ns = outcome_ns;
    return routing->kept_out.log_at_ns < first_ns ? routing->kept_out.log_at_ns : first_ns;
}

void routing_note_hung(struct routing *routing, bool is_hung)
{
    routing->is_hung = is_hung;
    if (!routing->peers)
        return;
    struct pst_set left = is_hung ? pst_peers_live(routing->peers) : routing->held_out;
    for (uint32_t m = pst_set_next(&left, 0); m < PST_SET_MEMBERS; m = pst_set_next(&left, m + 1)) {
        if (!is_hung)
            let_in(routing, routing->proxy->self_ref, m + 1);
        else if (m + 1 != routing->config->node)
            pst_peers_cut_off(routing->peers, m + 1, "the node that cut the other off is hung");
    }
    if (!is_hung)
        routing->held_out = (struct pst_set){{0}};
}

void routing_keep_time(struct routing *routing)
{
    struct pst_event event = {.type = PST_EVENT_TIMER};
    if (now_ns(routing) >= pst_proxy_deadline_ns(routing->proxy))
        step_proxy(routing, &event);
    if (routing->outcome && now_ns(routing) >= pst_outcome_deadline_ns(routing->outcome))
        step_outcome(routing, &event);
    keep_out_log(&routing->kept_out, now_ns(routing));
}
