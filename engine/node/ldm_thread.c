/*
 * The thread of one LDM: drains signals, reaps I/O, runs one slice of the pipeline, submits, and
 * sleeps in io_uring when there is nothing to do. LDM 1 also runs the master. Started and stopped
 * by node.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/priority.h"
#include "engine/base/thread.h"
#include "engine/key/sealing.h"
#include "engine/node/history.h"
#include "engine/node/ldm_pace.h"
#include "engine/node/threads.h"
#include "engine/pipeline/pipeline.h"
#include "engine/protocol/ldm.h"
#include "io/ring.h"

#define RING_ENTRIES 64u
#define RING_FILES 16u

/* An operation that takes longer is shown to others. */
#define SHOW_NS UINT64_C(1000000000)

struct ldm {
    struct pst_ldm_thread *thread;
    struct pst_node *node;
    struct pst_ldm_block block;
    struct pst_proxy *proxy;
    struct pst_master *master;
    struct history history; /* of the proxy */
    bool shows_nodes;       /* the progress of other nodes is in the status */
    unsigned refusals;      /* of the kernel's to the ring, that are in the log */
    struct pst_ring *ring;
    struct pst_arena arena;
    struct pst_compression *compression; /* NULL: none */
    struct pst_sealed sealed;            /* if the node seals */
    struct pst_chunk_encoder encoder;    /* with one of these */
    struct pst_pace_share pace;
    uint64_t pace_due_ns; /* when to look at the pace again */
    struct pst_pipeline *pipeline;
    struct pst_actions actions;
    uint64_t progress_due_ns;
    uint64_t verified_bytes; /* of the part, as last reported */
    uint64_t scan_began_ns;
    uint64_t shown_ns; /* began_ns of the operation that is shown to others; 0: none is */
};

static void send_to_hub(void *context, const struct pst_signal *signal)
{
    struct ldm *ldm = context;
    pst_channel_to_hub(&ldm->thread->worker.channel, signal);
}

static void begin_work(struct ldm *ldm, const struct pst_work *work)
{
    if (work->type == PST_WORK_SCAN && ldm->scan_began_ns == 0) {
        ldm->scan_began_ns = pst_monotonic_ns();
        if (ldm->compression)
            pst_compression_begin_scan(ldm->compression);
    }
    if (work->type == PST_WORK_OPEN) {
        ldm->scan_began_ns = 0;
        ldm->verified_bytes = 0;
        atomic_store_explicit(&ldm->thread->source_bytes, 0, memory_order_relaxed);
    }
    pst_pipeline_start(ldm->pipeline, work);
}

/* Whether one of its machines stops or cleans up. */
static bool is_ending(const struct pst_ldm_block *block)
{
    return block->participant.state == PST_PARTICIPANT_ABORTED ||
           block->participant.state == PST_PARTICIPANT_CLEANING ||
           (block->proxy && proxy_is_ending(block->proxy)) ||
           (block->master && (block->master->state == PST_MASTER_ABORTING ||
                              block->master->state == PST_MASTER_CLEANING));
}

static void show_requests(struct ldm *ldm)
{
    struct pst_request_counters counters = {.strays = ldm->block.participant.stray_events};
    if (ldm->proxy) {
        pst_senders_count(&ldm->proxy->senders, &counters);
        pst_senders_count(&ldm->master->senders, &counters);
    }
    atomic_store_explicit(&ldm->thread->zombies, counters.zombies, memory_order_relaxed);
    atomic_store_explicit(&ldm->thread->stale, counters.stale, memory_order_relaxed);
    atomic_store_explicit(&ldm->thread->strays, counters.strays, memory_order_relaxed);
}

/* For the status of the node. */
static void show_state(struct ldm *ldm)
{
    struct pst_ldm_thread *thread = ldm->thread;
    bool scans = ldm->block.participant.state == PST_PARTICIPANT_SCANNING;
    atomic_store_explicit(&thread->state, ldm->block.participant.state, memory_order_relaxed);
    atomic_store_explicit(&thread->is_ending, is_ending(&ldm->block), memory_order_relaxed);
    /* Whoever sees that there is none any more can count on what was said before. */
    atomic_store_explicit(&thread->backup, pst_ldm_block_backup(&ldm->block), memory_order_release);
    atomic_store_explicit(&thread->scan_began_ns, scans ? ldm->scan_began_ns : 0,
                          memory_order_relaxed);
    show_requests(ldm);
    if (ldm->proxy)
        history_follow(&ldm->history, ldm->node, ldm->proxy);
    if (!ldm->shows_nodes || ldm->master->state != PST_MASTER_IDLE)
        return;
    ldm->shows_nodes = false;
    for (uint32_t node = 1; node <= PST_NODES_MAX; node++)
        atomic_store_explicit(&ldm->node->node_bytes[node], 0, memory_order_relaxed);
}

