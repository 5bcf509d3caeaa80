/* What becomes of a node's files when its power fails. */
#include "tests/sim/sim.h"

/* Between what is seen and what was synced, anything may have got to the disk: the entry, the
 * contents, or a part of them. */
static void lose_unsynced(struct sim *sim, struct sim_file *file)
{
    if (file->now.exists != file->disk.exists && sim_random_hits(&sim->random, 500))
        file->disk.exists = file->now.exists;
    bool same = file->now.contents == file->disk.contents && file->now.digest == file->disk.digest;
    if (!same && sim_random_hits(&sim->random, 500)) {
        file->disk.contents = sim_random_hits(&sim->random, 500) ? SIM_TORN : file->now.contents;
        file->disk.digest = file->now.digest;
    }
    file->now = file->disk;
}

static void crash_share(struct sim *sim, struct sim_share *share)
{
    lose_unsynced(sim, &share->directory);
    lose_unsynced(sim, &share->node_manifest);
    lose_unsynced(sim, &share->cluster_manifest);
    for (uint32_t i = 0; i < SIM_LDMS_MAX; i++) {
        lose_unsynced(sim, &share->parts[i].file);
        share->parts[i].file.now.exists &= share->directory.now.exists;
    }
    share->node_manifest.now.exists &= share->directory.now.exists;
    share->cluster_manifest.now.exists &= share->directory.now.exists;
}

/* A decision that got no further than the cache, and that nobody was told of, was none. */
static void forget_decision(struct sim_backup *backup)
{
    for (uint32_t i = 0; i < SIM_NODES_MAX; i++) {
        if (backup->shares[i] && backup->shares[i]->cluster_manifest.now.exists)
            return;
    }
    if (backup->told != SIM_TOLD_COMPLETE)
        backup->was_decided = false;
}

void sim_disk_lose(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (!share)
            continue;
        bool had_decision = share->cluster_manifest.now.exists;
        crash_share(sim, share);
        if (had_decision && !share->cluster_manifest.now.exists)
            forget_decision(&sim->backups[i]);
    }
}
