/*
 * Backups that clients of the control socket asked for: asks the master, follows its reports,
 * passes them on to the client. Called by control.c, on the server's thread.
 */
#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/json/json_build.h"
#include "engine/node/ref_text.h"
#include "engine/service/control_parts.h"

/* Fewer could be of many. */
#define UID_DIGITS_MIN 4u

static struct control_job *find_job(struct control *control, uint64_t backup)
{
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++) {
        if (control->jobs[i].backup == backup)
            return &control->jobs[i];
    }
    return NULL;
}

static void send_job(struct control *control, struct control_job *job, uint64_t client,
                     const json_t *request)
{
    bool alone = json_is_true(json_object_get(request, "single_threaded"));
    bool allow = json_is_true(json_object_get(request, "allow_missing"));
    bool verify = json_is_true(json_object_get(request, "verify"));
    job->request.master_node = control_master(control);
    job->request.flags = (alone ? PST_BACKUP_SINGLE_THREADED : 0u) |
                         (allow ? PST_BACKUP_ALLOW_MISSING : 0u) |
                         (verify ? PST_BACKUP_VERIFY : 0u);
    job->backup = pst_uid_low(job->request.uid);
    job->client = client;
    job->began_ns = pst_monotonic_ns();
    pst_client_request_backup(control->node, &job->request);
}

void control_begin(struct control *control, uint64_t client, const json_t *request)
{
    struct control_job *job = find_job(control, 0);
    json_int_t number = json_integer_value(json_object_get(request, "number"));
    if (number < 0 || number > PST_BACKUP_NUMBER_WANTED_MAX) {
        control_refuse(control, client, -PST_E_BAD_REQUEST,
                       "%lld cannot be asked for: backup numbers go from 1 to %u",
                       (long long)number, PST_BACKUP_NUMBER_WANTED_MAX);
        return;
    }
    if (!job || control->is_stopping) {
        int error = job ? -PST_E_NODE_STOPS : -PST_E_NO_RESOURCES;
        control_refuse(control, client, error, "%s",
                       job ? "the node is being stopped"
                           : "too many requested backups are still running");
        return;
    }
    memset(job, 0, sizeof(*job));
    job->request.number = (uint32_t)number;
    if (pst_client_identify(&job->request) < 0 || pst_uid_low(job->request.uid) == 0)
        control_refuse(control, client, -PST_E_NO_RESOURCES,
                       "the system returned no random numbers");
    else
        send_job(control, job, client, request);
}

/* The backup that this node takes part in, or that it was asked for; 0: none. */
static uint64_t running_backup(struct control *control)
{
    struct pst_node_status status;
    pst_node_status(control->node, &status);
    if (status.backup != 0)
        return status.backup;
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++) {
        if (control->jobs[i].backup != 0)
            return control->jobs[i].backup;
    }
    return 0;
}

void control_abort(struct control *control, uint64_t client, const json_t *request)
{
    const json_t *named = json_object_get(request, "backup");
    const char *wanted = json_string_value(named);
    uint64_t backup = running_backup(control);
    char uid[2 * sizeof(backup) + 1];
    if (named && !wanted) {
        control_refuse(control, client, -PST_E_BAD_REQUEST, "the request is malformed");
        return;
    }
    pst_hex_encode((const uint8_t *)&backup, sizeof(backup), uid);
    if (backup == 0 || (wanted && (strlen(wanted) < UID_DIGITS_MIN ||
                                   strncmp(uid, wanted, strlen(wanted)) != 0))) {
        bool is_short = backup != 0 && strlen(wanted) < UID_DIGITS_MIN;
        control_refuse(control, client, -PST_E_UNKNOWN_BACKUP, "no such backup is running%s",
                       is_short ? "; give at least 4 digits of a uid" : "");
        return;
    }
    pst_client_request_abort(control->node, control_master(control), backup);
    control_send(control, client, json_pack("{s:s, s:s}", "message_type", "aborting", "uid", uid),
                 false);
}

bool control_end_backup(struct control *control)
{
    uint64_t backup = running_backup(control);
    if (backup != 0 && backup != control->ending) {
        pst_log(PST_LOG_WARNING, "stopping: aborting the running backup");
        pst_client_request_end(control->node, control_master(control), backup, PST_E_NODE_STOPS);
    }
    control->ending = backup;
    return backup != 0;
}

/* ---- what the master reports ---- */

/* Before the last message of the backup. */
static void send_left_frozen(struct control *control, const struct control_job *job)
{
    for (uint32_t i = 0; i < PST_CLIENT_TEXTS; i++) {
        const struct pst_client_text *text = &control->texts.texts[i];
        if (text->backup == job->backup && text->is_whole && text->kind == PST_TEXT_LEFT_FROZEN)
            control_send(control, job->client,
                         json_pack("{s:s, s:I, s:s}", "message_type", "left_frozen", "node",
                                   (json_int_t)pst_ref_node(text->where), "source", text->text),
                         false);
    }
}