/* The progress that the nodes report to the master. */
static void show_progress(struct ldm *ldm, const struct pst_signal *signal)
{
    uint32_t node = pst_ref_node(signal->sender_ref);
    if (signal->gsn != PST_BACKUP_PROGRESS_REP || !ldm->master ||
        ldm->master->state != PST_MASTER_SCANNING || node < 1 || node > PST_NODES_MAX)
        return;
    ldm->shows_nodes = true;
    atomic_store_explicit(&ldm->node->node_bytes[node],
                          ldm->master->node_progress[node - 1].sums.source_bytes,
                          memory_order_relaxed);
}

/* As long as writers wait until a machine of this thread has gone on; so does the hub. */
static void hurry(const struct ldm *ldm)
{
    bool is_urgent = ldm->node->holds_writers && ldm->master &&
                     (ldm->master->state == PST_MASTER_FREEZING ||
                      ldm->master->state == PST_MASTER_CUTTING || proxy_holds_writers(ldm->proxy));
    if (ldm->master)
        atomic_store_explicit(&ldm->node->ldm_holds_writers, is_urgent, memory_order_relaxed);
    (void)pst_priority_set(is_urgent ? PST_PRIORITY_URGENT : PST_PRIORITY_NORMAL);
}

static void step(struct ldm *ldm, struct pst_event *event)
{
    event->now_ns = pst_monotonic_ns();
    ldm->actions.sends_count = 0;
    ldm->actions.works_count = 0;
    pst_ldm_block_step(&ldm->block, event, &ldm->actions);
    hurry(ldm);
    for (uint32_t i = 0; i < ldm->actions.sends_count; i++)
        pst_send_each(&ldm->actions.sends[i], send_to_hub, ldm);
    for (uint32_t i = 0; i < ldm->actions.works_count; i++)
        begin_work(ldm, &ldm->actions.works[i]);
    show_state(ldm);
}

static struct pst_event event_of(const struct pst_signal *signal)
{
    if (signal->gsn != PST_NODE_JOINED_ORD && signal->gsn != PST_NODE_FAILED_ORD)
        return (struct pst_event){.type = PST_EVENT_SIGNAL, .signal = signal};
    const struct pst_node_change *change = &signal->payload.node_change;
    bool joined = signal->gsn == PST_NODE_JOINED_ORD;
    return (struct pst_event){.type = joined ? PST_EVENT_NODE_JOINED : PST_EVENT_NODE_FAILED,
                              .node = change->node,
                              .multithreaded = change->ldms > 1};
}

static bool take_signals(struct ldm *ldm)
{
    struct pst_signal signals[PST_CHANNEL_BURST];
    uint32_t count = pst_channel_from_hub(&ldm->thread->worker.channel, signals);
    for (uint32_t i = 0; i < count; i++) {
        struct pst_event event = event_of(&signals[i]);
        step(ldm, &event);
        if (event.type == PST_EVENT_NODE_FAILED)
            channel_heard_failure(&ldm->thread->worker.channel, &signals[i]);
        show_progress(ldm, &signals[i]);
    }
    return count > 0;
}

static void log_resources(struct ldm *ldm)
{
    /* Of interest by itself only where something had to be given up. */
    ldm->refusals = pst_ring_refusals(ldm->ring);
    bool is_told = ldm->refusals > 0 && ldm->thread->instance == 1;
    enum pst_log_level level = is_told ? PST_LOG_INFO : PST_LOG_DEBUG;
    pst_log(level, "LDM %u: CPU %u; %s; buffers %.1f MiB of %s pages%s%s", ldm->thread->instance,
            ldm->thread->report.cpu, pst_ring_describe(ldm->ring),
            (double)ldm->arena.bytes / (1 << 20), pst_arena_pages(&ldm->arena),
            ldm->arena.note[0] ? "; " : "", ldm->arena.note);
}

