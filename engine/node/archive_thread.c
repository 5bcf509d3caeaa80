/*
 * The archive thread: does for the hub everything on the backup directory that is neither a part
 * nor urgent, and so may block. Started and stopped by node.c; engine/repository does the work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/node/archive_work.h"
#include "io/durable.h"

/* There may be any number of them. */
static void tell_doubt(void *context, const struct pst_doubt_rep *doubt)
{
    struct archive_thread *thread = context;
    uint32_t node = thread->worker->node->config.node;
    struct pst_signal report;
    pst_signal_init(&report, PST_ARCHIVE_DOUBT_REP, pst_ref_make(node, PST_BLOCK_ARCHIVE, 0),
                    pst_ref_make(node, PST_BLOCK_OUTCOME, 0), pst_uid_low(doubt->uid), 0);
    report.payload.doubt = *doubt;
    archive_send(thread, &report);
}

static void note_gci(void *context, uint64_t gci)
{
    struct archive_thread *thread = context;
    node_note_gci(thread->worker->node, gci);
}

/* What is in doubt lies in the directory that is open, and is settled there. */
static int renew_lease(struct archive_thread *thread)
{
    struct pst_node *node = thread->worker->node;
    if (thread->archive->backup != 0)
        return 0;
    pthread_mutex_lock(&node->status_lock);
    bool has_doubts = node->status.in_doubt > 0;
    pthread_mutex_unlock(&node->status_lock);
    return pst_repository_lease_renew(&node->lease, has_doubts);
}

static int define(struct archive_thread *thread, const struct pst_signal *request,
                  struct pst_signal *conf)
{
    int error = renew_lease(thread);
    if (error)
        return error;
    return pst_archive_define(thread->archive, &request->payload.define, &conf->payload.ref.number);
}

static int look_for_number(struct archive_thread *thread, const struct pst_signal *request,
                           struct pst_signal *conf)
{
    int error = renew_lease(thread);
    if (!error)
        error = pst_archive_sweep(thread->archive);
    if (error)
        return error;
    return pst_archive_number(thread->archive, request->payload.archive_number.number,
                              &conf->payload.archive_number.number);
}

/* Serves a request of the backup in work. */
static int serve_current(struct archive_thread *thread, const struct pst_signal *request,
                         struct pst_signal *conf)
{
    struct pst_archive *archive = thread->archive;
    if (archive->backup != request->backup)
        return request->gsn == PST_ARCHIVE_CLEANUP_REQ ? 0 : -PST_E_UNKNOWN_BACKUP;
    switch (request->gsn) {
    case PST_ARCHIVE_MANIFEST_REQ:
        return pst_archive_write_node(archive, &request->payload.gci, &conf->payload.commit);
    case PST_ARCHIVE_DECIDE_REQ:
        return pst_archive_write_cluster(archive, &request->payload.gci, &conf->payload.commit);
    case PST_ARCHIVE_COMMIT_REQ:
        return pst_archive_commit(archive);
    default:
        return pst_archive_clean_up(archive);
    }
}

/* The decision, on every node: where its copy is not here yet, it is fetched from the master's. */
static void commit(struct archive_thread *thread, const struct pst_signal *request)
{
    struct pst_archive *archive = thread->archive;
    const struct pst_commit *decided = &request->payload.commit;
    uint32_t master_node = pst_ref_node(decided->master_ref);
    struct pst_signal conf = {0};
    int error = 0;
    if (archive->backup != request->backup || master_node == archive->config->node ||
        pst_archive_is_committed(archive)) {
        archive_answer(thread, request, serve_current(thread, request, &conf), &conf);
        return;
    }
    error = archive_fetch(thread, request, master_node, archive->node.common.number,
                          decided->file_bytes, decided->digest);
    if (!error)
        return;
    pst_archive_leave(archive);
    archive_answer(thread, request, error, &conf);
}

static void on_fetched(struct archive_thread *thread, const struct pst_signal *request, int error,
                       uint32_t number, const char *bytes, size_t size)
{
    struct pst_archive *archive = thread->archive;
    struct pst_signal conf = {0};
    if (request->gsn == PST_ARCHIVE_SETTLE_REQ) {
        if (!error)
            error = pst_archive_settle_committed(archive, &request->payload.outcome, bytes, size);
        archive_answer(thread, request, error, &conf);
        return;
    }
    if (!error)
        error = pst_archive_store_cluster(archive, number, bytes, size);
    if (error && archive->backup == request->backup)
        pst_archive_leave(archive);
    if (!error)
        error = serve_current(thread, request, &conf);
    archive_answer(thread, request, error, &conf);
}

/* Somebody decides, and may have brought the cluster manifest. */
static int commit_by_hand(struct archive_thread *thread, const struct pst_outcome *settled)
{
    const char *path = thread->worker->node->hand.manifest;
    char *bytes = NULL;
    size_t size = 0;
    if (path[0] == '\0')
        return pst_archive_settle_committed(thread->archive, settled, NULL, 0);
    int error = pst_small_file_read(AT_FDCWD, path, PST_MANIFEST_BYTES_MAX, &bytes, &size);
    if (!error) {
        error = pst_archive_settle_committed(thread->archive, settled, bytes, size);
        free(bytes);
    }
    if (error)
        pst_log(PST_LOG_ERROR, "%s: it does not complete backup %u: %s", path, settled->number,
                pst_error_text(error));
    return error;
}

