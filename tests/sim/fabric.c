/* The model fabric behind net/fabric.h, and the hub of a node: the product's routing and peers,
 * which take from it what the world lets arrive. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/fabric_ops.h"
#include "tests/sim/sim.h"

#define EVENTS_MAX (4 * SIM_NODES_MAX)

struct happening {
    enum pst_fabric_event_type type;
    uint32_t node;
    struct pst_signal signal;
};

struct sim_fabric {
    struct pst_fabric base;
    struct sim *sim;
    struct sim_node *node;
    uint32_t count;
    struct happening events[EVENTS_MAX];
    struct happening current;
    uint8_t options[PST_FABRIC_OPTIONS_BYTES];
};

static struct sim_fabric *model_of(struct pst_fabric *fabric)
{
    return (struct sim_fabric *)fabric;
}

static int poll_model(struct pst_fabric *fabric, uint64_t now_ns, struct pst_fabric_event *event)
{
    struct sim_fabric *model = model_of(fabric);
    struct happening *current = &model->current;
    (void)now_ns;
    if (model->count == 0)
        return 0;
    *current = model->events[0];
    model->count--;
    memmove(model->events, model->events + 1, model->count * sizeof(model->events[0]));
    *event = (struct pst_fabric_event){
        .type = current->type, .node = current->node, .incarnation = 1, .reason = "a model's"};
    model->node->heard = (struct pst_event){.type = PST_EVENT_NODE_JOINED, .node = current->node};
    if (current->type == PST_FABRIC_FAILED) {
        event->failure = PST_FABRIC_SUSPECTED;
        model->node->heard.type = PST_EVENT_NODE_FAILED;
    } else if (current->type == PST_FABRIC_SIGNALS) {
        event->signals_count = 1;
        event->signals = &current->signal;
        model->node->passing = &current->signal;
        model->node->heard =
            (struct pst_event){.type = PST_EVENT_SIGNAL, .signal = &current->signal};
    }
    memcpy(model->options, &model->sim->options.ldms[current->node - 1], sizeof(uint32_t));
    event->options = model->options;
    model->node->before = sim_minds_of(model->sim, model->node, SIM_HUB);
    return 1;
}

static void poll_at(struct sim *sim, struct sim_node *node, uint64_t time_ns)
{
    sim_later(sim, SIM_POLL, sim_thread(sim, node, SIM_HUB), time_ns);
}

/* What the hub's own machines send is subject to all that may happen to a signal; what only passes
 * was so where it was sent. */
static bool is_own(const struct sim_node *node, const struct pst_signal *signal)
{
    enum pst_block block = pst_ref_block(signal->sender_ref);
    return pst_ref_node(signal->sender_ref) == node->id &&
           (block == PST_BLOCK_OUTCOME ||
            (block == PST_BLOCK_PROXY && pst_ref_instance(signal->sender_ref) == 0));
}

static int send_model(struct pst_fabric *fabric, uint32_t to, const struct pst_signal *signal)
{
    struct sim_fabric *model = model_of(fabric);
    struct sim *sim = model->sim;
    uint32_t from = model->node->id - 1;
    struct sim_link *link = &sim->links[from][to - 1];
    if (!pst_set_has(&fabric->joined, to - 1))
        return -ENOTCONN;
    if (link->full_ns <= sim->now_ns && sim_fault(sim, SIM_FAULT_RING_FULL)) {
        link->full_ns = sim->now_ns + sim_random_between(&sim->random, SIM_US, 20 * SIM_MS);
        poll_at(sim, model->node, link->full_ns);
    }
    if (link->full_ns > sim->now_ns)
        return -EAGAIN;
    if (is_own(model->node, signal))
        sim_send(sim, sim_thread(sim, model->node, SIM_HUB), signal);
    else
        sim_leave(sim, from, signal, sim->held_ns);
    return 0;
}

static void cut_off_model(struct pst_fabric *fabric, uint32_t to, const char *reason)
{
    struct sim_fabric *model = model_of(fabric);
    (void)reason;
    sim_member_suspect(model->sim, model->node->id - 1, to - 1);
}

static void do_nothing(struct pst_fabric *fabric)
{
    (void)fabric;
}

static uint32_t room_model(struct pst_fabric *fabric, uint32_t to)
{
    return pst_set_has(&fabric->joined, to - 1) ? PST_RING_SIGNALS : 0;
}

static bool is_quiet_model(struct pst_fabric *fabric)
{
    return model_of(fabric)->count == 0;
}

static uint64_t deadline_model(const struct pst_fabric *fabric)
{
    (void)fabric;
    return PST_DEADLINE_NONE;
}

static int rejoin_model(struct pst_fabric *fabric, uint64_t incarnation)
{
    (void)fabric;
    (void)incarnation;
    return -ENOTSUP; /* nobody is expelled */
}

static void close_model(struct pst_fabric *fabric)
{
    free(fabric);
}

