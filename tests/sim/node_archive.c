/* Model of the archive's thread: numbers, directories, manifests, the decision, the sweep, on the
 * model disk. It always answers ARCHIVE_DECIDE_REQ, and a REF means that the decision is not on
 * disk. What it does not model are its rules: what may be swept is asked of the product's. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

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
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (!share || !share->directory.now.exists)
            continue;
        if (share->number == wanted)
            return PST_E_NUMBER_EXISTS;
        if (share->number > highest)
            highest = share->number;
    }
    *chosen = wanted != 0 ? wanted : highest + 1;
    return 0;
}

static uint32_t define(struct sim *sim, struct sim_node *node, struct sim_backup *backup,
                       const struct pst_define_backup_req *define)
{
    uint32_t chosen;
    struct sim_archive *archive = &node->archive;
    sim_archive_sweep(sim, node);
    archive->backup = backup;
    archive->parts = define->flags & PST_BACKUP_SINGLE_THREADED ? 1 : node->ldms_count;
    archive->parts_told = 0;
    archive->cluster = (struct sim_manifest){.backup = backup->uid_low};
    uint32_t error = number(sim, node, define->number, &chosen);
    if (error != 0)
        return error;
    struct sim_share *share = sim_share_of(sim, backup, node);
    share->number = define->number;
    share->directory.now = share->directory.disk = (struct sim_version){.exists = true};
    return 0;
}

static void sync_file(struct sim_file *file, enum sim_contents contents, uint64_t digest)
{
    file->now = file->disk = (struct sim_version){true, contents, digest};
    file->is_being_written = false;
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
        sim_fail(sim, SIM_CHECKER_OUTCOME, "COMMIT names another cluster manifest than was decided");
    node->archive.backup = NULL;
    if (share->cluster_manifest.now.exists)
        return 0;
    if (node->archive.manifest_at_hand[backup - sim->backups] != digest)
        return ENOENT;
    sync_file(&share->cluster_manifest, SIM_WHOLE, digest);
    return 0;
}

static void remove_file(struct sim_file *file)
{
    file->now.exists = false;
    file->disk.exists = false;
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

static uint32_t take_effect(struct sim *sim, struct sim_node *node,
                            const struct pst_signal *request, struct pst_signal *answer)
{
    switch (request->gsn) {
    case PST_ARCHIVE_NUMBER_REQ:
        sim_archive_sweep(sim, node);
        return number(sim, node, request->payload.archive_number.number,
                      &answer->payload.archive_number.number);
    case PST_ARCHIVE_DEFINE_REQ:
        return define(sim, node, sim_backup_of(sim, request->backup), &request->payload.define);
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
    if (item->file_bytes != MANIFEST_BYTES)
        sim_fail(sim, SIM_CHECKER_RESTORE, "a node manifest's size did not reach the archive");
    pst_set_add(&archive->cluster.nodes, item->item - 1);
    archive->cluster.node_digests[item->item - 1] = digest;
    pst_sums_add(&archive->cluster.sums, &item->sums);
}

/* A crash while it writes leaves the file there, or not. */
static void begin_writing(struct sim *sim, struct sim_node *node, const struct pst_signal *request)
{
    if (node->archive.backup == NULL ||
        node->archive.backup != sim_backup_of(sim, request->backup))
        return;
    struct sim_share *share = sim_share_of(sim, node->archive.backup, node);
    if (request->gsn == PST_ARCHIVE_MANIFEST_REQ)
        share->node_manifest.is_being_written = true;
}

static void serve_next(struct sim *sim, struct sim_node *node)
{
    struct sim_server *server = &node->archive.server;
    const struct pst_signal *request;
    while ((request = sim_server_next(server)) != NULL &&
           (request->gsn == PST_ARCHIVE_PART_ORD || request->gsn == PST_ARCHIVE_NODE_ORD)) {
        take_item(sim, node, request);
        server->current.gsn = 0;
    }
    if (!request)
        return;
    begin_writing(sim, node, request);
    if (sim_fault(sim, SIM_FAULT_ARCHIVE_REF) || sim_fault(sim, SIM_FAULT_DISK_FULL))
        server->error = ENOSPC;
    else if (request->gsn != PST_ARCHIVE_DECIDE_REQ)
        server->is_lost = sim_fault(sim, SIM_FAULT_ARCHIVE_LOST);
    uint64_t takes_ns = sim_random_between(&sim->random, SIM_US, 20 * SIM_MS);
    if (sim_fault(sim, SIM_FAULT_ARCHIVE_SLOW))
        takes_ns = sim_slow_ns(sim);
    sim_later(sim, SIM_SERVICE, sim_thread(sim, node, SIM_ARCHIVE), sim->now_ns + takes_ns);
}

static void end_service(struct sim *sim, struct sim_node *node)
{
    struct sim_server *server = &node->archive.server;
    struct pst_signal answer = sim_answer(&server->current, 0);
    uint32_t error = server->error;
    if (error == 0)
        error = take_effect(sim, node, &server->current, &answer);
    else if (server->current.gsn == PST_ARCHIVE_CLEANUP_REQ)
        sim_share_of(sim, sim_backup_of(sim, server->current.backup), node)->may_remain = true;
    if (error != 0)
        answer = sim_answer(&server->current, error);
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

static void sweep_share(struct sim *sim, struct sim_node *node, struct sim_share *share)
{
    sim_check_sweep(sim, node, share);
    sim_tell(sim, "node %u sweeps backup %u (%08x)", node->id, share->number,
             (unsigned)sim->backups[share->backup].uid_low);
    for (uint32_t i = 0; i < node->ldms_count; i++) {
        remove_file(&share->parts[i].file);
        share->parts[i].may_remain = false;
    }
    remove_file(&share->node_manifest);
    remove_file(&share->directory);
    share->may_remain = false;
}

void sim_archive_sweep(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        struct sim_backup *backup = &sim->backups[i];
        struct sim_share *share = backup->shares[node->id - 1];
        if (!share || !share->directory.now.exists)
            continue;
        bool decided = share->cluster_manifest.now.exists;
        if (sim_planted(sim, SIM_PLANT_SWEEPS_DECIDED))
            decided = false;
        bool running = node->archive.backup == backup;
        if (sim_planted(sim, SIM_PLANT_SWEEPS_RUNNING))
            running = false;
        if (!decided && !running)
            sweep_share(sim, node, share);
    }
}
