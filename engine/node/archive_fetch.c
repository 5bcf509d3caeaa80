/*
 * Fetches cluster manifests from the archives of other nodes, and serves those of this one. The
 * archive thread calls this between two requests; nothing here waits.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/node/archive_work.h"
#include "engine/repository/repository.h"

static void ask(struct archive_thread *thread, struct pst_blob_fetch *fetch)
{
    fetch->question.sequence = ++thread->fetch_sequence;
    fetch->deadline_ns = pst_monotonic_ns() + thread->worker->node->config.timeouts.ldm_ns;
    pst_channel_to_hub(&thread->worker->channel, &fetch->question);
}

int archive_fetch(struct archive_thread *thread, const struct pst_signal *request, uint32_t node,
                  uint32_t number, uint64_t file_bytes, const uint8_t digest[16])
{
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &thread->fetches[i];
        if (fetch->request.gsn != 0)
            continue;
        int error = blob_fetch_begin(fetch, request, node, number, file_bytes, digest);
        if (!error)
            ask(thread, fetch);
        return error;
    }
    return -PST_E_NO_RESOURCES;
}

static void end(struct archive_thread *thread, struct pst_blob_fetch *fetch, int error)
{
    const struct pst_blob *wanted = &fetch->question.payload.blob;
    if (error)
        pst_log(PST_LOG_ERROR, "%s: could not be fetched from node %u: %s",
                pst_repository_cluster_name(wanted->number).text,
                pst_ref_node(fetch->question.receiver_ref), pst_error_text(error));
    thread->on_fetched(thread, &fetch->request, error, wanted->number, fetch->bytes,
                       wanted->file_bytes);
    blob_fetch_end(fetch);
}

/* The manifest as it is on this node's disk, into thread->served. */
static int load(struct archive_thread *thread, const struct pst_blob *wanted)
{
    struct archive_served *served = &thread->served;
    if (served->number == wanted->number &&
        memcmp(served->digest, wanted->digest, sizeof(served->digest)) == 0)
        return 0;
    free(served->bytes);
    memset(served, 0, sizeof(*served));
    int error =
        pst_archive_load_cluster(thread->archive, wanted->number, &served->bytes, &served->size);
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
    archive_send(context, signal);
}

static void serve(struct archive_thread *thread, const struct pst_signal *request)
{
    int error = load(thread, &request->payload.blob);
    if (!error)
        error = pst_blob_serve(request, request->receiver_ref, thread->served.bytes,
                               thread->served.size, send_piece, thread);
    if (!error)
        return;
    struct pst_signal ref = {0};
    archive_answer(thread, request, error, &ref);
}

void archive_fetch_take(struct archive_thread *thread, const struct pst_signal *signal)
{
    if (signal->gsn == PST_BLOB_REQ) {
        serve(thread, signal);
        return;
    }
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &thread->fetches[i];
        if (!blob_fetch_expects(fetch, signal))
            continue;
        int rc = blob_fetch_take(fetch, signal);
        if (rc == 1)
            ask(thread, fetch);
        else if (rc != 0)
            end(thread, fetch, rc < 0 ? rc : 0);
        return;
    }
}

void archive_fetch_lose(struct archive_thread *thread, uint32_t node)
{
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &thread->fetches[i];
        if (fetch->request.gsn != 0 && pst_ref_node(fetch->question.receiver_ref) == node)
            end(thread, fetch, -PST_E_NODE_FAILED);
    }
}

uint64_t archive_fetch_deadline_ns(const struct archive_thread *thread)
{
    uint64_t deadline_ns = PST_DEADLINE_NONE;
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        const struct pst_blob_fetch *fetch = &thread->fetches[i];
        if (fetch->request.gsn != 0 && fetch->deadline_ns < deadline_ns)
            deadline_ns = fetch->deadline_ns;
    }
    return deadline_ns;
}

void archive_fetch_time(struct archive_thread *thread)
{
    uint64_t now_ns = pst_monotonic_ns();
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++) {
        struct pst_blob_fetch *fetch = &thread->fetches[i];
        if (fetch->request.gsn != 0 && now_ns >= fetch->deadline_ns)
            end(thread, fetch, -PST_E_TIMEOUT);
    }
}

void archive_fetch_close(struct archive_thread *thread)
{
    for (uint32_t i = 0; i < ARCHIVE_FETCHES_MAX; i++)
        blob_fetch_end(&thread->fetches[i]);
    free(thread->served.bytes);
}
