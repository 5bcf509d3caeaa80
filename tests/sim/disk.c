/* What becomes of a node's files when its process is killed, or its power fails. */
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

/* Written to a temporary name and renamed: there or not, but never torn. */
static void end_writing(struct sim *sim, struct sim_file *file)
{
    if (file->is_being_written && !file->now.exists && sim_random_hits(&sim->random, 500))
        file->now = (struct sim_version){true, SIM_WHOLE, ++sim->digests};
    file->is_being_written = false;
}

static void crash_share(struct sim *sim, struct sim_share *share, bool power_loss)
{
    end_writing(sim, &share->node_manifest);
    end_writing(sim, &share->cluster_manifest);
    if (!power_loss)
        return;
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

void sim_disk_crash(struct sim *sim, struct sim_node *node, bool power_loss)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (share)
            crash_share(sim, share, power_loss);
    }
}
