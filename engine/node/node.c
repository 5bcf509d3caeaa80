/*
 * Starts and stops a node: locks its directory, starts its threads, the hub last, joins them, and
 * reads their status. The main thread of `penstock node`, or the thread that backs up without one.
 */
#include "engine/node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/priority.h"
#include "engine/key/sealing.h"
#include "engine/node/history.h"
#include "engine/node/node_fabric.h"
#include "engine/node/threads.h"
#include "engine/node/worker.h"
#include "engine/protocol/participant.h"
#include "penstock/run.h"

#define LAST_NS UINT64_C(200000000) /* for the threads that still end, beside one that hangs */

#define SPIN_CPUS_MIN 8u
#define FILES_PER_LDM 64u
#define SOURCE_DESCRIPTORS 8u /* of a source that lists, at least */
#define OTHER_DESCRIPTORS 32u /* of the archive, and of clients of the control socket */

/* A source that is alone may leave its writers alone. */
static bool holds_writers(const struct pst_node_config *config)
{
    return node_may_freeze(config) && (config->cluster || config->sources_count > 1);
}

/* For hub, LDM 1, each source and its guard, and two more for whom they wait. A node of a cluster
 * does not know which CPUs others on its host have, and would spin where their hub waits to run. */
static bool has_cpus_to_spare(const struct pst_node_config *config)
{
    const struct pst_topology *topology = config->topology;
    uint32_t needed = 4 + 2 * config->sources_count, cpus = 0;
    for (uint32_t i = 0; i < topology->cpu_count; i++)
        cpus += topology->cpus[i].allowed;
    uint32_t quota = topology->quota_millicpus / 1000;
    if (topology->quota_millicpus > 0 && quota < cpus)
        cpus = quota;
    return !config->cluster && cpus >= (needed > SPIN_CPUS_MIN ? needed : SPIN_CPUS_MIN);
}

static int launch_ldms(struct pst_node *node)
{
    int error = 0;
    for (uint32_t i = 0; i < node->config.plan->ldms && !error; i++) {
        struct pst_ldm_thread *ldm = &node->ldms[i];
        ldm->instance = i + 1;
        /* LDM 1 may hold a fan-out of the master's to every node; a proxy sends an LDM little. */
        bool is_large = i == 0 || node->config.cluster; /* nodes may fail all at once */
        error = worker_launch(&ldm->worker, node, is_large ? PST_RING_SIGNALS : 64, ldm_run);
    }
    return error;
}

static int launch_sources(struct pst_node *node)
{
    int error = 0;
    for (uint32_t i = 0; i < node->config.sources_count && !error; i++) {
        struct pst_source_thread *source = &node->sources[i];
        source->source = node->config.sources[i];
        source->thaw_at_ns = PST_DEADLINE_NONE;
        source->worker.node = node;
        source->source->policy = (struct pst_source_policy){
            .freeze_hold_ns = node->config.freeze_hold_ns,
            .headroom_percent = node->config.headroom_percent,
            .is_alone = node->config.sources_count == 1 && !node->config.cluster,
            .is_logical = node->config.is_logical,
            .check_pages = node->config.check_pages,
            .ldms = node->config.plan->ldms,
            .tables = node->config.tables,
        };
        error = source_slots_open(source);
        if (!error)
            error = worker_launch(&source->worker, node, PST_RING_SIGNALS, source_run);
    }
    return error;
}

static int await_start(struct pst_node *node, struct pst_worker *worker, int error)
{
    int start_error =
        worker->is_started ? worker_await_start(worker, node->config.start_limit_ns) : 0;
    return error ? error : start_error;
}

/* All at once, for each takes its time. Each that was launched is awaited, whatever becomes of the
 * others, so that it can be stopped. */
static int start_served(struct pst_node *node)
{
    int error = launch_ldms(node);
    if (!error)
        error = launch_sources(node);
    if (!error)
        error = worker_launch(&node->archive, node, PST_RING_SIGNALS, archive_run);
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        error = await_start(node, &node->ldms[i].worker, error);
    for (uint32_t i = 0; i < node->config.sources_count; i++)
        error = await_start(node, &node->sources[i].worker, error);
    return await_start(node, &node->archive, error);
}

