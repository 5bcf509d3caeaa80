/*
 * Who hears whom. A node that another does not hear for detect_ns is declared dead by it, late or
 * in time; so may be one that lives, and is only slow. Whoever is declared dead learns that its
 * link was reset, and declares the other dead too. Two nodes that live, hear each other and have
 * declared each other dead meet again, in a new session of their link, once all threads of both
 * have heard of the failure: what these sent before must not go out in the new session.
 */
#include <string.h>

#include "tests/sim/sim.h"

static uint64_t token_of(uint32_t one, uint32_t other)
{
    return (uint64_t)one * SIM_NODES_MAX + other;
}

uint32_t sim_session(const struct sim *sim, uint32_t one, uint32_t other)
{
    return one < other ? sim->sessions[one][other] : sim->sessions[other][one];
}

void sim_member_init(struct sim *sim)
{
    for (uint32_t from = 0; from < sim->options.nodes; from++) {
        for (uint32_t to = 0; to < sim->options.nodes; to++) {
            sim->links[from][to] = (struct sim_link){.is_up = true, .lost_after_ns = UINT64_MAX};
            sim->sessions[from][to] = 1;
        }
    }
}

static bool is_running(const struct sim *sim, uint32_t index)
{
    const struct sim_node *node = &sim->nodes[index];
    return node->is_up && node->paused_until_ns <= sim->now_ns;
}

bool sim_hears(const struct sim *sim, uint32_t observer, uint32_t observed)
{
    const struct sim_link *link = &sim->links[observed][observer];
    return is_running(sim, observed) && link->blocked_ns <= sim->now_ns &&
           link->lost_after_ns == UINT64_MAX && sim->links[observer][observed].is_up;
}

static void look_later(struct sim *sim, uint32_t observer, uint32_t observed, uint64_t delay_ns)
{
    sim_queue_add(&sim->queue, SIM_DETECT, SIM_WORLD, sim->now_ns + delay_ns)->token =
        token_of(observer, observed);
}

static void join_later(struct sim *sim, uint32_t one, uint32_t other)
{
    uint64_t delay_ns = sim_random_between(&sim->random, SIM_MS, sim->options.detect_ns);
    sim_queue_add(&sim->queue, SIM_JOIN, SIM_WORLD, sim->now_ns + delay_ns)->token =
        token_of(one, other);
}

void sim_member_changed(struct sim *sim, uint32_t index)
{
    uint64_t silence_ns = sim->options.detect_ns;
    for (uint32_t other = 0; other < sim->options.nodes; other++) {
        if (other == index)
            continue;
        uint64_t late_ns = sim_random_between(&sim->random, 0, silence_ns / 4);
        if (sim_fault(sim, SIM_FAULT_DETECT_LATE))
            late_ns += sim_random_between(&sim->random, silence_ns, 4 * silence_ns);
        look_later(sim, other, index, silence_ns + late_ns);
        look_later(sim, index, other, silence_ns + late_ns / 2);
        join_later(sim, index, other);
    }
}

static void declare_dead(struct sim *sim, uint32_t observer, uint32_t observed)
{
    sim->links[observed][observer].is_up = false;
    sim_tell(sim, "node %u declares node %u dead", observer + 1, observed + 1);
    sim_fabric_tell(sim, &sim->nodes[observer], false, observed);
    look_later(sim, observed, observer,
               sim_random_between(&sim->random, SIM_MS, sim->options.detect_ns));
    join_later(sim, observer, observed);
}

void sim_member_suspect(struct sim *sim, uint32_t observer, uint32_t observed)
{
    if (is_running(sim, observer) && sim->links[observed][observer].is_up)
        declare_dead(sim, observer, observed);
}

static void detect(struct sim *sim, uint32_t observer, uint32_t observed)
{
    const struct sim_node *node = &sim->nodes[observer];
    if (!node->is_up || !sim->links[observed][observer].is_up)
        return;
    if (node->paused_until_ns > sim->now_ns) {
        look_later(sim, observer, observed, node->paused_until_ns - sim->now_ns);
        return;
    }
    if (!sim_hears(sim, observer, observed))
        declare_dead(sim, observer, observed);
}

static void join(struct sim *sim, uint32_t one, uint32_t other)
{
    if (one > other) {
        join(sim, other, one);
        return;
    }
    struct sim_link *there = &sim->links[one][other];
    struct sim_link *back = &sim->links[other][one];
    if (!is_running(sim, one) || !is_running(sim, other) || there->blocked_ns > sim->now_ns ||
        back->blocked_ns > sim->now_ns)
        return; /* what ends that tries again */
    bool was_lost = there->lost_after_ns != UINT64_MAX || back->lost_after_ns != UINT64_MAX;
    if (there->is_up && back->is_up && !was_lost)
        return;
    if (there->is_up) /* a new incarnation speaks: the old one is dead */
        declare_dead(sim, other, one);
    if (back->is_up)
        declare_dead(sim, one, other);
    if (!sim_fabric_admits(&sim->nodes[one], other) ||
        !sim_fabric_admits(&sim->nodes[other], one)) {
        join_later(sim, one, other); /* when all their machines have heard of the failure */
        return;
    }
    sim->sessions[one][other]++;
    *there = *back = (struct sim_link){.is_up = true, .lost_after_ns = UINT64_MAX};
    sim_tell(sim, "node %u and node %u meet again", one + 1, other + 1);
    sim_fabric_tell(sim, &sim->nodes[one], true, other);
    sim_fabric_tell(sim, &sim->nodes[other], true, one);
}

void sim_member_event(struct sim *sim, const struct sim_event *event)
{
    uint32_t one = (uint32_t)(event->token / SIM_NODES_MAX);
    uint32_t other = (uint32_t)(event->token % SIM_NODES_MAX);
    if (event->type == SIM_DETECT)
        detect(sim, one, other);
    else
        join(sim, one, other);
}
