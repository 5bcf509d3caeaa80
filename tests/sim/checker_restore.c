/*
 * Restore: from any one copy of the cluster manifest: every node that it names has the node
 * manifest that it means, that one every part that it means, and the parts together hold every
 * fragment of every source once.
 */
#include "tests/sim/sim.h"

static void check_part(struct sim *sim, const struct sim_share *share, uint32_t part)
{
    if (!sim_part_is_whole(sim, share, part))
        sim_fail(sim, SIM_CHECKER_RESTORE, "part %u of node %u is not what its manifest means",
                 part + 1, share->node + 1);
    else if (!sim_disk_is_durable(sim, share, SIM_PART, part))
        sim_fail(sim, SIM_CHECKER_RESTORE, "part %u of node %u is not durable", part + 1,
                 share->node + 1);
    if (share->parts[part].in_trouble)
        sim_fail(sim, SIM_CHECKER_RESTORE, "part %u of node %u had trouble", part + 1,
                 share->node + 1);
}

static void check_fragments(struct sim *sim, const struct sim_share *share)
{
    for (uint32_t s = 0; s < sim->nodes[share->node].sources_count; s++) {
        uint32_t scanned = 0;
        for (uint32_t part = 0; part < share->parts_count; part++) {
            if (scanned & share->parts[part].scanned[s])
                sim_fail(sim, SIM_CHECKER_RESTORE, "a fragment of source %u is in two parts", s);
            scanned |= share->parts[part].scanned[s];
        }
        if (scanned != (1u << share->fragments[s]) - 1)
            sim_fail(sim, SIM_CHECKER_RESTORE,
                     "of source %u of node %u fragments %#x of %u are in the parts", s,
                     share->node + 1, scanned, share->fragments[s]);
    }
}

static void check_node(struct sim *sim, const struct sim_backup *backup, uint32_t index,
                       struct pst_sums *sums)
{
    const struct sim_share *share = backup->shares[index];
    if (!share || !sim_disk_has(sim, share, SIM_NODE_MANIFEST) ||
        !pst_digest_equal(&share->node_digest, &backup->manifest.node_digests[index])) {
        sim_fail(sim, SIM_CHECKER_RESTORE, "node %u lacks the manifest that the cluster's means",
                 index + 1);
        return;
    }
    /* a sweep that could not read its own copy of the decision leaves it to the next one */
    bool may_be_cached = sim->nodes[index].has_had_errors && !sim->swept;
    if (!sim_disk_is_durable(sim, share, SIM_NODE_MANIFEST, 0) ||
        (!may_be_cached && sim_disk_has(sim, share, SIM_CLUSTER_MANIFEST) &&
         !sim_disk_is_durable(sim, share, SIM_CLUSTER_MANIFEST, 0)))
        sim_fail(sim, SIM_CHECKER_RESTORE, "a manifest of node %u is not durable", index + 1);
    if (share->manifest_gci != backup->manifest.start_gci)
        sim_fail(sim, SIM_CHECKER_RESTORE, "node %u has another GCI", index + 1);
    for (uint32_t part = 0; part < share->parts_count; part++) {
        check_part(sim, share, part);
        pst_sums_add(sums, &share->parts[part].sums);
    }
    check_fragments(sim, share);
}

void sim_check_restore(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (!backup->was_decided)
            continue;
        struct pst_sums sums = {0};
        for (uint32_t node = 0; node < sim->options.nodes; node++) {
            if (pst_set_has(&backup->manifest.nodes, node))
                check_node(sim, backup, node, &sums);
        }
        const struct pst_part_sums *claimed = &backup->manifest.sums;
        if (sums.source_bytes != claimed->source_bytes ||
            sums.stored_bytes != claimed->stored_bytes || sums.objects != claimed->objects ||
            sums.chunks != claimed->chunks)
            sim_fail(sim, SIM_CHECKER_RESTORE, "the manifest's sums are not those of the parts");
    }
}
