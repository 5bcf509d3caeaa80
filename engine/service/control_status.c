/*
 * The answer to penstock status, as JSON. Called by control.c, on the server's thread.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/base/printable.h"
#include "engine/base/time_text.h"
#include "engine/json/json_build.h"
#include "engine/node/ref_text.h"
#include "engine/service/control_parts.h"

static const char *state_of(const struct control *control, const struct pst_node_status *status,
                            uint32_t node)
{
    if (pst_set_has(&control->live, node - 1))
        return "live";
    return pst_set_has(&status->kept_out, node - 1) ? "kept out" : "missing";
}

static json_int_t rate(uint64_t bytes, uint64_t ns)
{
    return ns == 0 ? 0 : (json_int_t)((double)bytes * 1e9 / (double)ns);
}

/* How far a node is in the running backup, where this one knows. */
static void add_progress(json_t **node, uint64_t bytes, uint64_t ns)
{
    pst_json_set(node, "source_bytes", json_integer((json_int_t)bytes));
    pst_json_set(node, "bytes_per_second", json_integer(rate(bytes, ns)));
}

/* Why it could not join, if the fabric knows. */
static void add_refusal(json_t **entry, const struct pst_node_status *status, uint32_t node)
{
    for (uint32_t i = 0; i < status->refusals_count; i++) {
        if (status->refusals[i].node == node)
            pst_json_set(entry, "refusal", json_string(status->refusals[i].reason));
    }
}

static json_t *nodes_json(const struct control *control, const struct pst_node_status *status)
{
    json_t *nodes = json_array();
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++) {
        bool own = node == control->config->node;
        bool live = pst_set_has(&control->live, node - 1);
        bool expected = pst_set_has(&control->config->cluster->expected, node - 1);
        const struct pst_node_change *change = &control->changes[node];
        uint64_t incarnation = own ? status->incarnation : change->incarnation;
        uint32_t ldms = own ? control->config->plan->ldms : change->ldms;
        char text[17];
        if (!live && !expected && change->node == 0)
            continue;
        snprintf(text, sizeof(text), "%016llx", (unsigned long long)incarnation);
        json_t *entry = json_pack("{s:I, s:s, s:s, s:I}", "node", (json_int_t)node, "state",
                                  state_of(control, status, node), "incarnation",
                                  incarnation != 0 ? text : "", "ldms", (json_int_t)ldms);
        add_refusal(&entry, status, node);
        if (status->backup != 0 && (own || status->node_bytes[node] != 0))
            add_progress(&entry, status->node_bytes[node], status->scan_ns);
        pst_json_append(&nodes, entry);
    }
    return nodes;
}

static json_t *ldms_json(const struct pst_node_status *status)
{
    json_t *ldms = json_array();
    for (uint32_t i = 0; i < status->ldms_count; i++) {
        const struct pst_ldm_status *ldm = &status->ldms[i];
        char uid[2 * sizeof(ldm->backup) + 1] = "";
        if (ldm->backup != 0)
            pst_hex_encode((const uint8_t *)&ldm->backup, sizeof(ldm->backup), uid);
        pst_json_append(&ldms,
                        json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:i, s:I}", "ldm",
                                  (json_int_t)(i + 1), "state", ldm->state, "backup", uid,
                                  "source_bytes", (json_int_t)ldm->source_bytes, "bytes_per_second",
                                  rate(ldm->source_bytes, ldm->scan_ns), "cpu",
                                  (json_int_t)ldm->cpu, "numa_node", (int)ldm->numa_node,
                                  "misplaced_pages", (json_int_t)ldm->misplaced_pages));
    }
    return ldms;
}

/* What the backup will have read here when it ends: what is listed, and until all is, what the last
 * one had, as long as that is more. 0: nobody knows. */
static uint64_t bytes_expected(const struct pst_node_status *status)
{
    uint64_t listed = status->running.listed_bytes, last = status->last_success.sums.source_bytes;
    if (status->running.is_listed)
        return listed;
    return listed <= last ? last : 0;
}

