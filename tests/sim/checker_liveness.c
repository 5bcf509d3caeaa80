/* Liveness: everything comes to rest in bounded time, with one end for every client that lives to
 * hear it; and deadlines nest. */
#include "tests/sim/sim.h"

#define LONGEST_NS (400 * SIM_S)

static void check_machines(struct sim *sim, const struct sim_node *node)
{
    if (node->master.state != PST_MASTER_IDLE)
        sim_fail(sim, SIM_CHECKER_LIVENESS, "the master of node %u rests in %s", node->id,
                 pst_master_state_name(node->master.state));
    if (pst_outcome_in_doubt(&node->outcome) != 0)
        sim_fail(sim, SIM_CHECKER_LIVENESS, "node %u is in doubt for ever", node->id);
    const struct pst_proxy *proxies[] = {&node->hub_proxy, &node->ldm_proxy};
    for (int i = 0; i < 2; i++) {
        if (proxies[i]->state != PST_PROXY_IDLE || proxies[i]->request.gsn != 0)
            sim_fail(sim, SIM_CHECKER_LIVENESS, "PROXY %d of node %u rests in %s", i, node->id,
                     pst_proxy_state_name(proxies[i]->state));
    }
    for (uint32_t i = 0; i < node->ldms_count; i++) {
        const struct pst_participant *participant = &node->ldms[i].block.participant;
        if (participant->state != PST_PARTICIPANT_IDLE || participant->request != 0)
            sim_fail(sim, SIM_CHECKER_LIVENESS, "LDM %u of node %u rests in %s", i + 1, node->id,
                     pst_participant_state_name(participant->state));
    }
}

void sim_check_liveness(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++)
        check_machines(sim, &sim->nodes[i]);
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (backup->is_deaf)
            continue;
        if (backup->ends != 1)
            sim_fail(sim, SIM_CHECKER_LIVENESS, "the client was told %u ends of a backup",
                     backup->ends);
        if (backup->ended_ns - backup->asked_ns > LONGEST_NS)
            sim_fail(sim, SIM_CHECKER_LIVENESS, "a backup took longer than its deadlines allow");
    }
}

/* A node answers before the master's deadline, unless something keeps it or its answer back. */
void sim_check_nesting(struct sim *sim, const struct sim_node *node)
{
    static const enum sim_fault excuses[] = {SIM_FAULT_LDM_STALL,    SIM_FAULT_ANSWER_LOST,
                                             SIM_FAULT_LINK_SLOW,    SIM_FAULT_PARTITION,
                                             SIM_FAULT_PAUSE,        SIM_FAULT_PARTITION_ONE_WAY,
                                             SIM_FAULT_CRASH,        SIM_FAULT_POWER_LOSS,
                                             SIM_FAULT_PAIR_CUT,     SIM_FAULT_PAIR_CUT_ONE_WAY,
                                             SIM_FAULT_FLAP,         SIM_FAULT_SUSPICION,
                                             SIM_FAULT_CLOCK_JUMP,   SIM_FAULT_STORAGE_CRASH,
                                             SIM_FAULT_STORAGE_POWER};
    for (uint32_t i = 0; i < sizeof(excuses) / sizeof(*excuses); i++) {
        if (sim->fired[excuses[i]])
            return;
    }
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        const struct pst_sender *sender = &node->master.senders.slots[i];
        if (sender->gsn != 0 && sender->is_zombie &&
            pst_gsn_answered_by(sender->gsn) == PST_BLOCK_BACKUP)
            sim_fail(sim, SIM_CHECKER_LIVENESS, "the master gave up %s before its proxy did",
                     pst_gsn_name(sender->gsn));
    }
}