static void note_end_of_part(struct ldm *ldm, const struct pst_work_result *result)
{
    if (result->type != PST_WORK_STOP || result->error != 0)
        return;
    if (pst_ring_refusals(ldm->ring) > ldm->refusals) /* some first use was refused */
        log_resources(ldm);
    ldm->thread->report.backup = ldm->block.participant.backup;
    ldm->thread->report.sums = result->sums;
    const struct pst_reference_sums referenced = pst_pipeline_references(ldm->pipeline);
    ldm->thread->report.references = referenced.references;
    ldm->thread->report.referenced_bytes = referenced.bytes;
    memcpy(ldm->thread->report.codec_chunks, pst_pipeline_codec_chunks(ldm->pipeline),
           sizeof(ldm->thread->report.codec_chunks));
    atomic_store_explicit(&ldm->thread->source_bytes, result->sums.source_bytes,
                          memory_order_relaxed);
    if (ldm->scan_began_ns != 0)
        ldm->thread->report.busy_ns = pst_monotonic_ns() - ldm->scan_began_ns;
}

static bool take_results(struct ldm *ldm)
{
    bool took = false;
    struct pst_event event = {.type = PST_EVENT_WORK_DONE};
    while (pst_pipeline_next_result(ldm->pipeline, &event.work)) {
        note_end_of_part(ldm, &event.work);
        step(ldm, &event);
        took = true;
    }
    struct pst_event trouble = {.type = PST_EVENT_TROUBLE,
                                .trouble = pst_pipeline_take_trouble(ldm->pipeline)};
    if (trouble.trouble != 0)
        step(ldm, &trouble);
    return took;
}

/* A hub that does not get to run misses reports, never an answer. */
static bool has_room_for_report(const struct ldm *ldm)
{
    uint32_t reserve = ldm->node->config.cluster ? PST_RING_RESERVE : PST_REQUESTS_UNANSWERED_MAX;
    return pst_spsc_room(ldm->thread->worker.channel.to_hub) > reserve;
}

/* What has been in flight for long is shown to others: it may hang. */
static void show_oldest(struct ldm *ldm, uint64_t now_ns)
{
    const struct pst_io_op *op = pst_ring_oldest(ldm->ring);
    uint64_t began_ns = op && now_ns >= op->began_ns + SHOW_NS ? op->began_ns : 0;
    char name[PST_ACTIVITY_NAME_BYTES];
    if (began_ns == ldm->shown_ns)
        return;
    ldm->shown_ns = began_ns;
    if (began_ns != 0)
        pst_pipeline_name(ldm->pipeline, op, name, sizeof(name));
    pst_activity_order(&ldm->thread->io, began_ns != 0 ? pst_io_op_text(op) : NULL, name, began_ns);
}

/* Whether there is progress to be reported once it is due: scans go on, or more of the part has
 * been read back, or will be once the pace allows: it reads by whole buffers, and all LDMs by
 * turns, so at a low rate its turn may come after longer than a request may take. */
static bool has_progress(const struct ldm *ldm)
{
    if (ldm->block.participant.state == PST_PARTICIPANT_SCANNING)
        return true;
    return ldm->block.participant.state == PST_PARTICIPANT_STOPPING &&
           (pst_pipeline_verified_bytes(ldm->pipeline) > ldm->verified_bytes ||
            pst_pipeline_waits_to_verify(ldm->pipeline));
}

static bool reads(const struct ldm *ldm)
{
    enum pst_participant_state state = ldm->block.participant.state;
    return state == PST_PARTICIPANT_SCANNING || state == PST_PARTICIPANT_STOPPING;
}

/* true: there was something to do, which may have begun a work. */
static bool keep_time(struct ldm *ldm)
{
    uint64_t now_ns = pst_monotonic_ns();
    bool is_due = now_ns >= pst_ldm_block_deadline_ns(&ldm->block);
    show_oldest(ldm, now_ns);
    ldm->pace_due_ns = ldm_pace_keep(&ldm->pace, ldm->ring, reads(ldm), now_ns);
    if (is_due) {
        struct pst_event event = {.type = PST_EVENT_TIMER};
        step(ldm, &event);
    }
    if (!has_progress(ldm) || now_ns < ldm->progress_due_ns || !has_room_for_report(ldm))
        return is_due;
    ldm->verified_bytes = pst_pipeline_verified_bytes(ldm->pipeline);
    ldm->progress_due_ns = now_ns + ldm->node->config.timeouts.progress_ns;
    struct pst_event event = {.type = PST_EVENT_PROGRESS,
                              .progress = pst_pipeline_sums(ldm->pipeline)};
    atomic_store_explicit(&ldm->thread->source_bytes, event.progress.source_bytes,
                          memory_order_relaxed);
    step(ldm, &event);
    return true;
}

