/*
 * Looks once a second at what each thread of the node is at, logs which one does not move, and
 * decides whether the node is hung. Called by hub.c, on its thread.
 */
#include "engine/node/watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/node/threads.h"

static void add(struct watch *watch, const struct pst_activity *activity, const char *kind,
                const char *name)
{
    struct watched *watched = &watch->watched[watch->count++];
    snprintf(watched->thread, sizeof(watched->thread), "%s%s", kind, name);
    watched->stall = (struct pst_stall){.activity = activity, .thread = watched->thread};
}

int watch_open(struct watch *watch, struct pst_node *node)
{
    uint32_t ldms = node->config.plan->ldms, sources = node->config.sources_count;
    char number[16];
    pst_thread_bind(&watch->owner);
    watch->node = node;
    watch->watched = calloc(2 * ldms + sources + 1, sizeof(*watch->watched));
    if (!watch->watched)
        return -ENOMEM;
    for (uint32_t i = 0; i < ldms; i++) {
        snprintf(number, sizeof(number), "%u", i + 1);
        watch->watched[watch->count].is_ldm = true;
        add(watch, &node->ldms[i].worker.activity, "LDM ", number);
        add(watch, &node->ldms[i].io, "LDM ", number);
    }
    for (uint32_t i = 0; i < sources; i++)
        add(watch, &node->sources[i].worker.activity, "source ", node->config.sources[i]->name);
    add(watch, &node->archive.activity, "archive", "");
    return 0;
}

void watch_close(struct watch *watch)
{
    free(watch->watched);
}

static bool is_ending(const struct pst_node *node)
{
    if (atomic_load_explicit(&node->is_cancelled, memory_order_relaxed))
        return true;
    for (uint32_t i = 0; i < node->config.plan->ldms; i++) {
        if (atomic_load_explicit(&node->ldms[i].is_ending, memory_order_relaxed))
            return true;
    }
    return false;
}

/* Who waits for the end of a backup learns that it does not come. The thread of an LDM that hangs
 * itself gives nothing up: its limit is that of a scan. */
static void judge(struct watch *watch, uint64_t stalled_ns, uint64_t ldm_ns, uint64_t now_ns)
{
    uint64_t limit_ns = watch->node->config.hang_limit_ns;
    static const struct pst_alert hung = {.kind = PST_ALERT_NODE_HUNG, .error = PST_E_HUNG};
    bool was_hung = watch->is_hung;
    watch->is_hung = (stalled_ns >= limit_ns && watch->ending_ns != 0 &&
                      now_ns - watch->ending_ns >= limit_ns) ||
                     ldm_ns >= watch->node->config.timeouts.stall_ns + limit_ns;
    if (watch->is_hung == was_hung)
        return;
    if (watch->is_hung)
        pst_log_alert(PST_LOG_ERROR, &hung,
                      "a backup cannot be ended: a thread still waits as logged; what is "
                      "left of the backup is removed later");
    else
        pst_log(PST_LOG_INFO, "all threads go on");
    atomic_store_explicit(&watch->node->is_hung, watch->is_hung, memory_order_release);
    pst_doorbell_ring(&watch->node->client.bell);
}

void watch_look(struct watch *watch, bool ends, uint64_t now_ns)
{
    uint64_t longest_ns = 0, ldm_ns = 0;
    PST_CHECK_THREAD(&watch->owner);
    if (now_ns < watch->due_ns)
        return;
    watch->due_ns = now_ns + PST_STALL_LOOK_NS;
    for (uint32_t i = 0; i < watch->count; i++) {
        uint64_t stalled_ns =
            pst_stall_look(&watch->watched[i].stall, watch->node->config.stall_warning_ns, now_ns);
        longest_ns = stalled_ns > longest_ns ? stalled_ns : longest_ns;
        if (watch->watched[i].is_ldm && stalled_ns > ldm_ns)
            ldm_ns = stalled_ns;
    }
    if (!ends && !is_ending(watch->node))
        watch->ending_ns = 0;
    else if (watch->ending_ns == 0)
        watch->ending_ns = now_ns;
    judge(watch, longest_ns, ldm_ns, now_ns);
}

void watch_show(const struct watch *watch, struct pst_node_status *status)
{
    status->stalls_count = 0;
    status->is_hung = watch->is_hung;
    for (uint32_t i = 0; i < watch->count && status->stalls_count < PST_STALLS_MAX; i++) {
        const struct watched *watched = &watch->watched[i];
        struct pst_stall_status *shown = &status->stalls[status->stalls_count];
        struct pst_activity_view view;
        if (!watched->stall.is_stalled)
            continue;
        pst_activity_view(watched->stall.activity, &view);
        if (!view.what) /* it has just gone on */
            continue;
        snprintf(shown->thread, sizeof(shown->thread), "%s", watched->thread);
        snprintf(shown->name, sizeof(shown->name), "%s", view.name);
        shown->what = view.what;
        shown->since_ns = watched->stall.since_ns;
        status->stalls_count++;
    }
}