static void add_estimate(json_t **object, uint64_t done, uint64_t expected, uint64_t per_second)
{
    if (expected == 0)
        return;
    uint64_t left = done < expected ? expected - done : 0;
    pst_json_set(object, "percent_done",
                 json_real(left == 0 ? 1 : (double)done / (double)expected));
    if (per_second > 0)
        pst_json_set(object, "remaining_ns",
                     json_integer((json_int_t)((double)left * 1e9 / (double)per_second)));
}

/* The backup that the node takes part in: its share of it. */
json_t *control_running_json(const struct pst_node_status *status, uint32_t node)
{
    const struct pst_running_status *running = &status->running;
    uint64_t done = running->reads ? status->node_bytes[node] : 0;
    if (!running->phase)
        return json_null();
    json_t *object = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "number",
                               (json_int_t)running->number, "phase", running->phase, "elapsed_ns",
                               (json_int_t)running->elapsed_ns, "source_bytes", (json_int_t)done,
                               "bytes_per_second_1s", (json_int_t)running->bytes_per_second[0],
                               "bytes_per_second_10s", (json_int_t)running->bytes_per_second[1],
                               "bytes_per_second_60s", (json_int_t)running->bytes_per_second[2]);
    if (running->is_listed)
        pst_json_set(&object, "source_bytes_total",
                     json_integer((json_int_t)running->listed_bytes));
    if (running->reads)
        add_estimate(&object, done, bytes_expected(status), running->bytes_per_second[1]);
    return object;
}

/* The backups that this node was asked for. */
static json_t *jobs_json(const struct control *control)
{
    json_t *jobs = json_array();
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++) {
        const struct control_job *job = &control->jobs[i];
        char uid[2 * sizeof(job->request.uid) + 1];
        if (job->backup == 0)
            continue;
        uint64_t elapsed_ns = pst_monotonic_ns() - job->began_ns;
        uint64_t bytes = job->progress.sums.source_bytes;
        pst_hex_encode(job->request.uid, sizeof(job->request.uid), uid);
        pst_json_append(&jobs, json_pack("{s:s, s:I, s:I, s:I, s:I}", "uid", uid, "number",
                                         (json_int_t)job->request.number, "elapsed_ns",
                                         (json_int_t)elapsed_ns, "source_bytes", (json_int_t)bytes,
                                         "bytes_per_second", rate(bytes, elapsed_ns)));
    }
    return jobs;
}

static json_t *set_json(const struct pst_set *set)
{
    json_t *nodes = json_array();
    for (uint32_t i = pst_set_next(set, 0); i < PST_NODES_MAX; i = pst_set_next(set, i + 1))
        pst_json_append(&nodes, json_integer((json_int_t)i + 1));
    return nodes;
}

void control_add_missing(json_t **object, const struct pst_set *missing)
{
    if (!pst_set_is_empty(missing))
        pst_json_set(object, "missing_nodes", set_json(missing));
}

static json_t *codecs_json(const uint64_t *chunks)
{
    return json_pack("{s:I, s:I, s:I}", "none", (json_int_t)chunks[PST_CODEC_NONE], "lz4",
                     (json_int_t)chunks[PST_CODEC_LZ4], "zstd", (json_int_t)chunks[PST_CODEC_ZSTD]);
}

