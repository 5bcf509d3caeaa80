/*
 * Outcome: a backup exists if and only if the client was told that it is complete; then all of it
 * is durable, was scanned exactly once, at one cut. Of one that does not exist, nothing is left but
 * what somebody said could not be removed.
 */
#include "tests/sim/sim.h"

static uint32_t parts_of(const struct sim *sim, const struct sim_backup *backup)
{
    return backup->single_threaded ? 1 : sim->ldms_count;
}

static void check_exists(struct sim *sim, const struct sim_backup *backup)
{
    if (!backup->directory || !backup->node_manifest)
        sim_fail(sim, "a complete backup lacks its directory or manifest");
    if (!backup->copy && backup->complete.warnings == 0)
        sim_fail(sim, "a node lacks its copy of the decision, and nobody says so");
    if (backup->number != backup->complete.number)
        sim_fail(sim, "the client was told another number");
    for (uint32_t i = 0; i < sim->ldms_count; i++) {
        const struct sim_part *part = &backup->parts[i];
        if (i < parts_of(sim, backup) ? !part->exists || !part->durable || part->in_trouble
                                      : part->exists)
            sim_fail(sim, "the part of LDM %u of a complete backup is not as it should be", i + 1);
    }
}

static void check_gone(struct sim *sim, const struct sim_backup *backup)
{
    if ((backup->directory || backup->node_manifest) && !backup->directory_may_remain)
        sim_fail(sim, "directory or manifest of a backup that does not exist is left");
    for (uint32_t i = 0; i < sim->ldms_count; i++) {
        if (backup->parts[i].exists && !backup->parts[i].may_remain)
            sim_fail(sim, "the part of LDM %u of a backup that does not exist is left", i + 1);
    }
}

void sim_check_outcome(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (backup->was_decided && !backup->decision)
            sim_fail(sim, "a decided backup was removed");
        if (backup->decision != (backup->told == SIM_TOLD_COMPLETE))
            sim_fail(sim, "the client was told %d of a backup that is%s decided", backup->told,
                     backup->decision ? "" : " not");
        if (backup->decision)
            check_exists(sim, backup);
        else
            check_gone(sim, backup);
        if (!backup->may_fail && !backup->decision)
            sim_fail(sim, "a backup without faults did not complete");
    }
}

static void check_fragments(struct sim *sim, const struct sim_backup *backup, uint32_t source)
{
    if (backup->listed[source] != backup->fragments[source])
        sim_fail(sim, "source %u listed %u of %u fragments", source, backup->listed[source],
                 backup->fragments[source]);
    for (uint32_t i = 0; i < SIM_FRAGMENTS_MAX; i++) {
        if (backup->scanned[source][i] != (i < backup->fragments[source]))
            sim_fail(sim, "fragment %u of source %u was scanned %u times", i, source,
                     backup->scanned[source][i]);
    }
}

void sim_check_coverage(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_backup *backup = &sim->backups[i];
        if (backup->told != SIM_TOLD_COMPLETE)
            continue;
        struct pst_sums sums = {0};
        for (uint32_t ldm = 0; ldm < sim->ldms_count; ldm++)
            pst_sums_add(&sums, &backup->parts[ldm].sums);
        const struct pst_sums *told = &backup->complete.sums;
        if (sums.source_bytes != told->source_bytes || sums.stored_bytes != told->stored_bytes ||
            sums.objects != told->objects || sums.chunks != told->chunks)
            sim_fail(sim, "the sums told are not those of the parts");
        for (uint32_t source = 0; source < sim->sources_count; source++)
            check_fragments(sim, backup, source);
    }
}

/* All frozen, one after the other, before the first snapshot; all snapshots before the first thaw
 * and the first scan. */
static void check_cut_of(struct sim *sim, const struct sim_backup *backup)
{
    uint64_t frozen = 0;
    uint64_t snapshot = 0;
    for (uint32_t i = 0; i < sim->sources_count; i++) {
        const struct sim_cut *cut = &backup->cut[i];
        if (cut->frozen == 0 || cut->asked < frozen)
            sim_fail(sim, "source %u was not frozen in its turn", i);
        frozen = cut->frozen;
        if (cut->snapshot > snapshot)
            snapshot = cut->snapshot;
    }
    for (uint32_t i = 0; i < sim->sources_count; i++) {
        const struct sim_cut *cut = &backup->cut[i];
        if (cut->snapshot < frozen)
            sim_fail(sim, "source %u took its snapshot before all were frozen", i);
        if (cut->thawed < snapshot)
            sim_fail(sim, "source %u was thawed before all snapshots were taken", i);
    }
    if (backup->first_scan != 0 && backup->first_scan < snapshot)
        sim_fail(sim, "a fragment was scanned before all snapshots were taken");
}

void sim_check_cut(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        if (sim->backups[i].told == SIM_TOLD_COMPLETE)
            check_cut_of(sim, &sim->backups[i]);
    }
}
