/*
 * Files: of a backup that was not decided nothing is left on a live node, but what somebody said
 * could not be removed, and what is in doubt of nodes that have yet to ask. Nobody removes what is
 * decided, or what is at work.
 */
#include "tests/sim/sim.h"

void sim_check_removal(struct sim *sim, const struct sim_node *node, const struct sim_share *share)
{
    if (sim->backups[share->backup].was_decided)
        sim_fail(sim, SIM_CHECKER_FILES, "node %u removes files of a decided backup", node->id);
}

/* Of a backup that a machine of this node is at work on, and not only at its end. */
void sim_check_sweep(struct sim *sim, const struct sim_node *node, const struct sim_share *share)
{
    sim_check_removal(sim, node, share);
    const struct pst_proxy *proxies[] = {&node->hub_proxy, &node->ldm_proxy};
    for (int i = 0; i < 2; i++) {
        if (proxies[i]->backup == sim->backups[share->backup].uid_low &&
            proxy_rule_of(proxies[i])->may_abort && proxies[i]->state != PST_PROXY_DEFINING)
            sim_fail(sim, SIM_CHECKER_FILES, "node %u sweeps a backup that is at work", node->id);
    }
}

/* What somebody said could not be removed is gone with the next DEFINE, by its sweep. */
static void check_gone(struct sim *sim, const struct sim_share *share)
{
    bool may_remain = share->may_remain && !sim->swept;
    for (uint32_t i = 0; i < SIM_LDMS_MAX; i++) {
        const struct sim_part *part = &share->parts[i];
        if (part->file.now.exists && (!part->may_remain || sim->swept))
            sim_fail(sim, SIM_CHECKER_FILES, "node %u still has part %u of an aborted backup",
                     share->node + 1, i + 1);
        may_remain |= part->may_remain && !sim->swept;
    }
    if ((share->directory.now.exists || share->node_manifest.now.exists) && !may_remain)
        sim_fail(sim, SIM_CHECKER_FILES, "node %u still has files of an aborted backup",
                 share->node + 1);
}

void sim_check_files(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        for (uint32_t node = 0; !backup->was_decided && node < sim->options.nodes; node++) {
            if (backup->shares[node])
                check_gone(sim, backup->shares[node]);
        }
    }
}