/* The last backup that the node took part in: its share of it. */
json_t *control_last_backup_json(const struct control *control, const struct pst_last_backup *last)
{
    static const char *const ends[] = {[PST_END_COMPLETE] = "complete",
                                       [PST_END_ABORTED] = "aborted",
                                       [PST_END_IN_DOUBT] = "in doubt"};
    char uid[2 * sizeof(last->uid) + 1], where[64] = "", when[PST_TIME_TEXT_BYTES];
    if (last->end == PST_END_NONE)
        return json_null();
    if (last->where != 0)
        pst_ref_text(last->where, where, sizeof(where));
    bool is_partial = !pst_set_is_empty(&last->missing);
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "number", (json_int_t)last->number,
        "uid", pst_hex_encode(last->uid, sizeof(last->uid), uid), "outcome",
        is_partial ? "partial" : ends[last->end], "error_name",
        last->error != 0 ? pst_error_name((int)last->error) : "", "error_text",
        last->error != 0 ? pst_error_text((int)last->error) : "", "where", where, "ended",
        pst_time_text(last->ended_unix_ns, 9, when), "elapsed_ns", (json_int_t)last->elapsed_ns,
        "source_bytes", (json_int_t)last->sums.source_bytes, "stored_bytes",
        (json_int_t)last->sums.stored_bytes);
    const char *says = pst_client_text(&control->texts, pst_uid_low(last->uid), last->where);
    control_add_missing(&object, &last->missing);
    if (says[0])
        pst_json_set(&object, "source_says", json_string(says));
    if (last->end == PST_END_COMPLETE)
        pst_json_set(&object, "codec_chunks", codecs_json(last->codec_chunks));
    if (last->referenced_bytes > 0)
        pst_json_set(&object, "referenced_bytes", json_integer((json_int_t)last->referenced_bytes));
    if (last->end == PST_END_COMPLETE && last->sums.stored_bytes > 0)
        pst_json_set(&object, "ratio",
                     json_real((double)last->sums.source_bytes / (double)last->sums.stored_bytes));
    return object;
}

/* The last one that is complete, or partial: the node's share of it. */
static json_t *last_success_json(const struct pst_last_backup *last)
{
    char when[PST_TIME_TEXT_BYTES];
    if (last->end == PST_END_NONE)
        return json_null();
    return json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)last->number,
                     "ended", pst_time_text(last->ended_unix_ns, 9, when), "elapsed_ns",
                     (json_int_t)last->elapsed_ns, "source_bytes",
                     (json_int_t)last->sums.source_bytes, "stored_bytes",
                     (json_int_t)last->sums.stored_bytes, "objects", (json_int_t)last->sums.objects,
                     "unreadable", (json_int_t)last->sums.unreadable);
}

static json_t *last_failure_json(const struct pst_last_backup *last)
{
    char when[PST_TIME_TEXT_BYTES];
    if (last->end == PST_END_NONE)
        return json_null();
    return json_pack("{s:I, s:s, s:I}", "number", (json_int_t)last->number, "ended",
                     pst_time_text(last->ended_unix_ns, 9, when), "error", (json_int_t)last->error);
}

static json_t *totals_json(const struct pst_backup_totals *totals)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "complete",
                     (json_int_t)totals->complete, "partial", (json_int_t)totals->partial,
                     "aborted", (json_int_t)totals->aborted, "in_doubt",
                     (json_int_t)totals->in_doubt, "source_bytes", (json_int_t)totals->source_bytes,
                     "stored_bytes", (json_int_t)totals->stored_bytes, "elapsed_ns",
                     (json_int_t)totals->elapsed_ns);
}

/* The last one that the node was asked for: all of it. */
static json_t *last_request_json(const struct control_last *last)
{
    char uid[2 * sizeof(last->uid) + 1], when[PST_TIME_TEXT_BYTES];
    if (last->ended_unix_ns == 0)
        return json_null();
    json_t *object = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "number", (json_int_t)last->number, "uid",
        pst_hex_encode(last->uid, sizeof(last->uid), uid), "error_name",
        last->error != 0 ? pst_error_name((int)last->error) : "", "error_text",
        last->error != 0 ? pst_error_text((int)last->error) : "", "ended",
        pst_time_text(last->ended_unix_ns, 9, when), "elapsed_ns", (json_int_t)last->elapsed_ns,
        "source_bytes", (json_int_t)last->sums.source_bytes);
    control_add_missing(&object, &last->missing);
    return object;
}

static json_t *fabric_json(const struct pst_node_status *status)
{
    const struct pst_fabric_counters *fabric = &status->fabric;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "sent",
        (json_int_t)fabric->signals_sent, "received", (json_int_t)fabric->signals_received,
        "refused", (json_int_t)status->signals_refused, "rings_full", (json_int_t)fabric->full,
        "wakes_sent", (json_int_t)fabric->wakes_sent, "connections_refused",
        (json_int_t)fabric->refusals, "ring_bytes", (json_int_t)fabric->ring_bytes, "nodes_failed",
        (json_int_t)status->nodes_failed, "zombie_senders", (json_int_t)status->requests.zombies,
        "stale_senders", (json_int_t)status->requests.stale, "stray_answers",
        (json_int_t)status->requests.strays, "packets_sent", (json_int_t)fabric->packets_sent,
        "packets_received", (json_int_t)fabric->packets_received, "packets_dropped",
        (json_int_t)fabric->packets_dropped);
}