static int start_workers(struct pst_node *node)
{
    int error = start_served(node);
    if (error)
        return error;
    error = pst_channel_open(&node->client, &node->hub_bell,
                             node->config.cluster ? PST_RING_SIGNALS : 64, node->incarnation);
    if (error)
        return error;
    /* Last: it looks into all channels, and has none of its own. */
    return worker_start(&node->hub, node, 0, hub_run, node->config.start_limit_ns);
}

static uint32_t count_descriptors(uint32_t limit)
{
    uint32_t count = 0;
    for (uint32_t fd = 0; fd < limit; fd++)
        count += fcntl((int)fd, F_GETFD) >= 0;
    return count;
}

/* The LDMs share the descriptors that the process has left, but for those that others open during a
 * backup. With too few for that they have one each, and wait for it if need be. */
static void share_descriptors(struct pst_node *node)
{
    uint32_t ldms = node->config.plan->ldms;
    uint32_t others = ldms + node->config.sources_count * SOURCE_DESCRIPTORS + OTHER_DESCRIPTORS;
    uint32_t enough = ldms * FILES_PER_LDM + others;
    struct rlimit limit;
    uint32_t share = FILES_PER_LDM;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4 * (rlim_t)enough) {
        uint32_t used = count_descriptors((uint32_t)limit.rlim_cur) + others;
        uint32_t left = used < limit.rlim_cur ? (uint32_t)limit.rlim_cur - used : 0;
        share = left / ldms < share ? left / ldms : share;
    }
    atomic_store(&node->files_max, share > 0 ? share : 1);
    if (share < FILES_PER_LDM / 4)
        pst_log(PST_LOG_WARNING,
                "LDMs have %u open files each: the limit of open files (ulimit -n) is low, and "
                "small files take longer",
                share > 0 ? share : 1);
}

/* A backup that hangs has had its time. */
static void stop_all(struct pst_node *node)
{
    bool is_hung = atomic_load_explicit(&node->is_hung, memory_order_acquire);
    uint64_t until_ns = pst_monotonic_ns() + (is_hung ? LAST_NS : node->config.hang_limit_ns);
    worker_stop(&node->hub, &node->hub_bell, until_ns);
    worker_stop(&node->archive, &node->archive.channel.bell, until_ns);
    for (uint32_t i = 0; i < node->config.sources_count; i++)
        worker_stop(&node->sources[i].worker, &node->sources[i].worker.channel.bell, until_ns);
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        worker_order_stop(&node->ldms[i].worker, &node->ldms[i].worker.channel.bell);
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        worker_join(&node->ldms[i].worker, until_ns);
}

static void free_node(struct pst_node *node)
{
    pst_base_close(node->base);
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        channel_close(&node->ldms[i].worker.channel);
    for (uint32_t i = 0; i < node->config.sources_count; i++) {
        channel_close(&node->sources[i].worker.channel);
        source_slots_close(&node->sources[i]);
    }
    channel_close(&node->archive.channel);
    channel_close(&node->client);
    pst_doorbell_close(&node->hub_bell);
    pst_repository_lease_release(&node->lease);
    pst_sealing_close(node->sealing);
    pst_pace_release(&node->pace);
    pthread_mutex_destroy(&node->status_lock);
    free(node->sources);
    free(node->ldms_memory);
    free(node->memory);
}

static void ldm_status(const struct pst_ldm_thread *ldm, struct pst_ldm_status *status)
{
    uint32_t state = atomic_load_explicit(&ldm->state, memory_order_relaxed);
    uint64_t began_ns = atomic_load_explicit(&ldm->scan_began_ns, memory_order_relaxed);
    status->state = pst_participant_state_name((enum pst_participant_state)state);
    status->backup = atomic_load_explicit(&ldm->backup, memory_order_acquire);
    status->source_bytes = atomic_load_explicit(&ldm->source_bytes, memory_order_relaxed);
    status->scan_ns = began_ns != 0 ? pst_monotonic_ns() - began_ns : 0;
    status->cpu = ldm->report.cpu;
    status->numa_node = ldm->report.numa_node;
    status->misplaced_pages = ldm->report.misplaced_pages;
}

