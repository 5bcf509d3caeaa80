/*
 * Fetches cluster manifests from the archives of other nodes, and serves those of this one. The
 * archive thread calls this between two requests; nothing here waits.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/node/archive_work.h"
#include "engine/protocol/step.h"
#include "engine/repository/repository.h"

static void ask(struct archive_server *server, struct pst_blob_fetch *fetch)
{
    fetch->question.sequence = ++server->fetch_sequence;
    fetch->deadline_ns = server->now_ns + server->answer_ns;
    server->send(server->context, &fetch->question, false);
}

int archive_fetch(struct archive_server *server, const struct pst_signal *request, uint32_t node,
                  uint32_t number, uint64_t file_bytes, const uint8_t digest[16])
{
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &server->fetches[i];
        if (fetch->request.gsn != 0)
            continue;
        int error = blob_fetch_begin(fetch, request, node, number, file_bytes, digest);
        if (!error)
            ask(server, fetch);
        return error;
    }
    return -PST_E_NO_RESOURCES;
}

static void end(struct archive_server *server, struct pst_blob_fetch *fetch, int error)
{
    const struct pst_blob *wanted = &fetch->question.payload.blob;
    if (error)
        pst_log(PST_LOG_ERROR, "%s: could not be fetched from node %u: %s",
                pst_repository_cluster_name(wanted->number).text,
                pst_ref_node(fetch->question.receiver_ref), pst_error_text(error));
    server->on_fetched(server, &fetch->request, error, wanted->number, fetch->bytes,
                       wanted->file_bytes);
    blob_fetch_end(fetch);
}

/* The manifest as it is on this node's disk, into server->served. */
static int load(struct archive_server *server, const struct pst_blob *wanted)
{
    struct archive_served *served = &server->served;
    if (served->number == wanted->number &&
        memcmp(served->digest, wanted->digest, sizeof(served->digest)) == 0)
        return 0;
    free(served->bytes);
    memset(served, 0, sizeof(*served));
    int error =
        pst_archive_load_cluster(server->archive, wanted->number, &served->bytes, &served->size);
    if (error) {
        served->bytes = NULL;
        return error;
    }
    served->number = wanted->number; /* the node that fetches it checks the digest */
    memcpy(served->digest, wanted->digest, sizeof(served->digest));
    return 0;
}

static void send_piece(void *context, const struct pst_signal *signal)
{
    const struct archive_server *server = context;
    server->send(server->context, signal, true);
}

static void serve(struct archive_server *server, const struct pst_signal *request)
{
    int error = load(server, &request->payload.blob);
    if (!error)
        error = pst_blob_serve(request, request->receiver_ref, server->served.bytes,
                               server->served.size, send_piece, server);
    if (!error)
        return;
    struct pst_signal ref = {0};
    archive_answer(server, request, error, &ref);
}

void archive_fetch_take(struct archive_server *server, const struct pst_signal *signal)
{
    if (signal->gsn == PST_BLOB_REQ) {
        serve(server, signal);
        return;
    }
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &server->fetches[i];
        if (!blob_fetch_expects(fetch, signal))
            continue;
        int rc = blob_fetch_take(fetch, signal);
        if (rc == 1)
            ask(server, fetch);
        else if (rc != 0)
            end(server, fetch, rc < 0 ? rc : 0);
        return;
    }
}

void archive_fetch_lose(struct archive_server *server, uint32_t node)
{
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &server->fetches[i];
        if (fetch->request.gsn != 0 && pst_ref_node(fetch->question.receiver_ref) == node)
            end(server, fetch, -PST_E_NODE_FAILED);
    }
}

uint64_t archive_server_deadline_ns(const struct archive_server *server)
{
    uint64_t deadline_ns = PST_DEADLINE_NONE;
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        const struct pst_blob_fetch *fetch = &server->fetches[i];
        if (fetch->request.gsn != 0 && fetch->deadline_ns < deadline_ns)
            deadline_ns = fetch->deadline_ns;
    }
    return deadline_ns;
}

void archive_server_time(struct archive_server *server, uint64_t now_ns)
{
    server->now_ns = now_ns;
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &server->fetches[i];
        if (fetch->request.gsn != 0 && now_ns >= fetch->deadline_ns)
            end(server, fetch, -PST_E_TIMEOUT);
    }
}

void archive_fetch_close(struct archive_server *server)
{
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++)
        blob_fetch_end(&server->fetches[i]);
    free(server->served.bytes);
}
