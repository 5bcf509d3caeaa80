/* A node: its hub, its clock, its crash and its start. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim.h"

uint64_t sim_node_now_ns(const struct sim *sim, const struct sim_node *node)
{
    return sim->now_ns + node->clock_ahead_ns;
}

/* It knows itself; the others it meets. */
static void init_machines(struct sim *sim, struct sim_node *node)
{
    struct pst_set own = {{0}};
    pst_set_add(&own, node->id - 1);
    const struct pst_set *nodes = &own;
    pst_ref self_ref = pst_ref_make(node->id, PST_BLOCK_PROXY, 0);
    pst_proxy_init(&node->hub_proxy, self_ref, self_ref, node->ldms_count, node->sources_count,
                   &sim->options.timeouts);
    pst_outcome_init(&node->outcome, node->id, nodes, &sim->options.timeouts);
    sim_hub_start(sim, node);
    node->hub_timer_ns = 0;
    for (uint32_t i = 0; i < node->ldms_count; i++)
        sim_ldm_init(sim, node, i, nodes);
    sim_archive_start(sim, node);
}

void sim_node_init(struct sim *sim, uint32_t index)
{
    struct sim_node *node = &sim->nodes[index];
    node->id = index + 1;
    node->ldms_count = sim->options.ldms[index];
    node->sources_count = sim->options.sources[index];
    node->incarnation = 1;
    node->is_up = true;
    node->paused_until_ns = 0;
    node->clock_ahead_ns = 0;
    memset(node->pair_ns, 0, sizeof(node->pair_ns));
    memset(node->sources, 0, sizeof(node->sources));
    sim_disk_open(sim, node);
    init_machines(sim, node);
}

void sim_node_keep_statistics(struct sim *sim, const struct sim_node *node)
{
    sim->statistics.stale_senders += node->hub_proxy.senders.stale_senders +
                                     node->ldm_proxy.senders.stale_senders +
                                     node->master.senders.stale_senders;
    sim->statistics.stray_answers += node->hub_proxy.senders.stray_answers +
                                     node->ldm_proxy.senders.stray_answers +
                                     node->master.senders.stray_answers;
    sim->statistics.settled += node->outcome.committed;
    sim->statistics.given_up += node->outcome.aborted;
    sim->statistics.in_doubt += node->hub_proxy.in_doubt + node->ldm_proxy.in_doubt;
}

/* The last of what it sent may be lost with it. */
static void lose_what_it_sent(struct sim *sim, uint32_t index)
{
    for (uint32_t to = 0; to < sim->options.nodes; to++) {
        uint64_t still_ns = sim_random_between(&sim->random, 0, 5 * SIM_MS);
        if (to != index && sim->links[index][to].lost_after_ns == UINT64_MAX)
            sim->links[index][to].lost_after_ns = sim->now_ns + still_ns;
    }
}

void sim_node_crash(struct sim *sim, struct sim_node *node, bool power_loss)
{
    uint32_t index = (uint32_t)(node - sim->nodes);
    sim->statistics.crashes_in[node->master.state]++;
    sim_node_keep_statistics(sim, node);
    sim_archive_stop(node);
    sim_hub_stop(node);
    node->is_up = false;
    node->incarnation++;
    node->paused_until_ns = 0;
    sim_write(sim);
    for (uint32_t i = 0; i < node->sources_count; i++)
        sim_source_gone(sim, node, &node->sources[i]);
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_share *share = sim->backups[i].shares[index];
        for (uint32_t part = 0; share && part < node->ldms_count; part++)
            share->parts[part].open = false;
    }
    sim_disk_crash(sim, node, power_loss);
    lose_what_it_sent(sim, index);
    sim_client_lost(sim, node);
    sim_member_changed(sim, index);
}

void sim_node_start(struct sim *sim, struct sim_node *node)
{
    uint32_t index = (uint32_t)(node - sim->nodes);
    if (node->is_up)
        return;
    sim_tell(sim, "node %u starts", node->id);
    node->is_up = true;
    init_machines(sim, node);
    for (uint32_t other = 0; other < sim->options.nodes; other++)
        sim->links[other][index].is_up = other == index;
    sim_node_rearm(sim, node);
    sim_member_changed(sim, index);
}