static uint64_t deadline_ns_of(const struct ldm *ldm)
{
    uint64_t deadline_ns = pst_ldm_block_deadline_ns(&ldm->block);
    uint64_t retry_ns = pst_pipeline_deadline_ns(ldm->pipeline);
    deadline_ns = retry_ns < deadline_ns ? retry_ns : deadline_ns;
    deadline_ns = ldm->pace_due_ns < deadline_ns ? ldm->pace_due_ns : deadline_ns;
    if (has_progress(ldm) && ldm->progress_due_ns < deadline_ns)
        deadline_ns = ldm->progress_due_ns;
    return deadline_ns;
}

/* What opens, begins or ends a part is mostly done before one had fallen asleep. */
static bool waits_briefly(const struct ldm *ldm)
{
    enum pst_participant_state state = ldm->block.participant.state;
    return state == PST_PARTICIPANT_DEFINING || state == PST_PARTICIPANT_STARTING ||
           (state == PST_PARTICIPANT_STOPPING && pst_pipeline_verified_bytes(ldm->pipeline) == 0);
}

/* In a backup, but before or after the scan. */
static bool is_patient(const struct ldm *ldm)
{
    enum pst_participant_state state = ldm->block.participant.state;
    bool scans = state == PST_PARTICIPANT_SCANNING ||
                 (state == PST_PARTICIPANT_STARTED && ldm->scan_began_ns != 0);
    return !scans && pst_ldm_block_backup(&ldm->block) != 0;
}

/* The one idle wait: with I/O in flight at once, for that will wake us; else after a while. */
static void wait_for_work(struct ldm *ldm, struct pst_idle *idle)
{
    idle->is_patient = is_patient(ldm);
    if ((pst_ring_in_flight(ldm->ring) == 0 || waits_briefly(ldm)) && !pst_idle(idle))
        return;
    struct pst_doorbell *bell = &ldm->thread->worker.channel.bell;
    pst_doorbell_announce(bell);
    if (worker_is_idle(&ldm->thread->worker)) {
        uint64_t deadline_ns = deadline_ns_of(ldm);
        uint64_t now_ns = pst_monotonic_ns();
        int64_t timeout_ns = -1;
        if (pst_ring_in_flight(ldm->ring) > 0 && now_ns + SHOW_NS < deadline_ns)
            deadline_ns = now_ns + SHOW_NS;
        if (deadline_ns != PST_DEADLINE_NONE)
            timeout_ns = deadline_ns > now_ns ? (int64_t)(deadline_ns - now_ns) : 0;
        bool waits_for_disk = pst_ring_in_flight(ldm->ring) > 0;
        pst_activity_rest(true);
        pst_ring_wait(ldm->ring, timeout_ns);
        pst_activity_rest(false);
        uint64_t waited_ns = pst_monotonic_ns() - now_ns;
        if (ldm->compression && pst_pipeline_has_fragments(ldm->pipeline))
            pst_compression_note_wait(ldm->compression, waited_ns);
        if (waits_for_disk)
            pst_pace_note_wait(&ldm->pace, waited_ns);
    }
    pst_doorbell_cancel(bell);
}

static void run_to_completion(struct ldm *ldm)
{
    struct pst_idle idle = {0};
    while (!atomic_load_explicit(&ldm->thread->worker.must_stop, memory_order_acquire)) {
        pst_activity_move();
        bool worked = take_signals(ldm);
        worked |= pst_ring_reap(ldm->ring) > 0;
        if (ldm->block.participant.state == PST_PARTICIPANT_ABORTED)
            pst_pipeline_stop_verifying(ldm->pipeline);
        worked |= pst_pipeline_slice(ldm->pipeline);
        worked |= take_results(ldm);
        pst_ring_submit(ldm->ring);
        worked |= keep_time(ldm);
        if (worked)
            pst_idle_reset(&idle);
        else
            wait_for_work(ldm, &idle);
    }
}

/* The master gives a backup up in bounded time, whatever hangs. What it hung on may still run when
 * the node stops: the part goes before the buffers do. A complete one is left to the next sweep. */
static void leave_part(struct ldm *ldm)
{
    struct pst_work discard = {.type = PST_WORK_DISCARD};
    struct pst_work_result result;
    if (!pst_pipeline_is_at_rest(ldm->pipeline))
        pst_pipeline_start(ldm->pipeline, &discard);
    while (!pst_pipeline_is_at_rest(ldm->pipeline)) {
        if (!pst_pipeline_slice(ldm->pipeline) && pst_ring_in_flight(ldm->ring) > 0)
            pst_ring_wait(ldm->ring, -1);
        while (pst_pipeline_next_result(ldm->pipeline, &result))
            continue; /* nobody waits for it */
    }
    pst_ring_drain(ldm->ring);
}

