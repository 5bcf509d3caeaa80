/*
 * Follows a proxy from step to step, logs the start and the end of each backup, and keeps the last
 * end for the node's status. Called by the hub and by LDM 1, each for its own proxy.
 */
#include "engine/node/history.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/node/ref_text.h"
#include "engine/node/threads.h"

#define NAME_BYTES 64u

/* "backup 7 (uid …)" */
static const char *name_of(const struct history *history, char *name)
{
    char uid[2 * sizeof(history->uid) + 1];
    pst_hex_encode(history->uid, sizeof(history->uid), uid);
    snprintf(name, NAME_BYTES, "backup %u (uid %s)", history->number, uid);
    return name;
}

static void begin(struct history *history, const struct pst_proxy *proxy)
{
    const struct pst_define_backup_req *define = &proxy->request.payload.define;
    history->number = define->number;
    memcpy(history->uid, define->uid, sizeof(history->uid));
    history->nodes = define->nodes;
    history->began_ns = pst_monotonic_ns();
    history->in_doubt = proxy->in_doubt;
    history->error = 0;
    history->where = 0;
    history->is_started = history->has_read = false;
}

/* "complete", or "partial, without 2 nodes": text. */
static const char *completeness(const struct pst_last_backup *last, char text[64])
{
    uint32_t missing = pst_set_count(&last->missing);
    if (missing == 0)
        return "complete";
    snprintf(text, 64, "partial, without %u node%s", missing, missing == 1 ? "" : "s");
    return text;
}

static enum pst_alert_kind kind_of(const struct pst_last_backup *last)
{
    if (last->end == PST_END_ABORTED)
        return PST_ALERT_BACKUP_ABORTED;
    if (last->end == PST_END_IN_DOUBT)
        return PST_ALERT_BACKUP_IN_DOUBT;
    return pst_set_is_empty(&last->missing) ? PST_ALERT_BACKUP_COMPLETE : PST_ALERT_BACKUP_PARTIAL;
}

static void log_end(const struct history *history, const struct pst_last_backup *last)
{
    char name[NAME_BYTES], where[64] = "", text[64];
    if (last->where != 0)
        pst_ref_text(last->where, where, sizeof(where));
    name_of(history, name);
    const struct pst_alert alert = {
        .kind = kind_of(last), .backup = last->number, .uid = last->uid, .error = (int)last->error};
    if (last->end == PST_END_COMPLETE)
        pst_log_alert(PST_LOG_INFO, &alert,
                      "%s: %s: %llu bytes read and %llu written here, in %.3f s", name,
                      completeness(last, text), (unsigned long long)last->sums.source_bytes,
                      (unsigned long long)last->sums.stored_bytes, (double)last->elapsed_ns / 1e9);
    else if (last->end == PST_END_ABORTED)
        pst_log_alert(PST_LOG_WARNING, &alert, "%s: aborted after %.3f s: %s%s%s", name,
                      (double)last->elapsed_ns / 1e9, where, where[0] ? ": " : "",
                      last->error != 0 ? pst_error_text((int)last->error) : "by its master");
    else
        pst_log_alert(PST_LOG_WARNING, &alert,
                      "%s: in doubt: it was prepared here, and what was decided is not "
                      "known yet",
                      name);
}

/* The LDMs have noted it before they answered, and are in no other backup yet. */
static void add_reports(const struct pst_node *node, struct pst_last_backup *last)
{
    for (uint32_t i = 0; i < node->config.plan->ldms; i++) {
        const struct pst_ldm_report *report = &node->ldms[i].report;
        if (report->backup != pst_uid_low(last->uid))
            continue;
        last->referenced_bytes += report->referenced_bytes;
        for (uint32_t codec = 0; codec < PST_CODECS; codec++)
            last->codec_chunks[codec] += report->codec_chunks[codec];
    }
}

/* Of a backup that has not been completed, as of the last look at each LDM. */
static uint64_t bytes_read(const struct pst_node *node)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < node->config.plan->ldms; i++)
        bytes += atomic_load_explicit(&node->ldms[i].source_bytes, memory_order_relaxed);
    return bytes;
}

static void count(struct pst_node_status *status, const struct pst_last_backup *last)
{
    struct pst_backup_totals *totals = &status->totals;
    status->last = *last;
    status->ended[status->ends++ % PST_ENDS_KEPT] = *last;
    if (last->end != PST_END_COMPLETE) {
        status->last_failure = *last;
        totals->aborted += last->end == PST_END_ABORTED;
        totals->in_doubt += last->end == PST_END_IN_DOUBT;
        return;
    }
    bool is_partial = !pst_set_is_empty(&last->missing);
    status->last_success = *last;
    totals->complete += !is_partial;
    totals->partial += is_partial;
    totals->source_bytes += last->sums.source_bytes;
    totals->stored_bytes += last->sums.stored_bytes;
    totals->elapsed_ns += last->elapsed_ns;
}