static void end_job(struct control *control, struct control_job *job, uint32_t error)
{
    struct control_last *last = &control->last;
    send_left_frozen(control, job);
    last->number = job->request.number;
    last->error = error;
    memcpy(last->uid, job->request.uid, sizeof(last->uid));
    last->missing = job->missing;
    last->ended_unix_ns = pst_unix_ns();
    last->elapsed_ns = pst_monotonic_ns() - job->began_ns;
    job->backup = 0;
}

static void fail_job(struct control *control, struct control_job *job, uint32_t error,
                     pst_ref where)
{
    char place[64] = "";
    if (where != 0)
        pst_ref_text(where, place, sizeof(place));
    const struct pst_alert alert = {.kind = PST_ALERT_BACKUP_FAILED, .error = (int)error};
    if (!job->is_confirmed) /* else every node that took part logs the end */
        pst_log_alert(PST_LOG_WARNING, &alert, "no backup was made: %s%s%s", place,
                      place[0] ? ": " : "", pst_error_text((int)error));
    const char *says = pst_client_text(&control->texts, job->backup, where);
    uint64_t client = job->client;
    end_job(control, job, error);
    if (error == PST_E_NODE_MISSING)
        control_refuse(control, client, (int)error,
                       "node %u is missing; start it, or give --allow-missing",
                       pst_ref_node(where));
    else if (error == PST_E_NUMBER)
        control_refuse(control, client, (int)error,
                       "no backup was made: %s: %s; give --number with a number that no node has "
                       "(penstock list), or prune the backups with the highest numbers",
                       place, pst_error_text((int)error));
    else if (error == PST_E_OPTION)
        control_refuse(control, client, (int)error,
                       "no backup was made: node %u is of an older version, which does not know an "
                       "option of this backup, such as --verify; update it, or leave that out",
                       pst_ref_node(where));
    else if (error == PST_E_NODE_STOPS)
        control_refuse(control, client, (int)error, "no backup was made: node %u is being stopped",
                       pst_ref_node(where));
    else
        control_refuse(control, client, (int)error, "no backup was made: %s%s%s%s%s", place,
                       place[0] ? ": " : "", pst_error_text((int)error), says[0] ? ": " : "", says);
}

/* It may have decided before it died; then the other nodes make the backup whole without it. */
static void lose_job(struct control *control, struct control_job *job)
{
    uint64_t client = job->client;
    uint32_t node = job->request.master_node;
    const struct pst_alert alert = {.kind = PST_ALERT_BACKUP_IN_DOUBT,
                                    .backup = job->request.number,
                                    .uid = job->request.uid,
                                    .node = node,
                                    .error = PST_E_NODE_FAILED};
    pst_log_alert(PST_LOG_WARNING, &alert,
                  "the master, node %u, has failed: the backup may or may not have been made",
                  node);
    end_job(control, job, PST_E_NODE_FAILED);
    control_refuse_unknown(
        control, client, PST_E_NODE_FAILED,
        "the master, node %u, has failed; penstock list shows whether the backup was "
        "made, once no node has it in doubt",
        node);
}

/* A master of an older version does not see to it that every node obeys. */
static void check_flags(struct control *control, struct control_job *job,
                        const struct pst_backup_conf *conf)
{
    job->verifies = conf->flags & PST_BACKUP_VERIFY;
    if (job->request.flags & PST_BACKUP_CONFIRMED & ~conf->flags)
        pst_client_request_end(control->node, job->request.master_node, job->backup, PST_E_OPTION);
}

static void on_confirmed(struct control *control, struct control_job *job,
                         const struct pst_backup_conf *conf)
{
    char uid[2 * sizeof(conf->uid) + 1];
    check_flags(control, job, conf);
    job->request.number = conf->number;
    job->is_confirmed = true;
    job->missing = pst_set_minus(&control->config->cluster->expected, &conf->nodes);
    pst_hex_encode(conf->uid, sizeof(conf->uid), uid);
    control_send(control, job->client,
                 json_pack("{s:s, s:I, s:s, s:b}", "message_type", "started", "number",
                           (json_int_t)conf->number, "uid", uid, "verify", (int)job->verifies),
                 false);
}

static void on_progress(struct control *control, struct control_job *job,
                        const struct pst_backup_progress *progress)
{
    job->progress = *progress;
    control_send(control, job->client,
                 json_pack("{s:s, s:I, s:I, s:I}", "message_type", "progress", "source_bytes",
                           (json_int_t)progress->sums.source_bytes, "source_bytes_total",
                           (json_int_t)(progress->expected_is_final ? progress->expected_bytes : 0),
                           "objects", (json_int_t)progress->sums.objects),
                 true);
}

