/* Backups by their uid, and what each node has of them. */
#include <assert.h>
#include <string.h>

#include "tests/sim/sim.h"

struct sim_backup *sim_backup_of(struct sim *sim, uint64_t uid_low)
{
    for (uint32_t i = sim->backups_count; i-- > 0;) {
        if (sim->backups[i].uid_low == uid_low)
            return &sim->backups[i];
    }
    sim_fail(sim, SIM_CHECKER_ANSWERS, "somebody speaks of a backup that nobody asked for");
    return &sim->backups[0];
}

struct sim_share *sim_share_of(struct sim *sim, struct sim_backup *backup,
                               const struct sim_node *node)
{
    struct sim_share **share = &backup->shares[node->id - 1];
    if (*share)
        return *share;
    assert(sim->shares_count < SIM_SHARES_MAX);
    *share = &sim->shares[sim->shares_count++];
    memset(*share, 0, sizeof(**share));
    (*share)->backup = (uint32_t)(backup - sim->backups);
    (*share)->node = node->id - 1;
    return *share;
}

bool sim_take_decision(struct sim *sim, struct sim_backup *backup, const struct sim_share *share)
{
    struct pst_cluster_manifest cluster;
    struct sim_manifest *manifest = &backup->manifest;
    if (!sim_disk_read_cluster(sim, share, &backup->cluster_manifest, &cluster, &manifest->digest))
        return false;
    backup->was_decided = true;
    manifest->number = cluster.common.number;
    manifest->start_gci = cluster.common.start_gci;
    manifest->sums = cluster.common.sums;
    manifest->nodes = (struct pst_set){{0}};
    for (uint32_t i = 0; i < cluster.nodes_count; i++) {
        uint32_t node = cluster.nodes[i].node - 1;
        pst_set_add(&manifest->nodes, node);
        if (node < SIM_NODES_MAX)
            manifest->node_digests[node] = cluster.nodes[i].digest;
    }
    return true;
}