static void end(struct history *history, struct pst_node *node, const struct pst_proxy *proxy,
                enum pst_backup_end how)
{
    struct pst_last_backup last = {
        .end = how,
        .number = history->number,
        .ended_unix_ns = pst_unix_ns(),
        .elapsed_ns = pst_monotonic_ns() - history->began_ns,
        .error = how == PST_END_ABORTED ? history->error : 0,
        .where = how == PST_END_ABORTED ? history->where : 0,
    };
    memcpy(last.uid, history->uid, sizeof(last.uid));
    if (how == PST_END_COMPLETE) {
        last.sums = proxy->sums;
        add_reports(node, &last);
        last.missing = pst_set_minus(&node->config.cluster->expected, &history->nodes);
    } else if (history->has_read) {
        last.sums.source_bytes = bytes_read(node);
    }
    log_end(history, &last);
    pthread_mutex_lock(&node->status_lock);
    count(&node->status, &last);
    pthread_mutex_unlock(&node->status_lock);
}

/* How a backup ended whose proxy has nothing more to do. */
static enum pst_backup_end end_of(const struct history *history, const struct pst_proxy *proxy)
{
    if (proxy->in_doubt != history->in_doubt)
        return PST_END_IN_DOUBT;
    if (history->state != PST_PROXY_COMMITTING)
        return PST_END_ABORTED;
    return !proxy->error ? PST_END_COMPLETE : PST_END_IN_DOUBT;
}

static bool is_listed(const struct pst_proxy *proxy)
{
    return proxy->state == PST_PROXY_SCANNED || proxy->state == PST_PROXY_STOPPING ||
           (proxy->state == PST_PROXY_SCANNING && !proxy->sender);
}

/* One proxy of a node at a time is in a backup: an idle one has nothing to say of it. */
static void show_progress(const struct history *history, struct pst_node *node,
                          const struct pst_proxy *proxy)
{
    struct node_progress *progress = &node->progress;
    if (history->state == PST_PROXY_IDLE && proxy->state == PST_PROXY_IDLE)
        return;
    atomic_store_explicit(&progress->number, history->number, memory_order_relaxed);
    atomic_store_explicit(&progress->began_ns, history->began_ns, memory_order_relaxed);
    atomic_store_explicit(&progress->listed_bytes, proxy->dealer.listed_bytes,
                          memory_order_relaxed);
    atomic_store_explicit(&progress->is_listed, is_listed(proxy), memory_order_relaxed);
    atomic_store_explicit(&progress->state, (uint32_t)proxy->state, memory_order_relaxed);
}

void history_show(struct pst_node *node, struct pst_running_status *running)
{
    static const struct {
        const char *name;
        bool reads;
    } phases[PST_PROXY_STATES] = {
        [PST_PROXY_DEFINING] = {"preparing", false},   [PST_PROXY_DEFINED] = {"preparing", false},
        [PST_PROXY_STARTING] = {"preparing", false},   [PST_PROXY_STARTED] = {"preparing", false},
        [PST_PROXY_FREEZING] = {"freezing", false},    [PST_PROXY_FROZEN] = {"freezing", false},
        [PST_PROXY_CUTTING] = {"cutting", false},      [PST_PROXY_CUT] = {"cutting", false},
        [PST_PROXY_SCANNING] = {"reading", true},      [PST_PROXY_SCANNED] = {"closing", true},
        [PST_PROXY_STOPPING] = {"closing", true},      [PST_PROXY_PREPARED] = {"prepared", true},
        [PST_PROXY_COMMITTING] = {"completing", true}, [PST_PROXY_ABORTED] = {"aborting", false},
        [PST_PROXY_CLEANING] = {"cleaning up", false},
    };
    const struct node_progress *progress = &node->progress;
    uint64_t began_ns = atomic_load_explicit(&progress->began_ns, memory_order_relaxed);
    uint32_t state = atomic_load_explicit(&progress->state, memory_order_relaxed);
    running->phase = phases[state].name;
    running->reads = phases[state].reads;
    running->number = atomic_load_explicit(&progress->number, memory_order_relaxed);
    running->elapsed_ns = pst_monotonic_ns() - began_ns;
    running->listed_bytes = atomic_load_explicit(&progress->listed_bytes, memory_order_relaxed);
    running->is_listed = atomic_load_explicit(&progress->is_listed, memory_order_relaxed);
}

void history_follow(struct history *history, struct pst_node *node, const struct pst_proxy *proxy)
{
    PST_CLAIM_THREAD(&history->owner);
    if (!node->config.cluster)
        return;
    if (history->state == PST_PROXY_IDLE && proxy->state != PST_PROXY_IDLE)
        begin(history, proxy);
    history->has_read |= proxy->state == PST_PROXY_SCANNING;
    show_progress(history, node, proxy);
    if (proxy->error) {
        history->error = pst_reason_of(proxy->error);
        history->where = proxy->where;
    }
    if (history->state != proxy->state && proxy->state == PST_PROXY_DEFINED) {
        char name[NAME_BYTES];
        history->is_started = true;
        const struct pst_alert alert = {.kind = PST_ALERT_BACKUP_STARTED,
                                        .backup = history->number,
                                        .uid = history->uid,
                                        .node = pst_ref_node(proxy->master_ref)};
        pst_log_alert(PST_LOG_INFO, &alert, "%s: started by node %u", name_of(history, name),
                      alert.node);
    }
    if (history->state != PST_PROXY_IDLE && proxy->state == PST_PROXY_IDLE && history->is_started)
        end(history, node, proxy, end_of(history, proxy));
    history->state = proxy->state;
}