static const struct pst_fabric_ops ops = {
    .poll = poll_model,
    .send = send_model,
    .cut_off = cut_off_model,
    .publish = do_nothing,
    .room = room_model,
    .announce = do_nothing,
    .is_quiet = is_quiet_model,
    .cancel = do_nothing,
    .deadline_ns = deadline_model,
    .rejoin = rejoin_model,
    .close = close_model,
};

/* ---- what the world does to it ---- */

static struct sim_fabric *fabric_of(struct sim_node *node)
{
    return model_of(pst_peers_fabric(node->routing.peers));
}

static void push(struct sim_node *node, const struct happening *happening)
{
    struct sim_fabric *fabric = fabric_of(node);
    assert(fabric->count < EVENTS_MAX);
    fabric->events[fabric->count++] = *happening;
}

void sim_fabric_tell(struct sim *sim, struct sim_node *node, bool joined, uint32_t other)
{
    if (!joined && sim_planted(sim, SIM_PLANT_FORGETS_DEAD))
        return;
    push(node, &(struct happening){.type = joined ? PST_FABRIC_JOINED : PST_FABRIC_FAILED,
                                   .node = other + 1});
    poll_at(sim, node, sim->now_ns);
}

void sim_fabric_arrive(struct sim_node *node, uint32_t from, const struct pst_signal *signal)
{
    struct happening happening = {.type = PST_FABRIC_SIGNALS, .node = from + 1, .signal = *signal};
    push(node, &happening);
    sim_fabric_poll(node);
}

bool sim_fabric_admits(struct sim_node *node, uint32_t other)
{
    const struct sim_fabric *fabric = fabric_of(node);
    bool admits =
        !pst_set_has(&fabric->base.joined, other) && !pst_set_has(&fabric->base.kept_out, other);
    for (uint32_t i = 0; i < fabric->count; i++)
        admits &= fabric->events[i].node != other + 1;
    return admits;
}

void sim_fabric_poll(struct sim_node *node)
{
    int worked = pst_peers_poll(node->routing.peers);
    assert(worked >= 0);
    node->passing = NULL;
}

/* ---- the hub ---- */

static uint64_t hub_now_ns(void *context)
{
    const struct sim_fabric *fabric = context;
    return sim_node_now_ns(fabric->sim, fabric->node);
}

static bool hub_deliver(void *context, const struct pst_signal *signal)
{
    struct sim_fabric *fabric = context;
    struct sim_node *node = fabric->node;
    if (signal->gsn == PST_BACKUP_REQ && signal->backup != node->master.backup)
        sim_check_coordinates(fabric->sim, node, &fabric->base.joined);
    if (signal == node->passing)
        sim_pass_on(fabric->sim, node, signal);
    else
        sim_send(fabric->sim, sim_thread(fabric->sim, node, SIM_HUB), signal);
    return true;
}

static uint32_t hub_room(void *context, pst_ref receiver_ref)
{
    (void)context;
    (void)receiver_ref;
    return UINT32_MAX;
}

static void hub_on_proxy(void *context)
{
    struct sim_fabric *fabric = context;
    struct pst_actions *actions = &fabric->node->routing.proxy_turn.actions;
    for (uint32_t i = 0; i < actions->sends_count; i++)
        sim_look_at_send(fabric->sim, fabric->node, &actions->sends[i]);
    sim_check_heard(fabric->sim, &fabric->node->before, &fabric->node->heard);
    sim_spoil_hub(fabric->sim, fabric->node);
}

void sim_hub_start(struct sim *sim, struct sim_node *node)
{
    struct sim_fabric *fabric = calloc(1, sizeof(*fabric));
    assert(fabric);
    fabric->sim = sim;
    fabric->node = node;
    pst_fabric_init(&fabric->base, &ops, node->id);
    node->cluster = (struct pst_cluster_config){
        .name = "sim", .id = 9, .expected = pst_set_first(sim->options.nodes)};
    node->plan.ldms = node->ldms_count;
    node->config =
        (struct pst_node_config){.node = node->id, .cluster = &node->cluster, .plan = &node->plan};
    node->routing = (struct routing){.config = &node->config,
                                     .proxy = &node->hub_proxy,
                                     .outcome = &node->outcome,
                                     .now_ns = hub_now_ns,
                                     .deliver = hub_deliver,
                                     .room = hub_room,
                                     .on_proxy = hub_on_proxy,
                                     .context = fabric};
    routing_init(&node->routing);
    const struct pst_peers_handlers handlers = {.on_signal = routing_on_peer_signal,
                                                .on_change = routing_on_peer_change,
                                                .context = &node->routing};
    int error = pst_peers_open(&node->config, &fabric->base, &handlers, &node->routing.peers);
    assert(!error);
    node->passing = NULL;
}

void sim_hub_stop(struct sim_node *node)
{
    pst_peers_close(node->routing.peers);
    node->routing.peers = NULL;
}
