/* The archive of a node: the product's server of the archive's requests, with the product's
 * repository, on the model disk. A model is its thread alone: it serves one request after the
 * other, each in its time; it may refuse one or leave it unanswered, but always answers
 * ARCHIVE_DECIDE_REQ. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/protocol/outcome.h"
#include "tests/sim/sim.h"

#define CLUSTER_ID 9u

static struct pst_source sources[SIM_SOURCES_MAX] = {{.name = "a"}, {.name = "b"}};
static struct pst_source *const source_list[SIM_SOURCES_MAX] = {&sources[0], &sources[1]};
static const char *const specs[SIM_SOURCES_MAX] = {"synthetic:a", "synthetic:b"};
static struct pst_unreadable unreadable = {.lock = PTHREAD_MUTEX_INITIALIZER}; /* of all nodes */

static void set_timer(struct sim_archive *archive)
{
    sim_node_set_timer(archive->sim, archive->node, SIM_ARCHIVE,
                       archive_server_deadline_ns(&archive->work), &archive->timer_ns);
}

void sim_archive_rearm(struct sim *sim, struct sim_node *node)
{
    (void)sim;
    node->archive.timer_ns = 0;
    set_timer(&node->archive);
}

/* ---- what it has done, for the checkers ---- */

/* The node manifest that is confirmed. */
static void note_node(struct sim_archive *archive, const struct pst_signal *conf)
{
    struct sim *sim = archive->sim;
    struct sim_share *share = sim_share_of(sim, sim_backup_of(sim, conf->backup), archive->node);
    struct pst_node_manifest manifest;
    struct pst_damage damage;
    if (!sim_disk_read(sim, share, SIM_NODE_MANIFEST, 0, &share->node_manifest) ||
        pst_manifest_decode_node(share->node_manifest.bytes, share->node_manifest.size, &manifest,
                                 &share->node_digest, &damage)) {
        sim_fail(sim, SIM_CHECKER_RESTORE, "node %u confirms a manifest that it does not have",
                 archive->node->id);
        return;
    }
    share->manifest_gci = manifest.common.start_gci;
    if (manifest.parts_count != share->parts_count)
        sim_fail(sim, SIM_CHECKER_RESTORE, "the manifest of node %u has %u parts, not %u",
                 archive->node->id, manifest.parts_count, share->parts_count);
    for (uint32_t i = 0; i < manifest.parts_count && i < SIM_LDMS_MAX; i++)
        memcpy(&share->part_digests[i], manifest.parts[i].digest.bytes, sizeof(uint64_t));
    pst_manifest_release_node(&manifest);
}

static void note_decision(struct sim_archive *archive, const struct pst_signal *conf)
{
    struct sim *sim = archive->sim;
    struct sim_backup *backup = sim_backup_of(sim, conf->backup);
    if (backup->was_decided)
        sim_fail(sim, SIM_CHECKER_OUTCOME, "a backup is decided twice");
    if (!sim_take_decision(sim, backup, sim_share_of(sim, backup, archive->node)))
        sim_fail(sim, SIM_CHECKER_OUTCOME, "node %u confirms a decision that it does not have",
                 archive->node->id);
    sim_check_decided(sim, backup);
}

/* ---- bugs that are planted into it ---- */

/* It takes what is committed for debris. */
static void hide_decisions(struct sim *sim, struct sim_node *node)
{
    for (uint32_t i = 0; i < sim->backups_count; i++) {
        const struct sim_share *share = sim->backups[i].shares[node->id - 1];
        if (!share || !sim->backups[i].was_decided)
            continue;
        sim_disk_forget(node, share, SIM_CLUSTER_MANIFEST);
        sim_disk_forget(node, share, SIM_CLUSTER_COPY);
        sim_disk_forget(node, share, SIM_NODE_MANIFEST);
    }
}

static int commit_alone(struct sim_archive *archive, const struct pst_outcome *settled)
{
    struct sim *sim = archive->sim;
    const struct sim_share *share =
        sim_share_of(sim, sim_backup_of(sim, pst_uid_low(settled->uid)), archive->node);
    struct pst_cluster_manifest manifest = {
        .common = {.number = settled->number}, .master_node = archive->node->id, .nodes_count = 1};
    memcpy(manifest.common.uid, settled->uid, sizeof(manifest.common.uid));
    manifest.nodes[0] = (struct pst_manifest_node){.node = archive->node->id,
                                                   .file_bytes = share->node_manifest.size,
                                                   .digest = share->node_digest};
    struct pst_manifest_text text;
    int error = pst_manifest_encode_cluster(&manifest, &text);
    if (error)
        return error;
    error = pst_archive_settle_committed(&archive->archive, settled, text.text, text.bytes);
    free(text.text);
    return error;
}