static const struct pst_fragment_descriptor *find_fragment(void *context, uint32_t source,
                                                           uint64_t fragment)
{
    return source_fragment(context, source, fragment);
}

/* LDMs start at once, and mostly fail for one reason: the first one says it. */
static enum pst_log_level failure_level(struct ldm *ldm)
{
    return atomic_exchange(&ldm->node->start_has_failed, true) ? PST_LOG_DEBUG : PST_LOG_ERROR;
}

/* Pinned first: what the thread allocates from here on lies on its NUMA node. */
static int open_worker(struct ldm *ldm)
{
    const struct pst_placement *place = &ldm->node->config.plan->ldm[ldm->thread->instance - 1];
    int error = pst_place_pin(place->cpu);
    if (error) {
        pst_log(failure_level(ldm), "LDM %u: cannot be pinned to CPU %u: %s", ldm->thread->instance,
                place->cpu, pst_error_text(error));
        return error;
    }
    return worker_open(&ldm->thread->worker);
}

/* Of its buffers and of the rings that it shares with the hub; 0 where the kernel does not report
 * it. */
static size_t misplaced_pages(const struct ldm *ldm, int32_t numa_node)
{
    const struct pst_channel *channel = &ldm->thread->worker.channel;
    struct pst_arena_census census;
    if (ldm->node->config.topology->node_count == 1) /* they can lie nowhere else */
        return 0;
    int error = pst_arena_check(&ldm->arena, &census);
    if (!error)
        error = pst_place_check(channel->memory, channel->memory_bytes, numa_node, &census);
    return error ? 0 : census.misplaced;
}

static int open_arena(struct ldm *ldm)
{
    const struct pst_node_config *config = &ldm->node->config;
    const struct pst_placement *place = &config->plan->ldm[ldm->thread->instance - 1];
    size_t bytes = pst_node_memory_bytes(config);
    int error = -ENOMEM;
    if (bytes != SIZE_MAX)
        error = pst_arena_create(config->topology, bytes, place->memory_node, &ldm->arena);
    if (error) {
        pst_log(failure_level(ldm),
                "LDM %u: no %zu bytes of memory for buffers: %s; lower --depth or --chunk",
                ldm->thread->instance, bytes, pst_error_text(error));
        return error;
    }
    struct pst_ldm_report *report = &ldm->thread->report;
    report->cpu = place->cpu;
    report->numa_node = place->memory_node;
    report->arena_bytes = ldm->arena.bytes;
    report->arena_hugepages = ldm->arena.hugepages;
    report->misplaced_pages = misplaced_pages(ldm, place->memory_node);
    return 0;
}

static int open_ring(struct ldm *ldm)
{
    struct pst_ring_options options = {
        .entries = RING_ENTRIES,
        .files_max = RING_FILES,
        .polling = ldm->node->config.polling,
        .fault = ldm->thread->instance == 1 ? ldm->node->config.ldm_fault : NULL};
    int error = pst_ring_open(&ldm->ring, &options);
    if (error) {
        /* Linux 6.14 and later count the queues as locked memory. */
        pst_log(failure_level(ldm), "LDM %u: no io_uring: %s; %s", ldm->thread->instance,
                pst_error_text(error),
                error == -ENOMEM ? "raise the memlock limit (ulimit -l), or use fewer --ldms"
                                 : "Penstock needs Linux 5.11 with io_uring allowed "
                                   "(kernel.io_uring_disabled, seccomp)");
        return error;
    }
    pst_ring_set_doorbell(ldm->ring, pst_doorbell_fd(&ldm->thread->worker.channel.bell));
    return 0;
}

/* In the arena, behind the buffers: so it lies where they do. */
static void open_compression(struct ldm *ldm)
{
    const struct pst_node_config *config = &ldm->node->config;
    if (config->compression.mode == PST_COMPRESSION_NONE)
        return;
    size_t buffers = pst_pipeline_memory_bytes(config->chunk_bytes, node_depth(config));
    ldm->compression =
        pst_compression_init(&config->compression, config->chunk_bytes,
                             (char *)ldm->arena.base + buffers, ldm->arena.bytes - buffers);
    ldm->encoder = (struct pst_chunk_encoder){
        .transform = pst_compression_transform(ldm->compression),
        .choose = pst_compression_choose,
        .context = ldm->compression,
        .decoders =
            {
                [PST_CODEC_LZ4] = pst_compression_decoder(ldm->compression, PST_CODEC_LZ4),
                [PST_CODEC_ZSTD] = pst_compression_decoder(ldm->compression, PST_CODEC_ZSTD),
            },
    };
}

