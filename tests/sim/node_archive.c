/* Model of the archive's thread: numbers, directories, manifests, the decision, the sweep, on the
 * model disk. It always answers ARCHIVE_DECIDE_REQ, and a REF means that the decision is not on
 * disk. What it does not model are its rules: what may be swept is asked of the product's. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "tests/sim/sim.h"

#define MANIFEST_BYTES 4711u

static void check_in(struct sim *sim, const char *what, uint32_t told, uint32_t expected)
{
    if (told != expected)
        sim_fail(sim, SIM_CHECKER_RESTORE,
                 "the archive was told of %u %s, not %u, before it writes their manifest", told,
                 what, expected);
}

static uint32_t number(struct sim *sim, const struct sim_node *node, uint32_t wanted,
                       uint32_t *chosen)
{
    uint32_t highest = 0;
    bool exists = false;
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (!share || !share->directory.now.exists)
            continue;
        exists |= share->number == wanted;
        if (share->number > highest)
            highest = share->number;
    }
    *chosen = exists ? highest : wanted != 0 ? wanted : highest + 1;
    return exists ? PST_E_NUMBER_EXISTS : 0;
}

static void sync_file(struct sim_file *file, enum sim_contents contents, uint64_t digest)
{
    file->now = file->disk = (struct sim_version){true, contents, digest};
}

static void remove_file(struct sim_file *file)
{
    file->now.exists = false;
    file->disk.exists = false;
}

static struct pst_debris debris_of(const struct sim *sim, const struct sim_node *node,
                                   const struct sim_share *share)
{
    struct pst_debris debris = {
        .is_at_work = node->archive.backup == &sim->backups[share->backup],
        .is_committed = share->directory.now.exists && share->cluster_manifest.now.exists,
        .is_prepared = share->directory.now.exists && share->node_manifest.now.exists,
        .is_alone = pst_set_count(&share->nodes) == 1,
    };
    return debris;
}

/* Everything that this node has of a backup, durably, its manifest first. */
static void remove_share(struct sim *sim, struct sim_node *node, struct sim_share *share)
{
    sim_check_sweep(sim, node, share);
    remove_file(&share->node_manifest);
    for (uint32_t i = 0; i < node->ldms_count; i++) {
        remove_file(&share->parts[i].file);
        share->parts[i].may_remain = false;
    }
    remove_file(&share->directory);
    share->may_remain = false;
}

static void tell_doubt(struct sim *sim, struct sim_node *node, const struct sim_share *share)
{
    struct pst_signal report;
    pst_signal_init(&report, PST_ARCHIVE_DOUBT_REP, pst_ref_make(node->id, PST_BLOCK_ARCHIVE, 0),
                    pst_ref_make(node->id, PST_BLOCK_OUTCOME, 0),
                    sim->backups[share->backup].uid_low, 0);
    report.payload.doubt.master_ref = share->master_ref;
    report.payload.doubt.number = share->number;
    memcpy(report.payload.doubt.uid, &report.backup, sizeof(report.backup));
    report.payload.doubt.nodes = share->nodes;
    sim_send(sim, sim_thread(sim, node, SIM_ARCHIVE), &report);
}

/* What a sweep does with one backup. */
static void sweep_share(struct sim *sim, struct sim_node *node, struct sim_share *share)
{
    struct pst_debris debris = debris_of(sim, node, share);
    if (sim_planted(sim, SIM_PLANT_SWEEPS_DECIDED))
        debris.is_committed = debris.is_prepared = false;
    if (sim_planted(sim, SIM_PLANT_SWEEPS_RUNNING))
        debris.is_at_work = false;
    enum pst_debris_verdict verdict = pst_debris_judge(&debris);
    /* What a killed process had renamed may be in no more than the cache. */
    if (debris.is_committed)
        share->cluster_manifest.disk = share->cluster_manifest.now;
    if (verdict == PST_DEBRIS_DOUBT && sim_planted(sim, SIM_PLANT_DOUBT_ABORTS))
        verdict = PST_DEBRIS_REMOVE;
    if (verdict == PST_DEBRIS_DOUBT && sim_planted(sim, SIM_PLANT_DOUBT_COMMITS))
        sync_file(&share->cluster_manifest, SIM_WHOLE, ++sim->digests);
    else if (verdict == PST_DEBRIS_DOUBT)
        tell_doubt(sim, node, share);
    if (verdict != PST_DEBRIS_REMOVE)
        return;
    sim_tell(sim, "node %u sweeps backup %u (%08x)", node->id, share->number,
             (unsigned)sim->backups[share->backup].uid_low);
    remove_share(sim, node, share);
}