/* Where it is not the master, a node knows of itself alone. */
static void nodes_status(const struct pst_node *node, struct pst_node_status *status)
{
    memset(status->node_bytes, 0, sizeof(status->node_bytes));
    status->scan_ns = 0;
    for (uint32_t id = 1; status->backup != 0 && id <= PST_NODES_MAX; id++)
        status->node_bytes[id] = atomic_load_explicit(&node->node_bytes[id], memory_order_relaxed);
    status->node_bytes[node->config.node] = 0;
    for (uint32_t i = 0; i < status->ldms_count; i++) {
        const struct pst_ldm_status *ldm = &status->ldms[i];
        status->node_bytes[node->config.node] += ldm->source_bytes;
        status->scan_ns = ldm->scan_ns > status->scan_ns ? ldm->scan_ns : status->scan_ns;
    }
}

/* A look each second keeps the rates; this one is up to the moment. */
static void rates_status(struct pst_node *node, uint64_t now_ns, struct pst_node_status *status)
{
    static const uint64_t spans_s[PST_RATES] = PST_RATE_SPANS_S;
    for (size_t i = 0; i < PST_RATES; i++)
        status->running.bytes_per_second[i] =
            rates_over(&node->rates, now_ns, node_bytes_read(node), spans_s[i] * 1000000000);
}

static struct pst_set sources_left_frozen(struct pst_node *node)
{
    struct pst_set left = {0};
    for (uint32_t i = 0; i < node->config.sources_count; i++) {
        if (atomic_load_explicit(&node->sources[i].is_left_frozen, memory_order_relaxed))
            pst_set_add(&left, i);
    }
    return left;
}

void pst_node_status(struct pst_node *node, struct pst_node_status *status)
{
    pthread_mutex_lock(&node->status_lock);
    *status = node->status;
    history_show(node, &status->running);
    rates_status(node, pst_monotonic_ns(), status);
    pthread_mutex_unlock(&node->status_lock);
    status->incarnation = node->incarnation;
    status->ldms_count = node->config.plan->ldms;
    status->backup = atomic_load_explicit(&node->proxy_backup, memory_order_relaxed);
    for (uint32_t i = 0; i < status->ldms_count; i++) {
        status->requests.zombies +=
            atomic_load_explicit(&node->ldms[i].zombies, memory_order_relaxed);
        status->requests.stale += atomic_load_explicit(&node->ldms[i].stale, memory_order_relaxed);
        status->requests.strays +=
            atomic_load_explicit(&node->ldms[i].strays, memory_order_relaxed);
        ldm_status(&node->ldms[i], &status->ldms[i]);
        if (status->backup == 0)
            status->backup = status->ldms[i].backup;
    }
    nodes_status(node, status);
    status->left_frozen = sources_left_frozen(node);
    pst_pace_status(&node->pace, &status->pace);
}

/* Those that wait for their pace look at it anew. */
void pst_node_set_pace(struct pst_node *node, const struct pst_pace_setting *setting)
{
    pst_pace_set(&node->pace, setting);
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        pst_doorbell_ring(&node->ldms[i].worker.channel.bell);
}

static bool has_lost_worker(const struct pst_node *node)
{
    bool lost = node->hub.is_lost || node->archive.is_lost;
    for (uint32_t i = 0; i < node->config.sources_count; i++)
        lost |= node->sources[i].worker.is_lost;
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        lost |= node->ldms[i].worker.is_lost;
    return lost;
}

/* What a lost thread may still use is left to it, by the caller too: node.h. Returns why the node
 * does not start. */
static int give_up_start(struct pst_node *node, int error)
{
    const struct pst_node_config config = node->config;
    stop_all(node);
    if (has_lost_worker(node)) {
        pst_log(PST_LOG_ERROR, "a thread of the node did not start, or not end, in time");
        return -ETIMEDOUT;
    }
    free_node(node);
    node_fabric_release(&config);
    return error;
}

