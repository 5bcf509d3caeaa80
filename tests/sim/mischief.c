/* What strikes nodes and links: planned when a run begins, at a time when a backup may be anywhere;
 * and the healing of it all. */
#include <assert.h>

#include "tests/sim/sim.h"

#define OUTAGE_MAX_NS (12 * SIM_S)

static const enum sim_fault kinds[] = {SIM_FAULT_PARTITION, SIM_FAULT_PARTITION_ONE_WAY,
                                       SIM_FAULT_PAIR_CUT,  SIM_FAULT_PAIR_CUT_ONE_WAY,
                                       SIM_FAULT_FLAP,      SIM_FAULT_SUSPICION,
                                       SIM_FAULT_CRASH,     SIM_FAULT_POWER_LOSS,
                                       SIM_FAULT_PAUSE,     SIM_FAULT_CLOCK_JUMP};

static uint64_t some_time_ns(struct sim *sim)
{
    static const uint64_t most_ns[] = {50 * SIM_MS, 200 * SIM_MS, 500 * SIM_MS, 2 * SIM_S,
                                       10 * SIM_S};
    return sim_random_between(&sim->random, SIM_MS, most_ns[sim_random_next(&sim->random) % 5]);
}

void sim_mischief_plan(struct sim *sim)
{
    enum sim_fault enabled[sizeof(kinds) / sizeof(*kinds)];
    uint32_t count = 0;
    for (uint32_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (sim->options.enabled[kinds[i]])
            enabled[count++] = kinds[i];
    }
    uint64_t time_ns = sim->now_ns;
    for (uint32_t i = 0; count > 0 && i < sim->options.mischief; i++) {
        enum sim_fault kind = enabled[sim_random_next(&sim->random) % count];
        time_ns += some_time_ns(sim);
        if (sim_random_hits(&sim->random, 600) && sim->strikes_count < SIM_STRIKES_MAX)
            sim->strikes[sim->strikes_count++] = (struct sim_strike){
                kind, (uint32_t)sim_random_between(&sim->random, 1, 40 * sim->options.nodes)};
        else
            sim_queue_add(&sim->queue, SIM_MISCHIEF, SIM_WORLD, time_ns)->token = kind;
    }
}

static uint32_t any_node(struct sim *sim)
{
    return (uint32_t)sim_random_between(&sim->random, 0, sim->options.nodes - 1);
}

void sim_crash(struct sim *sim, struct sim_node *node, bool power_loss, uint64_t away_ns)
{
    if (!node->is_up)
        return;
    sim_tell(sim, "node %u %s", node->id, power_loss ? "loses power" : "is killed");
    sim_node_crash(sim, node, power_loss);
    sim_queue_add(&sim->queue, SIM_RESTART, SIM_WORLD, sim->now_ns + away_ns)->token = node->id - 1;
}

void sim_mischief_crash(struct sim *sim, struct sim_node *node, bool power_loss)
{
    uint64_t away_ns = sim_random_between(&sim->random, SIM_MS, OUTAGE_MAX_NS);
    if (sim_fault(sim, SIM_FAULT_RESTART_SOON))
        away_ns = sim_random_between(&sim->random, SIM_MS, sim->options.detect_ns / 2);
    sim_crash(sim, node, power_loss, away_ns);
}

static void crash(struct sim *sim, struct sim_node *node, bool power_loss)
{
    if (!node->is_up)
        return;
    sim_count_fault(sim, power_loss ? SIM_FAULT_POWER_LOSS : SIM_FAULT_CRASH);
    sim_mischief_crash(sim, node, power_loss);
}

void sim_pause(struct sim *sim, struct sim_node *node, uint64_t length_ns)
{
    sim_tell(sim, "node %u is stopped for %.3f ms", node->id, (double)length_ns / (double)SIM_MS);
    node->paused_until_ns = sim->now_ns + length_ns;
    sim_member_changed(sim, node->id - 1);
    sim_queue_add(&sim->queue, SIM_RESTART, SIM_WORLD, node->paused_until_ns)->token = node->id - 1;
}

static void pause_node(struct sim *sim, struct sim_node *node)
{
    if (!node->is_up || node->paused_until_ns > sim->now_ns)
        return;
    sim_count_fault(sim, SIM_FAULT_PAUSE);
    sim_pause(sim, node, sim_random_between(&sim->random, SIM_MS, OUTAGE_MAX_NS));
}

static void block(struct sim *sim, uint32_t from, uint32_t to, uint64_t until_ns)
{
    if (sim->links[from][to].blocked_ns < until_ns)
        sim->links[from][to].blocked_ns = until_ns;
}