/* Behind the codec, if there is one. */
static int open_sealing(struct ldm *ldm)
{
    struct pst_chunk_encoder *encoder = &ldm->encoder;
    if (!ldm->node->sealing)
        return 0;
    int error =
        pst_sealed_open(&ldm->sealed, encoder->transform, encoder->choose, encoder->context);
    if (error)
        return error;
    encoder->transform = &ldm->sealed.named;
    encoder->choose = pst_sealed_choose;
    encoder->context = &ldm->sealed;
    encoder->sealed = &ldm->sealed;
    encoder->seal_part = pst_sealing_begin_part;
    encoder->seal_context = ldm->node->sealing;
    return 0;
}

static int open_pipeline(struct ldm *ldm)
{
    const struct pst_node_config *config = &ldm->node->config;
    open_compression(ldm);
    int error = open_sealing(ldm);
    if (error)
        return error;
    struct pst_pipeline_config pipeline = {
        .ring = ldm->ring,
        .memory = ldm->arena.base,
        .directory_fd = ldm->node->lease.repository.root,
        .cluster_id = pst_node_cluster_id(config),
        .node = config->node,
        .ldm = ldm->thread->instance,
        .ldms = config->plan->ldms,
        .chunk_bytes = config->chunk_bytes,
        .depth = node_depth(config),
        .direct = config->direct,
        .discards = config->discards_parts,
        .encoder = ldm->encoder.transform ? &ldm->encoder : NULL,
        .sources = config->sources,
        .unreadable = &ldm->node->unreadable,
        .files_max = &ldm->node->files_max,
        .base = &ldm->node->base,
        .pace = &ldm->pace,
        .compares_runs = config->base.mode != PST_BASE_NONE,
        .find_fragment = find_fragment,
        .context = ldm->node,
    };
    error = pst_pipeline_create(&pipeline, &ldm->pipeline);
    if (error)
        pst_sealed_close(&ldm->sealed);
    return error;
}

static void init_block(struct ldm *ldm)
{
    const struct pst_node_config *config = &ldm->node->config;
    struct pst_ldm_config block = {.node = config->node,
                                   .instance = ldm->thread->instance,
                                   .sources = config->sources_count,
                                   .timeouts = config->timeouts};
    pst_set_add(&block.nodes, config->node - 1);
    if (config->plan->ldms > 1)
        pst_set_add(&block.multithreaded, config->node - 1);
    pst_ldm_block_init(&ldm->block, &block, ldm->proxy, ldm->master);
}

void *ldm_run(void *argument)
{
    struct pst_ldm_thread *thread = argument;
    struct ldm ldm = {.thread = thread, .node = thread->worker.node};
    pst_thread_name("pst ldm %u", thread->instance);
    int error = open_worker(&ldm);
    if (!error)
        error = open_arena(&ldm);
    if (error)
        goto out;
    pst_pace_share_open(&ldm.pace, &ldm.node->pace);
    error = open_ring(&ldm);
    if (error)
        goto out_after_arena;
    error = open_pipeline(&ldm);
    if (error)
        goto out_after_ring;
    if (thread->instance == 1) {
        ldm.proxy = calloc(1, sizeof(*ldm.proxy));
        ldm.master = calloc(1, sizeof(*ldm.master));
        error = ldm.proxy && ldm.master ? 0 : -ENOMEM;
    }
    if (error)
        goto out_after_pipeline;
    init_block(&ldm);
    log_resources(&ldm);
    pst_activity_order(&thread->worker.activity, "end a slice of its work", "", 0);
    worker_report_start(&thread->worker, 0);
    run_to_completion(&ldm);
    thread->report.cpu_ns = pst_thread_cpu_ns();
    leave_part(&ldm);
out_after_pipeline:
    free(ldm.proxy);
    free(ldm.master);
    pst_pipeline_destroy(ldm.pipeline);
    pst_sealed_close(&ldm.sealed);
out_after_ring:
    pst_ring_close(ldm.ring);
out_after_arena:
    pst_pace_share_close(&ldm.pace);
    pst_arena_destroy(&ldm.arena);
out:
    if (error)
        worker_report_start(&thread->worker, error);
    return NULL;
}