static void decide_alone(struct sim_archive *archive, const struct pst_doubt_rep *doubt)
{
    struct pst_outcome settled = {.number = doubt->number, .master_ref = doubt->master_ref};
    memcpy(settled.uid, doubt->uid, sizeof(settled.uid));
    int error = sim_planted(archive->sim, SIM_PLANT_DOUBT_ABORTS)
                    ? pst_archive_settle_aborted(&archive->archive, &settled)
                    : commit_alone(archive, &settled);
    sim_tell(archive->sim, "node %u decides alone: %d", archive->node->id, error);
}

static bool decides_alone(struct sim *sim)
{
    return sim_planted(sim, SIM_PLANT_DOUBT_ABORTS) || sim_planted(sim, SIM_PLANT_DOUBT_COMMITS);
}

/* ---- what it sends ---- */

static bool answers(const struct pst_signal *signal, const struct pst_signal *request)
{
    return request->gsn != 0 && pst_gsn_answered(signal->gsn) == request->gsn &&
           signal->receiver_ref == request->sender_ref && signal->sequence == request->sequence;
}

static void send(void *context, const struct pst_signal *signal, bool is_one_of_many)
{
    struct sim_archive *archive = context;
    struct sim *sim = archive->sim;
    (void)is_one_of_many;
    if (archive->node->disk->is_dead)
        return; /* it died before */
    if (signal->gsn == PST_ARCHIVE_DOUBT_REP && decides_alone(sim)) {
        decide_alone(archive, &signal->payload.doubt);
        return;
    }
    if (signal->gsn == PST_ARCHIVE_MANIFEST_CONF)
        note_node(archive, signal);
    if (signal->gsn == PST_ARCHIVE_DECIDE_CONF) {
        note_decision(archive, signal);
        if (sim_planted(sim, SIM_PLANT_DECIDES_NOT))
            hide_decisions(sim, archive->node);
    }
    if (!archive->server.is_lost || !answers(signal, &archive->server.current))
        sim_send(sim, sim_thread(sim, archive->node, SIM_ARCHIVE), signal);
}

/* ---- what it serves ---- */

static void note_request(struct sim *sim, struct sim_node *node, const struct pst_signal *request)
{
    struct sim_backup *backup;
    switch (request->gsn) {
    case PST_ARCHIVE_DEFINE_REQ:
        if (node->archive.archive.backup != 0)
            return;
        backup = sim_backup_of(sim, request->backup);
        struct sim_share *share = sim_share_of(sim, backup, node);
        share->number = request->payload.define.number;
        share->parts_count =
            request->payload.define.flags & PST_BACKUP_SINGLE_THREADED ? 1 : node->ldms_count;
        return;
    case PST_ARCHIVE_DECIDE_REQ:
        sim_backup_of(sim, request->backup)->began_to_decide = true;
        return;
    case PST_ARCHIVE_COMMIT_REQ:
        backup = sim_backup_of(sim, request->backup);
        if (memcmp(request->payload.commit.digest, backup->manifest.digest.bytes, 16) != 0)
            sim_fail(sim, SIM_CHECKER_OUTCOME,
                     "COMMIT names another cluster manifest than was decided");
        return;
    default:
        return;
    }
}

/* What the archive is at work on is there until it is told otherwise. */
static void check_at_work(struct sim *sim, struct sim_node *node)
{
    const struct pst_archive *archive = &node->archive.archive;
    if (archive->backup != 0 && archive->directory_made &&
        !sim_disk_has_directory(node, archive->node.common.number))
        sim_fail(sim, SIM_CHECKER_FILES, "node %u removes a backup that is at work", node->id);
}

static bool sweeps(const struct pst_signal *signal)
{
    return signal->gsn == PST_ARCHIVE_NUMBER_REQ || signal->gsn == PST_ARCHIVE_DEFINE_REQ ||
           signal->gsn == PST_ARCHIVE_SWEEP_REQ;
}

static void take_spoilt(struct sim *sim, struct sim_node *node, const struct pst_signal *signal)
{
    struct pst_archive *archive = &node->archive.archive;
    uint64_t backup = archive->backup;
    bool is_hidden = backup != 0 && archive->directory_made &&
                     signal->gsn != PST_ARCHIVE_DEFINE_REQ && sweeps(signal) &&
                     sim_planted(sim, SIM_PLANT_SWEEPS_RUNNING);
    if (sweeps(signal) && sim_planted(sim, SIM_PLANT_SWEEPS_DECIDED))
        hide_decisions(sim, node);
    if (is_hidden)
        archive->backup = 0;
    archive_server_take(&node->archive.work, signal, sim_node_now_ns(sim, node));
    if (is_hidden)
        archive->backup = backup;
}