static void sweep(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (share && share->directory.now.exists)
            sweep_share(sim, node, share);
    }
}

/* A machine has ended its work on it; if that failed, it may be in doubt. */
static void end_work(struct sim *sim, struct sim_node *node, uint64_t uid_low)
{
    struct sim_backup *backup = sim_backup_of(sim, uid_low);
    if (node->archive.backup != backup)
        return;
    node->archive.backup = NULL;
    struct sim_share *share = backup->shares[node->id - 1];
    if (share && share->directory.now.exists)
        sweep_share(sim, node, share);
}

static uint32_t define(struct sim *sim, struct sim_node *node, struct sim_backup *backup,
                       const struct pst_define_backup_req *define, uint32_t *highest)
{
    struct sim_archive *archive = &node->archive;
    if (archive->backup)
        return PST_E_BUSY;
    sweep(sim, node);
    archive->backup = backup;
    archive->parts = define->flags & PST_BACKUP_SINGLE_THREADED ? 1 : node->ldms_count;
    archive->parts_told = 0;
    archive->cluster = (struct sim_manifest){.backup = backup->uid_low};
    uint32_t error = number(sim, node, define->number, highest);
    if (error)
        return error;
    struct sim_share *share = sim_share_of(sim, backup, node);
    share->number = define->number;
    share->master_ref = define->master_ref;
    share->nodes = define->nodes;
    share->directory.now = share->directory.disk = (struct sim_version){.exists = true};
    return 0;
}

/* Makes the parts' names durable, and then the node manifest. */
static void write_node(struct sim *sim, struct sim_node *node, const struct pst_signal *request,
                       struct pst_commit *written)
{
    struct sim_archive *archive = &node->archive;
    struct sim_share *share = sim_share_of(sim, archive->backup, node);
    check_in(sim, "parts", (uint32_t)__builtin_popcountll(archive->parts_told), archive->parts);
    for (uint32_t i = 0; i < archive->parts; i++)
        share->parts[i].file.disk.exists = share->parts[i].file.now.exists;
    share->parts_count = archive->parts;
    share->manifest_gci = request->payload.gci.start_gci;
    uint64_t digest = ++sim->digests;
    sync_file(&share->node_manifest, SIM_WHOLE, digest);
    written->file_bytes = MANIFEST_BYTES;
    memcpy(written->digest, &digest, sizeof(digest));
}

static void write_cluster(struct sim *sim, struct sim_node *node, const struct pst_signal *request,
                          struct pst_commit *written)
{
    struct sim_manifest *cluster = &node->archive.cluster;
    struct sim_share *share = sim_share_of(sim, node->archive.backup, node);
    cluster->digest = ++sim->digests;
    cluster->start_gci = request->payload.gci.start_gci;
    cluster->number = share->number;
    written->file_bytes = MANIFEST_BYTES;
    memcpy(written->digest, &cluster->digest, sizeof(cluster->digest));
    sim_check_decided(sim, node->archive.backup, cluster);
    node->archive.backup->was_decided = true;
    node->archive.backup->manifest = *cluster;
    if (!sim_planted(sim, SIM_PLANT_DECIDES_NOT))
        sync_file(&share->cluster_manifest, SIM_WHOLE, cluster->digest);
}

