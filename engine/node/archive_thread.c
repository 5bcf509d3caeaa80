/*
 * The archive thread: does for the hub everything on the backup directory that is neither a part
 * nor urgent, and so may block. Started and stopped by node.c; archive_server.c serves.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "engine/base/clock.h"
#include "engine/base/thread.h"
#include "engine/node/archive_work.h"
#include "engine/node/threads.h"

static void note_gci(void *context, uint64_t gci)
{
    const struct archive_server *server = context;
    struct pst_worker *worker = server->context;
    node_note_gci(worker->node, gci);
}

static void note_referred(void *context, const struct pst_referred *referred)
{
    const struct archive_server *server = context;
    struct pst_node *node = ((struct pst_worker *)server->context)->node;
    pthread_mutex_lock(&node->status_lock);
    node->status.referred = *referred;
    pthread_mutex_unlock(&node->status_lock);
}

/* What is in doubt lies in the directory that is open, and is settled there. */
static int renew_lease(void *context)
{
    struct pst_node *node = ((struct pst_worker *)context)->node;
    pthread_mutex_lock(&node->status_lock);
    bool has_doubts = node->status.in_doubt > 0;
    pthread_mutex_unlock(&node->status_lock);
    return pst_repository_lease_renew(&node->lease, has_doubts);
}

static int lease_stays(void *context)
{
    struct pst_node *node = ((struct pst_worker *)context)->node;
    return pst_repository_lease_stays(&node->lease);
}

static void send(void *context, const struct pst_signal *signal, bool is_one_of_many)
{
    struct pst_worker *worker = context;
    /* The hub always drains its ring, whoever is slow beyond it. */
    while (is_one_of_many && pst_spsc_room(worker->channel.to_hub) <= PST_RING_RESERVE) {
        if (atomic_load_explicit(&worker->must_stop, memory_order_acquire))
            return; /* the hub has stopped */
        sched_yield();
    }
    pst_channel_to_hub(&worker->channel, signal);
}

static struct pst_archive_config config_of(const struct pst_node_config *node)
{
    return (struct pst_archive_config){
        .node = node->node,
        .cluster_id = pst_node_cluster_id(node),
        .members = node->cluster ? node->cluster->expected : (struct pst_set){{0}},
        .ldms = node->plan->ldms,
        .chunk_bytes = node->chunk_bytes,
        .sources = node->sources,
        .specs = node->specs,
        .paths = node->paths,
        .choices = node->choices,
        .writer = "penstock " PST_VERSION,
        .label = node->label,
        .discards_parts = node->discards_parts,
        .base = &node->base,
        .keyring = node->recipients,
        .sources_count = node->sources_count,
    };
}

/* No signal has room for it, but the LDM has noted it before it answered, in this process. */
static void add_codecs(struct pst_worker *worker, struct pst_archive *archive,
                       const struct pst_signal *signal)
{
    uint32_t part = signal->payload.archive_item.item;
    if (archive->backup != signal->backup || part < 1 || part > archive->parts)
        return;
    const uint64_t *chunks = worker->node->ldms[part - 1].report.codec_chunks;
    pst_archive_add_codecs(archive, part, chunks[PST_CODEC_LZ4], chunks[PST_CODEC_ZSTD]);
}

static void serve(struct pst_worker *worker, struct archive_server *server,
                  const struct pst_signal *signal)
{
    archive_server_take(server, signal, pst_monotonic_ns());
    if (signal->gsn == PST_ARCHIVE_PART_ORD)
        add_codecs(worker, server->archive, signal);
    if (signal->gsn == PST_NODE_FAILED_ORD)
        channel_heard_failure(&worker->channel, signal);
}

static void run(struct pst_worker *worker, struct archive_server *server)
{
    struct pst_idle idle = {0};
    while (!atomic_load_explicit(&worker->must_stop, memory_order_acquire)) {
        struct pst_signal signals[PST_CHANNEL_BURST];
        uint32_t count = pst_channel_from_hub(&worker->channel, signals);
        pst_activity_order(&worker->activity, "work on", worker->node->config.directory, 0);
        for (uint32_t i = 0; i < count; i++)
            serve(worker, server, &signals[i]);
        pst_activity_order(&worker->activity, NULL, NULL, 0);
        archive_server_time(server, pst_monotonic_ns());
        idle.is_patient = server->archive->backup != 0;
        if (count > 0)
            pst_idle_reset(&idle);
        else
            worker_wait(worker, &idle, archive_server_deadline_ns(server));
    }
}

void *archive_run(void *argument)
{
    struct pst_worker *worker = argument;
    pst_thread_name("pst archive");
    struct pst_node *node = worker->node;
    struct pst_archive *archive = calloc(1, sizeof(*archive));
    struct archive_server server = {
        .answer_ns = node->config.timeouts.ldm_ns,
        .hand_manifest = node->hand.manifest,
        .renew = renew_lease,
        .stays = lease_stays,
        .send = send,
        .context = worker,
    };
    const struct pst_archive_config config = config_of(&node->config);
    int error = archive ? worker_open(worker) : -ENOMEM;
    if (error) {
        free(archive);
        worker_report_start(worker, error);
        return NULL;
    }
    archive->config = &config;
    archive->pace = &node->pace;
    archive->sealing = node->sealing;
    archive->repository = &node->lease.repository;
    archive->unreadable = &node->unreadable;
    archive->on_gci = note_gci;
    archive->on_referred = note_referred;
    archive->base = &node->base;
    archive_server_open(&server, archive, !node->config.cluster);
    pst_thread_bind(&archive->owner);
    worker_report_start(worker, 0);
    run(worker, &server);
    archive_server_close(&server);
    pst_base_let_go(node->base);
    free(archive);
    return NULL;
}
