/*
 * Cut: the snapshots of a backup hold a prefix of every writer's chain. If a write is in one of
 * them, no earlier write of that writer came to a source after its snapshot.
 */
#include "tests/sim/sim.h"

static void check_writer(struct sim *sim, const struct sim_backup *backup, uint32_t writer)
{
    uint32_t last = 0;          /* write that some snapshot holds */
    uint32_t first_missing = 0; /* write that came after its source's snapshot */
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        const struct sim_share *share = backup->shares[i];
        bool named = share && pst_set_has(&backup->manifest.nodes, i);
        for (uint32_t s = 0; named && s < sim->nodes[i].sources_count; s++) {
            const struct sim_cut *cut = &share->cuts[s];
            if (cut->history.last[writer] > last)
                last = cut->history.last[writer];
            uint32_t after = cut->first_after[writer];
            if (after != 0 && (first_missing == 0 || after < first_missing))
                first_missing = after;
        }
    }
    if (first_missing != 0 && first_missing < last)
        sim_fail(sim, SIM_CHECKER_CUT, "backup %08x holds write %u of a writer, but not its %u",
                 (unsigned)backup->uid_low, last, first_missing);
}

static void check_taken(struct sim *sim, const struct sim_backup *backup)
{
    for (uint32_t i = 0; i < sim->options.nodes; i++) {
        const struct sim_share *share = backup->shares[i];
        bool named = share && pst_set_has(&backup->manifest.nodes, i);
        for (uint32_t s = 0; named && s < sim->nodes[i].sources_count; s++) {
            if (!share->cuts[s].taken)
                sim_fail(sim, SIM_CHECKER_CUT, "source %u of node %u has no snapshot", s, i + 1);
            else if (share->cuts[s].gci != backup->manifest.start_gci)
                sim_fail(sim, SIM_CHECKER_CUT, "source %u of node %u was cut at another GCI", s,
                         i + 1);
        }
    }
}

void sim_check_cut(struct sim *sim)
{
    sim_write(sim);
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        if (!sim->backups[i].was_decided)
            continue;
        check_taken(sim, &sim->backups[i]);
        for (uint32_t writer = 0; writer < SIM_WRITERS; writer++)
            check_writer(sim, &sim->backups[i], writer);
    }
}