void sim_archive_take_manifest(struct sim *sim, struct sim_node *node,
                               const struct pst_signal *commit)
{
    struct sim_backup *backup = sim_backup_of(sim, commit->backup);
    uint64_t digest;
    memcpy(&digest, commit->payload.commit.digest, sizeof(digest));
    if (!sim_fault(sim, SIM_FAULT_BLOB_LOST))
        node->archive.manifest_at_hand[backup - sim->backups] = digest;
}

static uint32_t commit(struct sim *sim, struct sim_node *node, const struct pst_signal *request)
{
    struct sim_backup *backup = node->archive.backup;
    struct sim_share *share = sim_share_of(sim, backup, node);
    uint64_t digest;
    memcpy(&digest, request->payload.commit.digest, sizeof(digest));
    if (digest != backup->manifest.digest || request->payload.commit.file_bytes != MANIFEST_BYTES)
        sim_fail(sim, SIM_CHECKER_OUTCOME,
                 "COMMIT names another cluster manifest than was decided");
    if (!share->cluster_manifest.now.exists &&
        node->archive.manifest_at_hand[backup - sim->backups] == digest)
        sync_file(&share->cluster_manifest, SIM_WHOLE, digest);
    bool stored = share->cluster_manifest.now.exists;
    end_work(sim, node, request->backup);
    return stored ? 0 : ENOENT;
}

/* Its own files, LDMs having removed their parts. */
static uint32_t clean_up(struct sim *sim, struct sim_node *node)
{
    struct sim_share *share = sim_share_of(sim, node->archive.backup, node);
    node->archive.backup = NULL;
    if (!share->directory.now.exists)
        return 0;
    sim_check_removal(sim, node, share);
    if (!sim_planted(sim, SIM_PLANT_LEAVES_MANIFEST))
        remove_file(&share->node_manifest);
    share->may_remain = false;
    for (uint32_t i = 0; i < node->ldms_count; i++) {
        share->may_remain |= share->parts[i].file.now.exists;
    }
    if (share->may_remain)
        return ENOTEMPTY;
    remove_file(&share->directory);
    return 0;
}

static uint32_t serve_current(struct sim *sim, struct sim_node *node,
                              const struct pst_signal *request, struct pst_signal *answer)
{
    if (node->archive.backup != sim_backup_of(sim, request->backup))
        return request->gsn == PST_ARCHIVE_CLEANUP_REQ ? 0 : PST_E_UNKNOWN_BACKUP;
    switch (request->gsn) {
    case PST_ARCHIVE_MANIFEST_REQ:
        write_node(sim, node, request, &answer->payload.commit);
        return 0;
    case PST_ARCHIVE_DECIDE_REQ:
        write_cluster(sim, node, request, &answer->payload.commit);
        return 0;
    case PST_ARCHIVE_COMMIT_REQ:
        return commit(sim, node, request);
    case PST_ARCHIVE_CLEANUP_REQ:
        return clean_up(sim, node);
    default:
        sim_fail(sim, SIM_CHECKER_ANSWERS, "the archive is asked for %s",
                 pst_gsn_name(request->gsn));
        return 0;
    }
}

static uint32_t tell_outcome(struct sim *sim, const struct sim_node *node, uint64_t uid_low,
                             struct pst_outcome *told)
{
    const struct sim_share *share = sim_backup_of(sim, uid_low)->shares[node->id - 1];
    struct pst_debris debris = {.is_at_work = false};
    if (share)
        debris = debris_of(sim, node, share);
    told->state = pst_debris_outcome(&debris);
    if (told->state == PST_OUTCOME_COMMITTED) {
        told->file_bytes = MANIFEST_BYTES;
        memcpy(told->digest, &share->cluster_manifest.now.digest, sizeof(uint64_t));
    }
    return told->state == 0 ? PST_E_BUSY : 0;
}