void sim_node_set_timer(struct sim *sim, struct sim_node *node, uint32_t thread,
                        uint64_t deadline_ns, uint64_t *timer_ns)
{
    if (deadline_ns == 0) /* at once */
        deadline_ns = 1;
    if (deadline_ns == PST_DEADLINE_NONE || deadline_ns == *timer_ns)
        return;
    *timer_ns = deadline_ns;
    uint64_t late_ns = sim_random_between(&sim->random, 0, SIM_MS);
    uint64_t now_ns = sim_node_now_ns(sim, node);
    uint64_t wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    sim_later(sim, SIM_TIMER, sim_thread(sim, node, thread), sim->now_ns + wait_ns + late_ns)
        ->token = deadline_ns;
}

static void hub_set_timer(struct sim *sim, struct sim_node *node)
{
    uint64_t deadline_ns = sim_planted(sim, SIM_PLANT_NO_TIMER)
                               ? pst_outcome_deadline_ns(&node->outcome)
                               : routing_deadline_ns(&node->routing);
    sim_node_set_timer(sim, node, SIM_HUB, deadline_ns, &node->hub_timer_ns);
}

void sim_node_rearm(struct sim *sim, struct sim_node *node)
{
    node->hub_timer_ns = 0;
    hub_set_timer(sim, node);
    sim_archive_rearm(sim, node);
    for (uint32_t i = 0; i < node->ldms_count; i++)
        sim_ldm_rearm(sim, node, i);
}

static void hub_on_signal(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    struct pst_signal signal = event->signal;
    if (event->hop == SIM_ARRIVES) {
        sim_fabric_arrive(node, (uint32_t)event->token, &signal);
        return;
    }
    node->heard = (struct pst_event){.type = PST_EVENT_SIGNAL, .signal = &signal};
    node->before = sim_minds_of(sim, node, SIM_HUB);
    routing_take(&node->routing, &signal);
}

static void hub_event(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    switch (event->type) {
    case SIM_SIGNAL:
        hub_on_signal(sim, node, event);
        break;
    case SIM_POLL:
        sim_fabric_poll(node);
        break;
    default:
        assert(event->type == SIM_TIMER);
        if (event->token != node->hub_timer_ns)
            break;
        node->hub_timer_ns = 0;
        node->heard = (struct pst_event){.type = PST_EVENT_TIMER};
        node->before = sim_minds_of(sim, node, SIM_HUB);
        routing_keep_time(&node->routing);
    }
    hub_set_timer(sim, node);
}

/* A paused process runs none of its threads; but the guard of a source lives on. */
static bool runs(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    uint64_t until_ns = event->type == SIM_HOLD ? 0 : node->paused_until_ns;
    uint32_t thread = event->thread % SIM_NODE_THREADS;
    if (thread >= SIM_LDM && node->ldms[thread - SIM_LDM].stalled_ns > until_ns)
        until_ns = node->ldms[thread - SIM_LDM].stalled_ns;
    if (until_ns <= sim->now_ns)
        return true;
    sim_queue_put_back(&sim->queue, event, until_ns);
    return false;
}

/* A client's thread is no thread of the node. */
void sim_node_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_node *node = sim_node_of(sim, event->thread);
    uint32_t thread = event->thread % SIM_NODE_THREADS;
    if (thread == SIM_CLIENT) {
        sim_client_event(sim, event);
        return;
    }
    if (!node->is_up || event->incarnation != node->incarnation || !runs(sim, node, event))
        return;
    if (event->type == SIM_SIGNAL) {
        if (!sim_hop(sim, event)) {
            hub_set_timer(sim, node);
            return;
        }
        if (!sim_script_heard(sim, &event->signal))
            return;
        if (!node->is_up || event->incarnation != node->incarnation || !runs(sim, node, event))
            return; /* the scenario struck it */
        sim_tell_signal(sim, &event->signal, NULL);
        sim_check_delivered(sim, &event->signal);
    }
    if (thread == SIM_HUB)
        hub_event(sim, node, event);
    else if (thread == SIM_ARCHIVE)
        sim_archive_event(sim, node, event);
    else if (thread >= SIM_LDM)
        sim_ldm_event(sim, node, event);
    else
        sim_source_event(sim, node, event);
}
