/*
 * Master: the three uses of masterRef, and senderRef apart from it. Only who coordinates a backup
 * orders; its orders reach every LDM and every node that takes part; an LDM's trouble goes straight
 * to it; and only the death of its node is "my master died".
 */
#include "tests/sim/sim.h"

static pst_ref master_of(struct sim *sim, uint64_t uid_low)
{
    return pst_ref_make(sim_backup_of(sim, uid_low)->master + 1, PST_BLOCK_BACKUP, 1);
}

/* A request comes to a master. */
void sim_check_coordinates(struct sim *sim, const struct sim_node *node, const struct pst_set *live)
{
    if (pst_set_next(live, 0) + 1 < node->id)
        sim_fail(sim, SIM_CHECKER_MASTER, "node %u coordinates while node %u lives", node->id,
                 pst_set_next(live, 0) + 1);
}

/* In all payloads but those of clients and of the hub it comes first; an answer may have that of a
 * forged order. */
static bool names_master(const struct pst_signal *signal)
{
    switch (signal->gsn) {
    case PST_BACKUP_REQ:
    case PST_BACKUP_CONF:
    case PST_BACKUP_COMPLETE_REP:
        return false;
    case PST_ABORT_BACKUP_ORD:
        return signal->payload.abort.request != PST_ABORT_CLIENT;
    default:
        return signal->backup != 0 && pst_gsn_answered(signal->gsn) == 0;
    }
}

void sim_check_master_sent(struct sim *sim, const struct pst_signal *signal)
{
    if (!names_master(signal))
        return;
    char to[32];
    pst_ref master_ref = master_of(sim, signal->backup);
    if (signal->payload.order.master_ref != master_ref)
        sim_fail(sim, SIM_CHECKER_MASTER, "%s to %s has another masterRef",
                 pst_gsn_name(signal->gsn), sim_ref_name(signal->receiver_ref, to));
    bool is_trouble = signal->gsn == PST_ABORT_BACKUP_ORD &&
                      signal->payload.abort.request == PST_ABORT_FILE_OR_SCAN;
    sim->troubles_sent += is_trouble;
    if (is_trouble && signal->receiver_ref != master_ref)
        sim_fail(sim, SIM_CHECKER_MASTER, "an LDM's trouble goes to %s, not to masterRef",
                 sim_ref_name(signal->receiver_ref, to));
}

/* What goes to all LDMs of a node. */
static bool is_for_all(uint16_t gsn)
{
    return gsn == PST_DEFINE_BACKUP_REQ || gsn == PST_START_BACKUP_REQ ||
           gsn == PST_STOP_BACKUP_REQ || gsn == PST_COMMIT_BACKUP_REQ ||
           gsn == PST_CLEANUP_BACKUP_REQ || gsn == PST_ABORT_BACKUP_ORD;
}

void sim_check_fan_out(struct sim *sim, const struct sim_node *node, const struct pst_send *send)
{
    if (!is_for_all(send->signal.gsn) || send->route == PST_ROUTE_ONE)
        return;
    /* of those asked, a master leaves out nodes that died, and sends to either kind apart */
    uint32_t ldms = pst_ref_instance(send->signal.sender_ref) == 0 ? node->ldms_count : 1;
    if (send->route == PST_ROUTE_LDMS && pst_set_count(&send->targets) != ldms)
        sim_fail(sim, SIM_CHECKER_MASTER, "%s does not go to all LDMs of node %u",
                 pst_gsn_name(send->signal.gsn), node->id);
}

void sim_check_nodes_asked(struct sim *sim, const struct sim_node *node,
                           const struct pst_actions *actions)
{
    const struct pst_master *master = &node->master;
    struct pst_set told = {{0}};
    for (uint32_t i = 0; i < actions->sends_count; i++) {
        const struct pst_send *send = &actions->sends[i];
        for (uint32_t to = 0; to < sim->options.nodes; to++) {
            if (send->signal.gsn == PST_ABORT_BACKUP_ORD && send->route == PST_ROUTE_NODES &&
                pst_set_has(&send->targets, to))
                pst_set_add(&told, to);
        }
    }
    if (!pst_set_is_empty(&told) && master->state == PST_MASTER_ABORTING &&
        !pst_set_is_within(&master->participants, &told))
        sim_fail(sim, SIM_CHECKER_MASTER, "an abort does not go to all nodes");
}

/* ---- what a step may do to the state of proxy and participant ---- */