/* The cluster manifest comes from the node that has it; that may be gone meanwhile. */
static uint32_t fetch(struct sim *sim, struct sim_node *node, struct sim_share *share,
                      const struct pst_outcome *settled)
{
    const struct sim_share *there = sim->backups[share->backup].shares[settled->node - 1];
    uint64_t digest;
    memcpy(&digest, settled->digest, sizeof(digest));
    if (!sim_hears(sim, node->id - 1, settled->node - 1) || sim_fault(sim, SIM_FAULT_BLOB_LOST))
        return ENOENT;
    if (!there->cluster_manifest.now.exists || there->cluster_manifest.now.digest != digest)
        sim_fail(sim, SIM_CHECKER_OUTCOME, "node %u does not have the manifest that it told of",
                 settled->node);
    sync_file(&share->cluster_manifest, SIM_WHOLE, digest);
    return 0;
}

static uint32_t settle(struct sim *sim, struct sim_node *node, const struct pst_signal *request)
{
    struct sim_share *share = sim_share_of(sim, sim_backup_of(sim, request->backup), node);
    const struct pst_outcome *settled = &request->payload.outcome;
    if (settled->state == PST_OUTCOME_COMMITTED && !share->cluster_manifest.now.exists)
        return fetch(sim, node, share, settled);
    if (settled->state == PST_OUTCOME_NONE && share->directory.now.exists)
        remove_share(sim, node, share);
    return 0;
}

static uint32_t take_effect(struct sim *sim, struct sim_node *node,
                            const struct pst_signal *request, struct pst_signal *answer)
{
    switch (request->gsn) {
    case PST_ARCHIVE_NUMBER_REQ:
        sweep(sim, node);
        return number(sim, node, request->payload.archive_number.number,
                      &answer->payload.archive_number.number);
    case PST_ARCHIVE_DEFINE_REQ:
        return define(sim, node, sim_backup_of(sim, request->backup), &request->payload.define,
                      &answer->payload.ref.number);
    case PST_ARCHIVE_SWEEP_REQ:
        sweep(sim, node);
        return 0;
    case PST_ARCHIVE_OUTCOME_REQ:
        answer->payload.outcome = request->payload.outcome;
        return tell_outcome(sim, node, request->backup, &answer->payload.outcome);
    case PST_ARCHIVE_SETTLE_REQ:
        return settle(sim, node, request);
    default:
        return serve_current(sim, node, request, answer);
    }
}

static void take_item(struct sim *sim, struct sim_node *node, const struct pst_signal *order)
{
    const struct pst_archive_item *item = &order->payload.archive_item;
    struct sim_archive *archive = &node->archive;
    if (archive->backup != sim_backup_of(sim, order->backup))
        return;
    uint64_t digest;
    memcpy(&digest, item->digest, sizeof(digest));
    if (order->gsn == PST_ARCHIVE_PART_ORD) {
        archive->parts_told |= UINT64_C(1) << (item->item - 1);
        sim_share_of(sim, archive->backup, node)->part_digests[item->item - 1] = digest;
        return;
    }
    if (item->file_bytes != MANIFEST_BYTES && sim->options.plant != SIM_PLANT_ACCEPTS_LATE)
        sim_fail(sim, SIM_CHECKER_RESTORE, "a node manifest's size did not reach the archive");
    pst_set_add(&archive->cluster.nodes, item->item - 1);
    archive->cluster.node_digests[item->item - 1] = digest;
    pst_sums_add(&archive->cluster.sums, &item->sums);
}