static void set_limits(struct pst_node_config *config)
{
    if (config->stall_warning_ns == 0)
        config->stall_warning_ns = PST_STALL_WARNING_NS_DEFAULT;
    if (config->hang_limit_ns == 0)
        config->hang_limit_ns = PST_HANG_LIMIT_NS_DEFAULT;
    if (config->start_limit_ns == 0)
        config->start_limit_ns = PST_START_LIMIT_NS_DEFAULT;
}

/* Zeros that begin on a cache line, as calloc(3) does not have them begin. memory: what is freed.
 */
static void *alloc_lines(size_t bytes, void **memory)
{
    *memory = calloc(1, bytes + PST_LINE_BYTES - 1);
    return *memory ? (char *)*memory + (-(uintptr_t)*memory & (PST_LINE_BYTES - 1)) : NULL;
}

static int start_node(const struct pst_node_config *config, struct pst_node **node)
{
    void *memory;
    struct pst_node *made = alloc_lines(sizeof(*made), &memory);
    if (!made)
        return -ENOMEM;
    made->memory = memory;
    made->config = *config;
    set_limits(&made->config);
    pthread_mutex_init(&made->status_lock, NULL);
    pst_pace_init(&made->pace, &config->pace, config->depth);
    pst_unreadable_init(&made->unreadable);
    made->ldms = alloc_lines(config->plan->ldms * sizeof(*made->ldms), &made->ldms_memory);
    made->sources = calloc(config->sources_count, sizeof(*made->sources));
    int error = -ENOMEM;
    if (!made->ldms || !made->sources)
        goto err_after_alloc;
    if (getrandom(&made->incarnation, sizeof(made->incarnation), 0) !=
        (ssize_t)sizeof(made->incarnation)) {
        error = -EIO;
        goto err_after_alloc;
    }
    error = pst_sealing_open(config->recipients, &made->sealing);
    if (error)
        goto err_after_alloc;
    error = pst_repository_lease_take(&made->lease, config->directory, config->node,
                                      config->cluster, config->archive_fault);
    if (error)
        goto err_after_alloc;
    error = pst_doorbell_open(&made->hub_bell);
    if (error)
        goto err_after_directory;
    error = node_fabric_prepare(config);
    if (error)
        goto err_after_doorbell;
    atomic_init(&made->holds_writers, holds_writers(&made->config));
    made->may_spin = has_cpus_to_spare(config);
    error = start_workers(made);
    if (error)
        return give_up_start(made, error);
    share_descriptors(made);
    *node = made;
    return 0;

err_after_doorbell:
    pst_doorbell_close(&made->hub_bell);
err_after_directory:
    pst_repository_lease_release(&made->lease);
err_after_alloc:
    pst_sealing_close(made->sealing);
    pst_pace_release(&made->pace);
    pthread_mutex_destroy(&made->status_lock);
    free(made->sources);
    free(made->ldms_memory);
    free(made->memory);
    return error;
}

int pst_node_start(const struct pst_node_config *config, struct pst_node **node)
{
    int not_queued = pst_log_queue_start(); /* before there is a thread that may not wait */
    if (not_queued)
        pst_log(PST_LOG_WARNING, "a log that nothing reads will stop this node: %s",
                pst_error_text(not_queued));
    int error = start_node(config, node);
    if (!error)
        (*node)->queues_log = !not_queued;
    else if (!not_queued)
        pst_log_queue_stop();
    return error;
}

bool pst_node_stop(struct pst_node *node, struct pst_ldm_report *reports)
{
    bool queues_log = node->queues_log;
    stop_all(node);
    bool is_lost = has_lost_worker(node);
    for (uint32_t i = 0; reports && i < node->config.plan->ldms; i++) {
        if (!node->ldms[i].worker.is_lost)
            reports[i] = node->ldms[i].report;
    }
    const struct pst_node_config config = node->config;
    if (is_lost) {
        pst_log(PST_LOG_ERROR, "a thread of the node hangs, and is left behind");
    } else {
        free_node(node);
        node_fabric_release(&config);
    }
    if (queues_log)
        pst_log_queue_stop();
    return !is_lost;
}

struct pst_channel *node_client(struct pst_node *node)
{
    return &node->client;
}