struct sim_minds sim_minds_of(const struct sim *sim, const struct sim_node *node, uint32_t thread)
{
    struct sim_minds minds = {.troubles_sent = sim->troubles_sent};
    minds.proxy = thread == SIM_HUB   ? &node->hub_proxy
                  : thread == SIM_LDM ? &node->ldm_proxy
                                      : NULL;
    if (minds.proxy)
        minds.proxy_state = minds.proxy->state;
    minds.master = thread == SIM_LDM ? &node->master : NULL;
    if (minds.master)
        minds.master_state = minds.master->state;
    if (thread >= SIM_LDM) {
        minds.participant = &node->ldms[thread - SIM_LDM].block.participant;
        minds.participant_state = minds.participant->state;
        minds.trouble_reported = minds.participant->trouble_reported;
    }
    return minds;
}

static void check_unmoved(struct sim *sim, const struct sim_minds *before, const char *by)
{
    if (before->proxy && before->proxy->state != before->proxy_state)
        sim_fail(sim, SIM_CHECKER_MASTER, "PROXY goes from %s to %s by %s",
                 pst_proxy_state_name(before->proxy_state),
                 pst_proxy_state_name(before->proxy->state), by);
    if (before->participant && before->participant->state != before->participant_state)
        sim_fail(sim, SIM_CHECKER_MASTER, "an LDM goes from %s to %s by %s",
                 pst_participant_state_name(before->participant_state),
                 pst_participant_state_name(before->participant->state), by);
}

/* Whether a machine here is at work for that master, and does not stay so when it dies. */
static bool is_left(const struct sim_minds *minds, uint32_t node)
{
    const struct pst_proxy *proxy = minds->proxy;
    const struct pst_participant *participant = minds->participant;
    bool waits = proxy && proxy->state != PST_PROXY_IDLE && proxy->state <= PST_PROXY_PREPARED &&
                 pst_ref_node(proxy->master_ref) == node;
    return waits || (participant && participant->state != PST_PARTICIPANT_IDLE &&
                     participant->state < PST_PARTICIPANT_PREPARED &&
                     pst_ref_node(participant->master_ref) == node);
}

static bool is_of(pst_ref master_ref, uint32_t node)
{
    return pst_ref_node(master_ref) == node;
}

static void check_failure_heard(struct sim *sim, const struct sim_minds *before, uint32_t failed)
{
    bool of_master = (before->proxy && before->proxy_state != PST_PROXY_IDLE &&
                      is_of(before->proxy->master_ref, failed)) ||
                     (before->participant && before->participant_state != PST_PARTICIPANT_IDLE &&
                      is_of(before->participant->master_ref, failed));
    if (!of_master)
        check_unmoved(sim, before, "the death of a node that is not its master's");
    else if (is_left(before, failed))
        sim_fail(sim, SIM_CHECKER_MASTER, "a machine waits on for a master that died");
}

/* An LDM's trouble, in the name of a backup of another master. */
static bool is_forged_trouble(const struct sim_minds *before, const struct pst_signal *signal)
{
    return before->master && signal->gsn == PST_ABORT_BACKUP_ORD &&
           signal->payload.abort.request == PST_ABORT_FILE_OR_SCAN &&
           signal->payload.abort.master_ref != before->master->self_ref;
}

/* An order of a backup that is here, in the name of another than its master. */
static bool is_forged(const struct sim_minds *before, const struct pst_signal *signal)
{
    pst_ref named = signal->payload.order.master_ref;
    if (!names_master(signal))
        return false;
    return (before->proxy && before->proxy->backup == signal->backup &&
            before->proxy_state != PST_PROXY_IDLE && before->proxy->master_ref != named) ||
           (before->participant && before->participant->backup == signal->backup &&
            before->participant_state != PST_PARTICIPANT_IDLE &&
            before->participant->master_ref != named);
}

static void check_order_heard(struct sim *sim, const struct sim_minds *before,
                              const struct pst_signal *signal)
{
    if (is_forged(before, signal))
        check_unmoved(sim, before, "an order that is not its master's");
    if (is_forged_trouble(before, signal) && before->master->state != before->master_state)
        sim_fail(sim, SIM_CHECKER_MASTER, "a master aborts by trouble of another's backup");
}

void sim_check_heard(struct sim *sim, const struct sim_minds *before, const struct pst_event *event)
{
    if (event->type == PST_EVENT_SIGNAL)
        check_order_heard(sim, before, event->signal);
    if (event->type == PST_EVENT_NODE_FAILED)
        check_failure_heard(sim, before, event->node);
}

void sim_check_trouble_told(struct sim *sim, const struct sim_minds *before)
{
    bool is_open = before->participant_state >= PST_PARTICIPANT_DEFINED &&
                   before->participant_state <= PST_PARTICIPANT_STOPPING;
    if (is_open && !before->trouble_reported && sim->troubles_sent == before->troubles_sent)
        sim_fail(sim, SIM_CHECKER_MASTER, "an LDM's trouble is not told to anybody");
}
