/* Resources: at rest nobody holds writers, snapshots, parts or senders; and what late answers may
 * still be recognised by is released by the next DEFINE. */
#include "tests/sim/sim.h"

static void check_senders(struct sim *sim, const struct pst_senders *senders, const char *whose)
{
    for (uint32_t i = 0; i < PST_SENDERS_MAX; i++) {
        const struct pst_sender *sender = &senders->slots[i];
        if (sender->gsn != 0 && !sender->is_zombie)
            sim_fail(sim, SIM_CHECKER_RESOURCES, "%s still waits for answers to %s", whose,
                     pst_gsn_name(sender->gsn));
    }
}

static void check_node(struct sim *sim, const struct sim_node *node)
{
    check_senders(sim, &node->master.senders, "the master");
    check_senders(sim, &node->hub_proxy.senders, "PROXY");
    check_senders(sim, &node->ldm_proxy.senders, "PROXY in LDM 1");
    for (uint32_t i = 0; i < node->sources_count; i++) {
        const struct sim_source *source = &node->sources[i];
        if (source->holds_writers)
            sim_fail(sim, SIM_CHECKER_RESOURCES, "source %u of node %u still holds its writers", i,
                     node->id);
        if (source->phase != SIM_IDLE || source->server.current.gsn != 0)
            sim_fail(sim, SIM_CHECKER_RESOURCES, "source %u of node %u still holds its snapshot", i,
                     node->id);
    }
}

void sim_check_resources(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++)
        check_node(sim, &sim->nodes[i]);
    for (uint32_t i = 0; i < sim->shares_count; i++) {
        for (uint32_t part = 0; part < SIM_LDMS_MAX; part++) {
            if (sim->shares[i].parts[part].open)
                sim_fail(sim, SIM_CHECKER_RESOURCES, "LDM %u of node %u still has a part open",
                         part + 1, sim->shares[i].node + 1);
        }
    }
}

/* Each proxy has had another DEFINE since, and the lowest node's master a BACKUP_REQ. */
void sim_check_released(struct sim *sim)
{
    uint32_t in_use = senders_in_use(&sim->nodes[0].master.senders);
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        in_use += senders_in_use(&sim->nodes[i].ldm_proxy.senders);
        if (sim->nodes[i].ldms_count > 1)
            in_use += senders_in_use(&sim->nodes[i].hub_proxy.senders);
    }
    if (in_use != 0)
        sim_fail(sim, SIM_CHECKER_RESOURCES, "%u senders were not released by the next DEFINE",
                 in_use);
}