/* Nothing of a full backup, or where this node does not know. */
static void add_referred(const struct control *control, uint64_t backup, json_t **message)
{
    struct pst_node_status status;
    pst_node_status(control->node, &status);
    const struct pst_referred *referred = &status.referred;
    if (referred->backup != backup || (referred->base == 0 && referred->bytes == 0))
        return;
    if (referred->base > 0)
        pst_json_set(message, "base", json_integer((json_int_t)referred->base));
    pst_json_merge(message, json_pack("{s:I, s:I}", "referenced_bytes", (json_int_t)referred->bytes,
                                      "nodes_not_counted", (json_int_t)referred->nodes_unknown));
}

static void on_complete(struct control *control, struct control_job *job,
                        const struct pst_backup_complete_rep *complete)
{
    char uid[2 * sizeof(job->request.uid) + 1], gci[24];
    uint64_t client = job->client, backup = job->backup;
    snprintf(gci, sizeof(gci), "%llu", (unsigned long long)complete->start_gci);
    pst_hex_encode(job->request.uid, sizeof(job->request.uid), uid);
    struct pst_set missing = job->missing;
    int verified = job->verifies;
    uint32_t warnings = job->progress.warnings;
    end_job(control, job, 0);
    control->last.sums = complete->sums;
    json_t *message =
        json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
                  "message_type", "completed", "number", (json_int_t)complete->number, "uid", uid,
                  "start_gci", gci, "source_bytes", (json_int_t)complete->sums.source_bytes,
                  "stored_bytes", (json_int_t)complete->sums.stored_bytes, "objects",
                  (json_int_t)complete->sums.objects, "chunks", (json_int_t)complete->sums.chunks,
                  "unreadable", (json_int_t)complete->sums.unreadable, "elapsed_ns",
                  (json_int_t)control->last.elapsed_ns, "nodes_without_manifest",
                  (json_int_t)complete->warnings, "logged_warnings", (json_int_t)warnings,
                  "left_frozen", (json_int_t)complete->left_frozen, "verified", verified);
    control_add_missing(&message, &missing);
    add_referred(control, backup, &message);
    control_send(control, client, message, false);
}

void control_on_node_change(struct control *control, const struct pst_signal *signal)
{
    const struct pst_node_change *change = &signal->payload.node_change;
    PST_CHECK_THREAD(&control->owner);
    control->changes[change->node] = *change;
    if (signal->gsn == PST_NODE_JOINED_ORD) {
        pst_set_add(&control->live, change->node - 1);
        return;
    }
    pst_set_remove(&control->live, change->node - 1);
    for (uint32_t i = 0; i < CONTROL_JOBS_MAX; i++) {
        struct control_job *job = &control->jobs[i];
        if (job->backup != 0 && job->request.master_node == change->node)
            lose_job(control, job);
    }
    pst_client_heard_failure(control->node, signal);
}

/* The log of the source's own node has it already. */
static void on_text(struct control *control, const struct pst_signal *signal)
{
    char place[64];
    const char *text = pst_client_take_text(&control->texts, signal);
    pst_ref where = signal->payload.source_text.where;
    bool is_left_frozen = signal->payload.source_text.kind == PST_TEXT_LEFT_FROZEN;
    if (!text)
        return;
    if (is_left_frozen)
        control_tell_left_frozen(control, pst_ref_node(where), text);
    if (pst_ref_node(where) != control->config->node)
        pst_log(PST_LOG_WARNING, "%s: %s%s", pst_ref_text(where, place, sizeof(place)), text,
                is_left_frozen ? ": what its freeze did could not be undone, and may still be in "
                                 "place: that node's log says why"
                               : "");
}

void control_on_job_signal(struct control *control, const struct pst_signal *signal)
{
    PST_CHECK_THREAD(&control->owner);
    if (signal->gsn == PST_SOURCE_TEXT_REP) {
        on_text(control, signal);
        return;
    }
    struct control_job *job = signal->backup != 0 ? find_job(control, signal->backup) : NULL;
    if (!job)
        return; /* given up when its master's node died */
    switch (signal->gsn) {
    case PST_BACKUP_CONF:
        on_confirmed(control, job, &signal->payload.backup_conf);
        break;
    case PST_BACKUP_STATUS_REP:
        on_progress(control, job, &signal->payload.progress);
        break;
    case PST_BACKUP_COMPLETE_REP:
        on_complete(control, job, &signal->payload.complete);
        break;
    case PST_BACKUP_REF:
    case PST_BACKUP_ABORT_REP:
        fail_job(control, job, signal->payload.ref.error, signal->payload.ref.where);
        break;
    default:
        break;
    }
}