static void notice(struct sim *sim, uint32_t index, uint64_t until_ns)
{
    sim_member_changed(sim, index);
    sim_queue_add(&sim->queue, SIM_RESTART, SIM_WORLD, until_ns)->token = index;
}

/* From one set of nodes to the other, and back unless it is one-way. */
void sim_cut(struct sim *sim, uint32_t side, bool one_way, uint64_t length_ns)
{
    uint64_t until_ns = sim->now_ns + length_ns;
    sim_tell(sim, "a partition%s: nodes %#x from the others, for %.3f ms",
             one_way ? ", one way" : "", side, (double)length_ns / (double)SIM_MS);
    for (uint32_t from = 0; from < sim->options.nodes; from++) {
        for (uint32_t to = 0; to < sim->options.nodes; to++) {
            bool out = (side >> from & 1) && !(side >> to & 1);
            bool in = !one_way && !(side >> from & 1) && (side >> to & 1);
            if (out || in)
                block(sim, from, to, until_ns);
        }
    }
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        if (side >> i & 1)
            notice(sim, i, until_ns);
    }
}

void sim_cut_pair(struct sim *sim, uint32_t from, uint32_t to, bool one_way, uint64_t length_ns)
{
    uint64_t until_ns = sim->now_ns + length_ns;
    sim_tell(sim, "a cut%s: node %u from node %u, for %.3f ms", one_way ? ", one way" : "",
             from + 1, to + 1, (double)length_ns / (double)SIM_MS);
    block(sim, from, to, until_ns);
    if (!one_way)
        block(sim, to, from, until_ns);
    notice(sim, from, until_ns);
}

static void partition(struct sim *sim, bool one_way)
{
    if (sim->options.nodes < 2)
        return;
    sim_count_fault(sim, one_way ? SIM_FAULT_PARTITION_ONE_WAY : SIM_FAULT_PARTITION);
    uint32_t side = (uint32_t)sim_random_between(&sim->random, 1, (1u << sim->options.nodes) - 2);
    sim_cut(sim, side, one_way, sim_random_between(&sim->random, SIM_MS, OUTAGE_MAX_NS));
}

static bool choose_pair(struct sim *sim, uint32_t *from, uint32_t *to)
{
    if (sim->options.nodes < 3) /* else it is a partition */
        return false;
    *from = any_node(sim);
    *to = (*from + (uint32_t)sim_random_between(&sim->random, 1, sim->options.nodes - 1)) %
          sim->options.nodes;
    return true;
}

static void cut_pair(struct sim *sim, bool one_way)
{
    uint32_t from, to;
    if (!choose_pair(sim, &from, &to))
        return;
    sim_count_fault(sim, one_way ? SIM_FAULT_PAIR_CUT_ONE_WAY : SIM_FAULT_PAIR_CUT);
    sim_cut_pair(sim, from, to, one_way, sim_random_between(&sim->random, SIM_MS, OUTAGE_MAX_NS));
}

/* One more cut of a link that flaps, and when the next one is due; token: who, and how many. */
static void flap(struct sim *sim, uint64_t token)
{
    uint32_t from = (uint32_t)(token % SIM_NODES_MAX);
    uint32_t to = (uint32_t)(token / SIM_NODES_MAX % SIM_NODES_MAX);
    uint64_t more = token / SIM_NODES_MAX / SIM_NODES_MAX;
    uint64_t length_ns = sim_random_between(&sim->random, SIM_MS, 2 * sim->options.detect_ns);
    uint64_t whole_ns = sim_random_between(&sim->random, SIM_MS, 2 * sim->options.detect_ns);
    sim_cut_pair(sim, from, to, sim_random_hits(&sim->random, 300), length_ns);
    if (more > 0)
        sim_queue_add(&sim->queue, SIM_FLAP, SIM_WORLD, sim->now_ns + length_ns + whole_ns)->token =
            token - SIM_NODES_MAX * SIM_NODES_MAX;
}

static void begin_to_flap(struct sim *sim)
{
    uint32_t from, to;
    if (!choose_pair(sim, &from, &to))
        return;
    sim_count_fault(sim, SIM_FAULT_FLAP);
    uint64_t times = sim_random_between(&sim->random, 2, 8);
    flap(sim, (times * SIM_NODES_MAX + to) * SIM_NODES_MAX + from);
}

static void suspect(struct sim *sim)
{
    uint32_t observer = any_node(sim);
    uint32_t observed = any_node(sim);
    if (observer == observed || !sim_hears(sim, observer, observed))
        return;
    sim_count_fault(sim, SIM_FAULT_SUSPICION);
    sim_member_suspect(sim, observer, observed);
}

