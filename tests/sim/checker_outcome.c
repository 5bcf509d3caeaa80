/*
 * Outcome: a backup is decided once, by all that take part being prepared; then the client hears
 * that it is complete or nothing, and every node that took part has it, or is in doubt of it until
 * it has asked. Of one that was not decided no node has a cluster manifest.
 */
#include "tests/sim/sim.h"

static bool is_prepared(struct sim *sim, const struct sim_share *share,
                        const struct pst_digest *digest)
{
    return share && pst_digest_equal(&share->node_digest, digest) &&
           sim_disk_has(sim, share, SIM_NODE_MANIFEST);
}

void sim_check_decided(struct sim *sim, const struct sim_backup *backup)
{
    const struct sim_manifest *manifest = &backup->manifest;
    if (backup->told == SIM_TOLD_ABORT)
        sim_fail(sim, SIM_CHECKER_OUTCOME, "decided after the client was told of its abort");
    if (pst_set_is_empty(&manifest->nodes))
        sim_fail(sim, SIM_CHECKER_OUTCOME, "decided without a node");
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        const struct sim_share *share = backup->shares[i];
        bool named = pst_set_has(&manifest->nodes, i);
        if (named && !is_prepared(sim, share, &manifest->node_digests[i]))
            sim_fail(sim, SIM_CHECKER_OUTCOME, "decided while node %u is not prepared", i + 1);
        else if (!named && share && sim_disk_has_directory(&sim->nodes[i], share->number) &&
                 share->number == manifest->number)
            sim_fail(sim, SIM_CHECKER_OUTCOME, "decided without node %u, which takes part", i + 1);
    }
}

/* Of a node that died while it decided, its disk says what came of that. */
static void find_decision(struct sim *sim, struct sim_backup *backup)
{
    for (uint32_t i = 0; !backup->was_decided && i < sim->options.nodes; i++) {
        if (!backup->shares[i] || !sim_take_decision(sim, backup, backup->shares[i]))
            continue;
        if (!backup->began_to_decide)
            sim_fail(sim, SIM_CHECKER_OUTCOME, "a cluster manifest that nobody decided");
        sim_check_decided(sim, backup);
    }
}

/* On the disk of the node that decided, or of another that was told. */
static uint32_t copies(struct sim *sim, const struct sim_backup *backup)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sim->options.nodes; i++)
        count += backup->shares[i] && sim_disk_has(sim, backup->shares[i], SIM_CLUSTER_MANIFEST);
    return count;
}

static void check_nodes(struct sim *sim, const struct sim_backup *backup)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        const struct sim_share *share = backup->shares[i];
        if (!pst_set_has(&backup->manifest.nodes, i))
            continue;
        if (!share || !sim_disk_has(sim, share, SIM_NODE_MANIFEST))
            sim_fail(sim, SIM_CHECKER_OUTCOME, "committed here and aborted there: node %u", i + 1);
        else if (!sim_disk_has(sim, share, SIM_CLUSTER_MANIFEST) &&
                 (sim->swept || !sim->nodes[i].has_had_errors)) /* it could not read its own */
            sim_fail(sim, SIM_CHECKER_OUTCOME, "node %u never learns of the decision", i + 1);
    }
}

static void check_told(struct sim *sim, const struct sim_backup *backup)
{
    bool complete = backup->told == SIM_TOLD_COMPLETE;
    bool ended = backup->told == SIM_TOLD_ABORT || backup->told == SIM_TOLD_REF || complete;
    if (ended && complete != backup->was_decided)
        sim_fail(sim, SIM_CHECKER_OUTCOME, "the client was told %s of a backup that is%s decided",
                 complete ? "of the end" : "of the abort", backup->was_decided ? "" : " not");
    if (complete && backup->complete.number != backup->manifest.number)
        sim_fail(sim, SIM_CHECKER_OUTCOME, "the client was told another number");
}

void sim_check_outcome(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_backup *backup = &sim->backups[i];
        find_decision(sim, backup);
        uint32_t count = copies(sim, backup);
        check_told(sim, backup);
        if (backup->was_decided && count == 0)
            sim_fail(sim, SIM_CHECKER_OUTCOME, "a decision is nowhere any more");
        else if (backup->was_decided)
            check_nodes(sim, backup);
        if (!backup->may_fail && backup->told != SIM_TOLD_COMPLETE)
            sim_fail(sim, SIM_CHECKER_OUTCOME, "a backup without faults did not complete");
    }
}