static json_t *doubts_json(const struct pst_node_status *status)
{
    json_t *doubts = json_array();
    for (uint32_t i = 0; i < status->in_doubt; i++) {
        const struct pst_doubt_status *doubt = &status->doubts[i];
        char uid[2 * sizeof(doubt->uid) + 1];
        pst_hex_encode(doubt->uid, sizeof(doubt->uid), uid);
        pst_json_append(&doubts, json_pack("{s:I, s:s, s:s, s:I, s:o}", "number",
                                           (json_int_t)doubt->number, "uid", uid, "state",
                                           doubt->state, "master", (json_int_t)doubt->master_node,
                                           "waits_for", set_json(&doubt->waits_for)));
    }
    return doubts;
}

json_t *control_stalls_json(const struct pst_node_status *status)
{
    json_t *stalls = json_array();
    uint64_t now_ns = pst_monotonic_ns();
    for (uint32_t i = 0; i < status->stalls_count; i++) {
        struct pst_stall_status stall = status->stalls[i];
        uint64_t stalled_ns = now_ns > stall.since_ns ? now_ns - stall.since_ns : 0;
        char when[PST_TIME_TEXT_BYTES];
        pst_make_printable(stall.name, strlen(stall.name)); /* JSON takes no half character */
        pst_json_append(&stalls, json_pack("{s:s, s:s, s:s, s:s, s:I}", "thread", stall.thread,
                                           "operation", stall.what, "name", stall.name, "since",
                                           pst_time_text(pst_unix_ns() - stalled_ns, 0, when),
                                           "elapsed_ns", (json_int_t)stalled_ns));
    }
    return stalls;
}

static json_t *left_frozen_json(const struct control *control, const struct pst_set *left)
{
    json_t *names = json_array();
    for (uint32_t i = 0; i < control->config->sources_count; i++) {
        if (pst_set_has(left, i))
            pst_json_append(&names, json_string(control->config->sources[i]->name));
    }
    return names;
}

json_t *control_status_json(const struct control *control, const struct pst_node_status *status)
{
    char id[9], started[PST_TIME_TEXT_BYTES];
    snprintf(id, sizeof(id), "%08x", control->config->cluster->id);
    pst_time_text(control->started_unix_ns, 9, started);
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:b, s:o, s:b}",
        "message_type", "status", "cluster", control->config->cluster->name, "cluster_id", id,
        "node", (json_int_t)control->config->node, "master", (json_int_t)control_master(control),
        "nodes", nodes_json(control, status), "ldms", ldms_json(status), "backups",
        jobs_json(control), "last_backup", control_last_backup_json(control, &status->last),
        "last_request", last_request_json(&control->last), "signals", fabric_json(status),
        "in_doubt", (json_int_t)status->in_doubt, "doubts", doubts_json(status), "more_in_doubt",
        (int)status->has_more, "stalls", control_stalls_json(status), "hung", (int)status->is_hung);
    pst_json_set(&object, "version", json_string(PST_VERSION));
    pst_json_set(&object, "started", json_string(started));
    pst_json_set(&object, "running", control_running_json(status, control->config->node));
    pst_json_set(&object, "warnings", json_integer((json_int_t)pst_log_warnings()));
    pst_json_set(&object, "last_success", last_success_json(&status->last_success));
    pst_json_set(&object, "last_failure", last_failure_json(&status->last_failure));
    pst_json_set(&object, "totals", totals_json(&status->totals));
    pst_json_set(&object, "left_frozen", left_frozen_json(control, &status->left_frozen));
    pst_json_set(&object, "pace", control_pace_json(&status->pace));
    return object;
}

void control_status(struct control *control, uint64_t client)
{
    struct pst_node_status status;
    pst_node_status(control->node, &status);
    control_send(control, client, control_status_json(control, &status), false);
}