void sim_jump(struct sim *sim, struct sim_node *node, uint64_t ahead_ns)
{
    sim_tell(sim, "the clock of node %u jumps by %.3f ms", node->id,
             (double)ahead_ns / (double)SIM_MS);
    node->clock_ahead_ns += ahead_ns;
    sim_node_rearm(sim, node);
}

static void jump_clock(struct sim *sim, struct sim_node *node)
{
    if (!node->is_up)
        return;
    sim_count_fault(sim, SIM_FAULT_CLOCK_JUMP);
    sim_jump(sim, node, sim_random_between(&sim->random, SIM_MS, 20 * SIM_S));
}

static void strike(struct sim *sim, enum sim_fault kind)
{
    struct sim_node *node = &sim->nodes[any_node(sim)];
    switch (kind) {
    case SIM_FAULT_CRASH:
    case SIM_FAULT_POWER_LOSS:
        crash(sim, node, kind == SIM_FAULT_POWER_LOSS);
        break;
    case SIM_FAULT_PAUSE:
        pause_node(sim, node);
        break;
    case SIM_FAULT_PARTITION:
    case SIM_FAULT_PARTITION_ONE_WAY:
        partition(sim, kind == SIM_FAULT_PARTITION_ONE_WAY);
        break;
    case SIM_FAULT_PAIR_CUT:
    case SIM_FAULT_PAIR_CUT_ONE_WAY:
        cut_pair(sim, kind == SIM_FAULT_PAIR_CUT_ONE_WAY);
        break;
    case SIM_FAULT_FLAP:
        begin_to_flap(sim);
        break;
    case SIM_FAULT_SUSPICION:
        suspect(sim);
        break;
    case SIM_FAULT_CLOCK_JUMP:
        jump_clock(sim, node);
        break;
    default:
        assert(!"no fault of a node or a link");
    }
}

void sim_mischief_heard(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->strikes_count && !sim->calm; i++) {
        struct sim_strike *strike = &sim->strikes[i];
        if (strike->signals > 0 && --strike->signals == 0)
            sim_queue_add(&sim->queue, SIM_MISCHIEF, SIM_WORLD, sim->now_ns)->token = strike->kind;
    }
}

void sim_forget_decision(struct sim *sim, struct sim_node *node, const struct sim_share *share)
{
    sim_tell(sim, "node %u loses both files of the decision of BACKUP-%u", node->id, share->number);
    sim_disk_forget(node, share, SIM_CLUSTER_MANIFEST);
    sim_disk_forget(node, share, SIM_CLUSTER_COPY);
}

static bool another_has_decision(const struct sim *sim, const struct sim_backup *backup,
                                 const struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        const struct sim_share *share = backup->shares[i];
        if (i != node->id - 1 && share && pst_set_has(&backup->manifest.nodes, i) &&
            sim_disk_is_durable(sim, share, SIM_CLUSTER_MANIFEST, 0))
            return true;
    }
    return false;
}

static void forget_decisions(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        const struct sim_share *share = backup->shares[node->id - 1];
        if (backup->was_decided && share && sim_disk_has(sim, share, SIM_CLUSTER_MANIFEST) &&
            another_has_decision(sim, backup, node) && sim_fault(sim, SIM_FAULT_DECISION_LOST))
            sim_forget_decision(sim, node, share);
    }
}

/* A node starts, or goes on after a pause, or is heard again: the others notice. */
static void come_back(struct sim *sim, uint32_t index)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->is_up) {
        sim_member_changed(sim, index);
        return;
    }
    forget_decisions(sim, node);
    sim_node_start(sim, node);
}

void sim_mischief_event(struct sim *sim, const struct sim_event *event)
{
    if (event->type == SIM_MISCHIEF)
        strike(sim, (enum sim_fault)event->token);
    else if (event->type == SIM_FLAP)
        flap(sim, event->token);
    else
        come_back(sim, (uint32_t)event->token);
}

void sim_mischief_heal(struct sim *sim)
{
    for (uint32_t from = 0; from < sim->options.nodes; from++) {
        for (uint32_t to = 0; to < sim->options.nodes; to++)
            sim->links[from][to].blocked_ns = 0;
    }
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->paused_until_ns = 0;
        for (uint32_t ldm = 0; ldm < node->ldms_count; ldm++) {
            node->ldms[ldm].stalled_ns = 0;
            node->ldms[ldm].fails = false;
        }
        come_back(sim, i);
    }
}
