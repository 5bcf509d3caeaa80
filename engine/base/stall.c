/*
 * Judges by two looks at a thread's activity whether it stands still. Called by the watch of a
 * node, and by that of a verify or restore, each on its own thread.
 */
#include "engine/base/stall.h"

#include "engine/base/log.h"

#define NS_PER_S UINT64_C(1000000000)

static void end_stall(struct pst_stall *stall, uint64_t now_ns)
{
    if (stall->is_stalled)
        pst_log(PST_LOG_INFO, "%s: goes on after %llu s", stall->thread,
                (unsigned long long)((now_ns - stall->since_ns) / NS_PER_S));
    stall->is_stalled = false;
}

uint64_t pst_stall_look(struct pst_stall *stall, uint64_t warning_ns, uint64_t now_ns)
{
    struct pst_activity_view view;
    pst_activity_view(stall->activity, &view);
    if (view.moves != stall->moves || view.is_resting || !view.what) {
        end_stall(stall, now_ns);
        stall->moves = view.moves;
        stall->since_ns = view.since_ns != 0 ? view.since_ns : now_ns;
        if (view.since_ns == 0 || view.is_resting || !view.what)
            return 0;
    }
    uint64_t stalled_ns = now_ns > stall->since_ns ? now_ns - stall->since_ns : 0;
    if (stalled_ns < warning_ns || stall->is_stalled)
        return stalled_ns;
    stall->is_stalled = true;
    static const struct pst_alert alert = {.kind = PST_ALERT_THREAD_STALLED};
    pst_log_alert(PST_LOG_WARNING, &alert, "%s: has waited %llu s to %s%s%s", stall->thread,
                  (unsigned long long)(stalled_ns / NS_PER_S), view.what, view.name[0] ? " " : "",
                  view.name);
    return stalled_ns;
}
