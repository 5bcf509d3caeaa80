/*
 * Serves the signals that come to a node's archive, one after the other, with engine/repository.
 * Whoever runs the archive calls it: archive_thread.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/node/archive_work.h"
#include "engine/protocol/step.h"
#include "io/durable.h"

/* There may be any number of them. */
static void tell_doubt(void *context, const struct pst_doubt_rep *doubt)
{
    struct archive_server *server = context;
    uint32_t node = server->archive->config->node;
    struct pst_signal report;
    pst_signal_init(&report, PST_ARCHIVE_DOUBT_REP, pst_ref_make(node, PST_BLOCK_ARCHIVE, 0),
                    pst_ref_make(node, PST_BLOCK_OUTCOME, 0), pst_uid_low(doubt->uid), 0);
    report.payload.doubt = *doubt;
    server->send(server->context, &report, true);
}

/* Not while another backup is in work. */
static int renew(struct archive_server *server)
{
    return server->renew && server->archive->backup == 0 ? server->renew(server->context) : 0;
}

static int define(struct archive_server *server, const struct pst_signal *request,
                  struct pst_signal *conf)
{
    int error = renew(server);
    if (error)
        return error;
    return pst_archive_define(server->archive, &request->payload.define, &conf->payload.ref.number);
}

static int look_for_number(struct archive_server *server, const struct pst_signal *request,
                           struct pst_signal *conf)
{
    int error = renew(server);
    if (!error)
        error = pst_archive_sweep(server->archive);
    if (error)
        return error;
    return pst_archive_number(server->archive, request->payload.archive_number.number,
                              &conf->payload.archive_number.number);
}

/* Whether the path still leads to the directory that is open, before what is in it is listed or
 * decided. */
static int check_stays(const struct archive_server *server, uint16_t gsn)
{
    bool is_asked = gsn == PST_ARCHIVE_MANIFEST_REQ || gsn == PST_ARCHIVE_DECIDE_REQ;
    return is_asked && server->stays ? server->stays(server->context) : 0;
}