/* false: the node died of it. */
static bool take(struct sim *sim, struct sim_node *node, const struct pst_signal *signal)
{
    note_request(sim, node, signal);
    sim_disk_arm(sim, node);
    take_spoilt(sim, node, signal);
    if (!sim_disk_survives(sim, node))
        return false;
    check_at_work(sim, node);
    set_timer(&node->archive);
    return true;
}

/* Of a scenario: it cannot do it, whatever it is. */
static bool refuse(struct sim_node *node, const struct pst_signal *request, uint32_t error)
{
    struct pst_signal answer = sim_answer(request, error);
    struct pst_archive *archive = &node->archive.archive;
    bool ends = request->gsn == PST_ARCHIVE_CLEANUP_REQ || request->gsn == PST_ARCHIVE_COMMIT_REQ;
    if (ends && archive->backup == request->backup)
        pst_archive_leave(archive);
    send(&node->archive, &answer, false);
    return true;
}

static bool takes_time(const struct pst_signal *signal)
{
    return signal->gsn != PST_ARCHIVE_PART_ORD && signal->gsn != PST_ARCHIVE_NODE_ORD &&
           signal->gsn != PST_ARCHIVE_LEAVE_ORD && pst_gsn_reach(signal->gsn) != PST_REACH_ARCHIVE;
}

static void begin(struct sim *sim, struct sim_node *node, const struct pst_signal *request)
{
    struct sim_server *server = &node->archive.server;
    if (request->gsn != PST_ARCHIVE_DECIDE_REQ &&
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

static void serve_next(struct sim *sim, struct sim_node *node)
{
    struct sim_server *server = &node->archive.server;
    const struct pst_signal *request;
    while ((request = sim_server_next(server)) != NULL) {
        if (takes_time(request)) {
            begin(sim, node, request);
            return;
        }
        if (!take(sim, node, request))
            return;
        server->current.gsn = 0;
    }
}

static void end_service(struct sim *sim, struct sim_node *node)
{
    struct sim_server *server = &node->archive.server;
    bool lives = server->error ? refuse(node, &server->current, server->error)
                               : take(sim, node, &server->current);
    if (!lives)
        return;
    server->current.gsn = 0;
    serve_next(sim, node);
}

static void on_time(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    struct sim_archive *archive = &node->archive;
    if (event->token != archive->timer_ns)
        return;
    archive->timer_ns = 0;
    archive_server_time(&archive->work, sim_node_now_ns(sim, node));
    set_timer(archive);
}

void sim_archive_event(struct sim *sim, struct sim_node *node, const struct sim_event *event)
{
    switch (event->type) {
    case SIM_SERVICE:
        end_service(sim, node);
        break;
    case SIM_TIMER:
        on_time(sim, node, event);
        break;
    default:
        assert(event->type == SIM_SIGNAL);
        if (event->signal.gsn == PST_NODE_FAILED_ORD) {
            if (take(sim, node, &event->signal))
                sim_heard_failure(sim, node, SIM_ARCHIVE, &event->signal);
            break;
        }
        if (event->signal.gsn == PST_BLOB_CONF && sim_fault(sim, SIM_FAULT_BLOB_LOST))
            break;
        sim_server_add(&node->archive.server, &event->signal);
        serve_next(sim, node);
    }
}

void sim_archive_start(struct sim *sim, struct sim_node *node)
{
    struct sim_archive *archive = &node->archive;
    memset(archive, 0, sizeof(*archive));
    archive->sim = sim;
    archive->node = node;
    archive->config = (struct pst_archive_config){
        .node = node->id,
        .cluster_id = CLUSTER_ID,
        .ldms = node->ldms_count,
        .chunk_bytes = PST_CHUNK_BYTES_MIN,
        .sources = source_list,
        .specs = specs,
        .sources_count = node->sources_count,
    };
    archive->archive.config = &archive->config;
    archive->archive.repository = &node->repository;
    archive->archive.unreadable = &unreadable;
    archive->work.answer_ns = sim->options.timeouts.ldm_ns;
    archive->work.send = send;
    archive->work.context = archive;
    archive_server_open(&archive->work, &archive->archive, false);
}

void sim_archive_stop(struct sim_node *node)
{
    archive_server_close(&node->archive.work);
    memset(&node->archive.work, 0, sizeof(node->archive.work));
}
