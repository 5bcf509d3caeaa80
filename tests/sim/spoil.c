/* Bugs planted into the state of a machine between two of its steps, once in a run, as soon as it
 * is in a state where the bug could be made. */
#include "tests/sim/sim.h"

static bool spoils(const struct sim *sim, enum sim_spoil spoil)
{
    return sim->options.spoil == spoil && !sim->spoiled;
}

static void spoil_proxy(struct sim *sim, struct pst_proxy *proxy)
{
    bool serves = proxy->request.gsn != 0;
    if (spoils(sim, SIM_SPOIL_SENDER_LOSES_BIT) && proxy->sender &&
        pst_set_count(&proxy->sender->waiting) > 1) {
        pst_set_remove(&proxy->sender->waiting, pst_set_next(&proxy->sender->waiting, 0));
        sim->spoiled = true;
    } else if (spoils(sim, SIM_SPOIL_DEALER_MISCOUNTS) && proxy->dealer.in_flight > 1) {
        proxy->dealer.in_flight--;
        sim->spoiled = true;
    } else if (spoils(sim, SIM_SPOIL_PROXY_SKIPS_STATE) && proxy->state == PST_PROXY_STARTED) {
        proxy->state = PST_PROXY_FREEZING;
        sim->spoiled = true;
    } else if (spoils(sim, SIM_SPOIL_PROXY_LOSES_DEADLINE) && serves) {
        proxy->deadline_ns = PST_DEADLINE_NONE;
        sim->spoiled = true;
    } else if (spoils(sim, SIM_SPOIL_PROXY_LOSES_SUM) && proxy->state == PST_PROXY_STOPPING &&
               proxy->sums.source_bytes > 0) {
        proxy->sums.source_bytes--;
        sim->spoiled = true;
    }
}

/* A participant that is still waited for. */
static void forget_node(struct sim *sim, struct pst_master *master)
{
    uint32_t self = pst_ref_node(master->self_ref) - 1;
    struct pst_set others = pst_set_common(&master->participants, &master->sender->waiting);
    pst_set_remove(&others, self);
    uint32_t node = pst_set_next(&others, 0);
    if (node == PST_SET_MEMBERS)
        return;
    pst_set_remove(&master->participants, node);
    sim->spoiled = true;
}

static void spoil_master(struct sim *sim, struct pst_master *master)
{
    if (spoils(sim, SIM_SPOIL_MASTER_SKIPS_STATE) && master->state == PST_MASTER_STARTING) {
        master->state = PST_MASTER_FREEZING;
        sim->spoiled = true;
    } else if (spoils(sim, SIM_SPOIL_MASTER_FORGETS_NODE) && master->state == PST_MASTER_SCANNING) {
        forget_node(sim, master);
    }
}

static void spoil_participant(struct sim *sim, struct pst_participant *participant)
{
    if (spoils(sim, SIM_SPOIL_LDM_FORGETS_SCANS) &&
        participant->state == PST_PARTICIPANT_SCANNING) {
        for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++)
            participant->scans[i].sequence = 0;
        sim->spoiled = true;
    } else if (spoils(sim, SIM_SPOIL_LDM_FORGETS_ORDER) &&
               participant->state == PST_PARTICIPANT_STOPPING) {
        participant->request = 0;
        sim->spoiled = true;
    }
}

/* The first node that is not there. */
static void spoil_outcome(struct sim *sim, struct pst_outcome_machine *outcome)
{
    for (uint32_t i = 0; i < PST_DOUBTS_MAX && spoils(sim, SIM_SPOIL_OUTCOME_WAITS_FOR_DEAD); i++) {
        struct pst_doubt *doubt = &outcome->doubts[i];
        struct pst_set dead = pst_set_minus(&doubt->what.nodes, &outcome->nodes);
        if (doubt->state != PST_DOUBT_ASKING || pst_set_is_empty(&dead))
            continue;
        pst_set_add(&doubt->waiting, pst_set_next(&dead, 0));
        sim->spoiled = true;
    }
}

void sim_spoil_hub(struct sim *sim, struct sim_node *node)
{
    spoil_proxy(sim, &node->hub_proxy);
    spoil_outcome(sim, &node->outcome);
}

void sim_spoil_ldm(struct sim *sim, struct sim_node *node, uint32_t index)
{
    spoil_participant(sim, &node->ldms[index].block.participant);
    if (index != 0)
        return;
    spoil_proxy(sim, &node->ldm_proxy);
    spoil_master(sim, &node->master);
}