/* Makes the decision of the outcome machine so; a cluster manifest is fetched first. */
static void settle(struct archive_thread *thread, const struct pst_signal *request)
{
    const struct pst_outcome *settled = &request->payload.outcome;
    struct pst_signal conf = {0};
    int error = 0;
    if (settled->state != PST_OUTCOME_COMMITTED)
        error = pst_archive_settle_aborted(thread->archive, settled);
    else if (settled->node == 0)
        error = commit_by_hand(thread, settled);
    else if ((error = archive_fetch(thread, request, settled->node, settled->number,
                                    settled->file_bytes, settled->digest)) == 0)
        return;
    archive_answer(thread, request, error, &conf);
}

static int tell_outcome(struct archive_thread *thread, const struct pst_signal *request,
                        struct pst_signal *conf)
{
    struct pst_outcome outcome = request->payload.outcome;
    int error = pst_archive_outcome(thread->archive, &outcome);
    if (!error)
        conf->payload.outcome = outcome;
    return error;
}

static void serve(struct archive_thread *thread, const struct pst_signal *signal)
{
    struct pst_signal conf = {0};
    switch (signal->gsn) {
    case PST_ARCHIVE_PART_ORD:
        if (thread->archive->backup == signal->backup)
            pst_archive_add_part(thread->archive, &signal->payload.archive_item);
        break;
    case PST_ARCHIVE_NODE_ORD:
        if (thread->archive->backup == signal->backup)
            pst_archive_add_node(thread->archive, &signal->payload.archive_item);
        break;
    case PST_ARCHIVE_LEAVE_ORD:
        if (thread->archive->backup == signal->backup)
            pst_archive_leave(thread->archive);
        break;
    case PST_ARCHIVE_NUMBER_REQ:
        archive_answer(thread, signal, look_for_number(thread, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_DEFINE_REQ:
        archive_answer(thread, signal, define(thread, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_MANIFEST_REQ:
    case PST_ARCHIVE_DECIDE_REQ:
    case PST_ARCHIVE_CLEANUP_REQ:
        archive_answer(thread, signal, serve_current(thread, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_COMMIT_REQ:
        commit(thread, signal);
        break;
    case PST_ARCHIVE_SWEEP_REQ:
        archive_answer(thread, signal, pst_archive_sweep(thread->archive), &conf);
        break;
    case PST_ARCHIVE_OUTCOME_REQ:
        archive_answer(thread, signal, tell_outcome(thread, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_SETTLE_REQ:
        settle(thread, signal);
        break;
    case PST_BLOB_REQ:
    case PST_BLOB_CONF:
    case PST_BLOB_REF:
    case PST_BLOB_DATA_REP:
        archive_fetch_take(thread, signal);
        break;
    case PST_NODE_FAILED_ORD:
        archive_fetch_lose(thread, signal->payload.node_change.node);
        channel_heard_failure(&thread->worker->channel, signal);
        break;
    default:
        pst_log(PST_LOG_WARNING, "%s is not for the archive", pst_gsn_name(signal->gsn));
    }
}

static struct pst_archive_config config_of(const struct pst_node_config *node)
{
    return (struct pst_archive_config){
        .node = node->node,
        .cluster_id = pst_node_cluster_id(node),
        .ldms = node->plan->ldms,
        .chunk_bytes = node->chunk_bytes,
        .sources = node->sources,
        .specs = node->specs,
        .sources_count = node->sources_count,
    };
}

void *archive_run(void *argument)
{
    struct pst_worker *worker = argument;
    struct archive_thread thread = {
        .worker = worker, .on_fetched = on_fetched, .archive = calloc(1, sizeof(*thread.archive))};
    const struct pst_archive_config config = config_of(&worker->node->config);
    struct pst_idle idle = {0};
    int error = thread.archive ? worker_open(worker) : -ENOMEM;
    if (error) {
        free(thread.archive);
        worker_report_start(worker, error);
        return NULL;
    }
    thread.archive->config = &config;
    thread.archive->repository = &worker->node->lease.repository;
    thread.archive->unreadable = &worker->node->unreadable;
    thread.archive->on_doubt = worker->node->config.cluster ? tell_doubt : NULL;
    thread.archive->on_gci = note_gci;
    thread.archive->context = &thread;
    pst_thread_bind(&thread.archive->owner);
    worker_report_start(worker, 0);
    while (!atomic_load_explicit(&worker->must_stop, memory_order_acquire)) {
        struct pst_signal signals[PST_CHANNEL_BURST];
        uint32_t count = pst_channel_from_hub(&worker->channel, signals);
        for (uint32_t i = 0; i < count; i++)
            serve(&thread, &signals[i]);
        archive_fetch_time(&thread);
        if (count > 0)
            pst_idle_reset(&idle);
        else
            worker_wait(worker, &idle, archive_fetch_deadline_ns(&thread));
    }
    archive_fetch_close(&thread);
    free(thread.archive);
    return NULL;
}