/* Serves a request of the backup in work. */
static int serve_current(struct archive_server *server, const struct pst_signal *request,
                         struct pst_signal *conf)
{
    struct pst_archive *archive = server->archive;
    if (archive->backup != request->backup)
        return request->gsn == PST_ARCHIVE_CLEANUP_REQ ? 0 : -PST_E_UNKNOWN_BACKUP;
    int error = check_stays(server, request->gsn);
    if (error)
        return error;
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
static void commit(struct archive_server *server, const struct pst_signal *request)
{
    struct pst_archive *archive = server->archive;
    const struct pst_commit *decided = &request->payload.commit;
    uint32_t master_node = pst_ref_node(decided->master_ref);
    struct pst_signal conf = {0};
    int error = 0;
    if (archive->backup != request->backup || master_node == archive->config->node ||
        pst_archive_is_committed(archive)) {
        archive_answer(server, request, serve_current(server, request, &conf), &conf);
        return;
    }
    error = archive_fetch(server, request, master_node, archive->node.common.number,
                          decided->file_bytes, decided->digest);
    if (!error)
        return;
    pst_archive_leave(archive);
    archive_answer(server, request, error, &conf);
}

static void on_fetched(struct archive_server *server, const struct pst_signal *request, int error,
                       uint32_t number, const char *bytes, size_t size)
{
    struct pst_archive *archive = server->archive;
    struct pst_signal conf = {0};
    if (request->gsn == PST_ARCHIVE_SETTLE_REQ) {
        if (!error)
            error = pst_archive_settle_committed(archive, &request->payload.outcome, bytes, size);
        archive_answer(server, request, error, &conf);
        return;
    }
    if (!error)
        error = pst_archive_store_cluster(archive, number, bytes, size);
    if (error && archive->backup == request->backup)
        pst_archive_leave(archive);
    if (!error)
        error = serve_current(server, request, &conf);
    archive_answer(server, request, error, &conf);
}

/* Somebody decides, and may have brought the cluster manifest. */
static int commit_by_hand(struct archive_server *server, const struct pst_outcome *settled)
{
    const char *path = server->hand_manifest;
    char *bytes = NULL;
    size_t size = 0;
    if (!path || path[0] == '\0')
        return pst_archive_settle_committed(server->archive, settled, NULL, 0);
    int error = pst_small_file_read(AT_FDCWD, path, PST_MANIFEST_BYTES_MAX, &bytes, &size);
    if (!error) {
        error = pst_archive_settle_committed(server->archive, settled, bytes, size);
        free(bytes);
    }
    if (error)
        pst_log(PST_LOG_ERROR, "%s: it does not complete backup %u: %s", path, settled->number,
                pst_error_text(error));
    return error;
}

/* Makes the decision of the outcome machine so; a cluster manifest is fetched first. */
static void settle(struct archive_server *server, const struct pst_signal *request)
{
    const struct pst_outcome *settled = &request->payload.outcome;
    struct pst_signal conf = {0};
    int error = 0;
    if (settled->state != PST_OUTCOME_COMMITTED)
        error = pst_archive_settle_aborted(server->archive, settled);
    else if (settled->node == 0)
        error = commit_by_hand(server, settled);
    else if ((error = archive_fetch(server, request, settled->node, settled->number,
                                    settled->file_bytes, settled->digest)) == 0)
        return;
    archive_answer(server, request, error, &conf);
}

static int tell_outcome(struct archive_server *server, const struct pst_signal *request,
                        struct pst_signal *conf)
{
    struct pst_outcome outcome = request->payload.outcome;
    int error = pst_archive_outcome(server->archive, &outcome);
    if (!error)
        conf->payload.outcome = outcome;
    return error;
}

void archive_server_take(struct archive_server *server, const struct pst_signal *signal,
                         uint64_t now_ns)
{
    struct pst_signal conf = {0};
    server->now_ns = now_ns;
    switch (signal->gsn) {
    case PST_ARCHIVE_PART_ORD:
        if (server->archive->backup == signal->backup)
            pst_archive_add_part(server->archive, &signal->payload.archive_item);
        break;
    case PST_ARCHIVE_NODE_ORD:
        if (server->archive->backup == signal->backup)
            pst_archive_add_node(server->archive, &signal->payload.archive_item);
        break;
    case PST_ARCHIVE_LEAVE_ORD:
        if (server->archive->backup == signal->backup)
            pst_archive_leave(server->archive);
        break;
    case PST_ARCHIVE_NUMBER_REQ:
        archive_answer(server, signal, look_for_number(server, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_DEFINE_REQ:
        archive_answer(server, signal, define(server, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_MANIFEST_REQ:
    case PST_ARCHIVE_DECIDE_REQ:
    case PST_ARCHIVE_CLEANUP_REQ:
        archive_answer(server, signal, serve_current(server, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_COMMIT_REQ:
        commit(server, signal);
        break;
    case PST_ARCHIVE_SWEEP_REQ:
        archive_answer(server, signal, pst_archive_sweep(server->archive), &conf);
        break;
    case PST_ARCHIVE_OUTCOME_REQ:
        archive_answer(server, signal, tell_outcome(server, signal, &conf), &conf);
        break;
    case PST_ARCHIVE_SETTLE_REQ:
        settle(server, signal);
        break;
    case PST_BLOB_REQ:
    case PST_BLOB_CONF:
    case PST_BLOB_REF:
    case PST_BLOB_DATA_REP:
        archive_fetch_take(server, signal);
        break;
    case PST_NODE_FAILED_ORD:
        archive_fetch_lose(server, signal->payload.node_change.node);
        break;
    default:
        pst_log(PST_LOG_WARNING, "%s is not for the archive", pst_gsn_name(signal->gsn));
    }
}

void archive_server_open(struct archive_server *server, struct pst_archive *archive, bool is_alone)
{
    server->archive = archive;
    server->on_fetched = on_fetched;
    archive->on_doubt = is_alone ? NULL : tell_doubt;
    archive->context = server;
}

void archive_server_close(struct archive_server *server)
{
    archive_fetch_close(server);
}