static void serve_next(struct sim *sim, struct sim_node *node)
{
    struct sim_server *server = &node->archive.server;
    const struct pst_signal *request;
    while ((request = sim_server_next(server)) != NULL &&
           (request->gsn == PST_ARCHIVE_PART_ORD || request->gsn == PST_ARCHIVE_NODE_ORD ||
            request->gsn == PST_ARCHIVE_LEAVE_ORD)) {
        if (request->gsn == PST_ARCHIVE_LEAVE_ORD)
            end_work(sim, node, request->backup);
        else
            take_item(sim, node, request);
        server->current.gsn = 0;
    }
    if (!request)
        return;
    if (sim_fault(sim, SIM_FAULT_ARCHIVE_REF) || sim_fault(sim, SIM_FAULT_DISK_FULL))
        server->error = ENOSPC;
    else if (request->gsn != PST_ARCHIVE_DECIDE_REQ &&
             pst_ref_block(request->sender_ref) != PST_BLOCK_OUTCOME)
        server->is_lost = sim_fault(sim, SIM_FAULT_ARCHIVE_LOST);
    uint64_t takes_ns = sim_random_between(&sim->random, SIM_US, 20 * SIM_MS);
    if (sim_fault(sim, SIM_FAULT_ARCHIVE_SLOW))
        takes_ns = sim_slow_ns(sim);
    const struct sim_rule *due = sim_script_due(sim, request->receiver_ref, request->gsn);
    if (due && due->kind == SIM_ACT_REFUSE)
        server->error = due->error;
    if (due && due->kind == SIM_ACT_SLOW)
        takes_ns = due->length_ns;
    server->is_lost |= due && due->kind == SIM_ACT_HANG;
    sim_later(sim, SIM_SERVICE, sim_thread(sim, node, SIM_ARCHIVE), sim->now_ns + takes_ns);
}

/* A crash while it works: it may have been done just before. */
void sim_archive_crash(struct sim *sim, struct sim_node *node)
{
    const struct pst_signal *request = &node->archive.server.current;
    struct pst_signal answer = sim_answer(request, 0);
    if (request->gsn != 0 && node->archive.server.error == 0 && sim_random_hits(&sim->random, 500))
        take_effect(sim, node, request, &answer);
    struct sim_share *share = request->gsn != 0 && request->backup != 0
                                  ? sim_backup_of(sim, request->backup)->shares[node->id - 1]
                                  : NULL;
    bool is_renamed =
        share && request->gsn == PST_ARCHIVE_DECIDE_REQ && share->cluster_manifest.now.exists;
    if (is_renamed && sim_random_hits(&sim->random, 500))
        share->cluster_manifest.disk.exists = false; /* not synced yet */
}

/* Refused, but nobody will ask again. */
static void fail_end(struct sim *sim, struct sim_node *node, const struct pst_signal *request)
{
    struct sim_share *share = sim_share_of(sim, sim_backup_of(sim, request->backup), node);
    if (request->gsn == PST_ARCHIVE_CLEANUP_REQ)
        share->may_remain = true;
    end_work(sim, node, request->backup);
}

static void end_service(struct sim *sim, struct sim_node *node)
{
    struct sim_server *server = &node->archive.server;
    struct pst_signal answer = sim_answer(&server->current, 0);
    uint32_t error = server->error;
    if (!error)
        error = take_effect(sim, node, &server->current, &answer);
    else if (server->current.gsn == PST_ARCHIVE_CLEANUP_REQ ||
             server->current.gsn == PST_ARCHIVE_COMMIT_REQ)
        fail_end(sim, node, &server->current);
    uint32_t highest = answer.payload.ref.number;
    if (error)
        answer = sim_answer(&server->current, error);
    if (error == PST_E_NUMBER_EXISTS)
        answer.payload.ref.number = highest;
    server->current.gsn = 0;
    if (!server->is_lost)
        sim_send(sim, sim_thread(sim, node, SIM_ARCHIVE), &answer);
    serve_next(sim, node);
}

void sim_archive_event(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    if (event->type == SIM_SERVICE) {
        end_service(sim, node);
        return;
    }
    assert(event->type == SIM_SIGNAL);
    sim_server_add(&node->archive.server, &event->signal);
    serve_next(sim, node);
}
