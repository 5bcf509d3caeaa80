/* The BackupProxy: takes events and decides what each means in the proxy's state. The orders
 * themselves are served by proxy_order.c, the scan by proxy_scan.c. Pure; stepped by the hub, and
 * by LDM 1 for single-threaded backups. */
#include "engine/protocol/proxy.h"

#include <assert.h>
#include <string.h>

#include "engine/protocol/proxy_answer.h"
#include "engine/protocol/proxy_check.h"
#include "engine/protocol/proxy_order.h"
#include "engine/protocol/proxy_scan.h"
#include "penstock/error.h"

void pst_proxy_init(struct pst_proxy *proxy, pst_ref self_ref, pst_ref face_ref, uint32_t ldms,
                    uint32_t sources, const struct pst_timeouts *timeouts)
{
    assert(ldms >= 1 && ldms <= PST_LDMS_MAX && sources <= PST_SOURCES_MAX);
    assert(timeouts_are_nested(timeouts));
    memset(proxy, 0, sizeof(*proxy));
    proxy->self_ref = self_ref;
    proxy->face_ref = face_ref;
    proxy->ldms = ldms;
    proxy->sources = sources;
    proxy->timeouts = *timeouts;
    proxy->resume_ns = PST_DEADLINE_NONE;
}

uint64_t pst_proxy_deadline_ns(const struct pst_proxy *proxy)
{
    if (proxy->request.gsn == 0)
        return PST_DEADLINE_NONE;
    if (proxy_reports_progress(proxy) && proxy->progress_due_ns < proxy->deadline_ns)
        return proxy->progress_due_ns;
    return proxy->resume_ns < proxy->deadline_ns ? proxy->resume_ns : proxy->deadline_ns;
}

/* Forgets the last backup, and counts what it left. */
static void begin_backup(struct pst_proxy *proxy, const struct pst_signal *define)
{
    senders_release_stale(&proxy->senders);
    dealer_init(&proxy->dealer, proxy->ldms);
    proxy->backup = define->backup;
    proxy->master_ref = define->payload.define.master_ref;
    proxy->gci_max = 0;
    proxy->highest_number = 0;
    proxy->file_bytes = 0;
    proxy->warnings = 0;
    proxy->left_frozen = 0;
    proxy->progress_is_new = false;
    memset(&proxy->sums, 0, sizeof(proxy->sums));
    memset(&proxy->progress, 0, sizeof(proxy->progress));
    memset(proxy->ldm_progress, 0, sizeof(proxy->ldm_progress));
    memset(proxy->digest, 0, sizeof(proxy->digest));
}

/* docs/protocol.md, "What is illegal", the first three rows. */
static int backup_error(const struct pst_proxy *proxy, const struct pst_signal *request)
{
    if (proxy->state == PST_PROXY_IDLE || proxy->backup != request->backup)
        return -PST_E_UNKNOWN_BACKUP;
    return proxy->master_ref != request->payload.order.master_ref ? -PST_E_WRONG_MASTER : 0;
}

static void on_cleanup(struct pst_proxy *proxy, const struct pst_signal *request,
                       struct pst_actions *actions)
{
    int error = backup_error(proxy, request);
    if (error == -PST_E_UNKNOWN_BACKUP) {
        proxy_confirm(proxy, request, actions); /* nothing of it is here */
        return;
    }
    if (!error)
        error = proxy_rule_of(proxy)->cleanup_error;
    if (error) {
        proxy_refuse(proxy, request, error, proxy->face_ref, actions);
        return;
    }
    if (proxy->request.gsn != 0) { /* the master no longer waits for it */
        sender_abandon(&proxy->sender);
        proxy_note_error(proxy, -PST_E_WRONG_STATE, proxy->face_ref);
        proxy_finish(proxy, actions);
    }
    proxy_serve(proxy, request, PST_PROXY_CLEANING, 0, actions);
}

/* Why an order cannot be served, negative; 0 if it can. */
static int order_error(const struct pst_proxy *proxy, const struct pst_signal *request,
                       enum pst_proxy_state from)
{
    if (request->gsn == PST_DEFINE_BACKUP_REQ && proxy_rule_of(proxy)->define_error)
        return proxy_rule_of(proxy)->define_error;
    if (request->gsn == PST_DEFINE_BACKUP_REQ)
        return request->payload.define.flags & ~(uint32_t)PST_BACKUP_FLAGS ? -PST_E_OPTION : 0;
    int error = backup_error(proxy, request);
    if (!error && proxy->state != from)
        error = -PST_E_WRONG_STATE;
    return error;
}

static void on_request(struct pst_proxy *proxy, const struct pst_signal *request,
                       struct pst_actions *actions)
{
    const struct proxy_transition *transition = proxy_transition_of(request->gsn);
    if (request->gsn == PST_CLEANUP_BACKUP_REQ) {
        on_cleanup(proxy, request, actions);
        return;
    }
    if (!transition) {
        proxy->senders.stray_answers++; /* no signal for a proxy */
        return;
    }
    int error = order_error(proxy, request, transition->from);
    if (error) {
        proxy_refuse(proxy, request, error, proxy->face_ref, actions);
        return;
    }
    assert(proxy->state == transition->from);
    if (request->gsn == PST_DEFINE_BACKUP_REQ)
        begin_backup(proxy, request);
    proxy_serve(proxy, request, transition->busy, 0, actions);
}

/* docs/protocol.md, "Abort": nobody confirms it; what was asked for is still answered. */
static void on_abort(struct pst_proxy *proxy, const struct pst_signal *order,
                     struct pst_actions *actions)
{
    const struct pst_abort_backup_ord *abort = &order->payload.abort;
    if (!proxy_rule_of(proxy)->may_abort || proxy->backup != order->backup ||
        proxy->master_ref != abort->master_ref)
        return;
    bool is_stopped = proxy->state == PST_PROXY_SCANNING && proxy->error;
    proxy_note_error(proxy, abort->error != 0 ? pst_error_of(abort->error) : -PST_E_BACKUP_FAILURE,
                     abort->where);
    if (!is_stopped)
        proxy_stop_work(proxy, actions);
    if (proxy->request.gsn == 0) {
        proxy->state = PST_PROXY_ABORTED;
        return;
    }
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
    proxy->resume_ns = PST_DEADLINE_NONE;
    proxy_end_step(proxy, actions);
}

static void on_timer(struct pst_proxy *proxy, struct pst_actions *actions)
{
    if (proxy->request.gsn == 0)
        return;
    if (proxy->now_ns >= proxy->deadline_ns)
        proxy_give_up(proxy, actions);
    else if (proxy->now_ns >= proxy->resume_ns)
        proxy_resume(proxy, actions);
    else if (proxy_reports_progress(proxy) && proxy->now_ns >= proxy->progress_due_ns)
        proxy_report_progress(proxy, actions);
}

/* Frees the LDMs, and leaves the files to the archive, which reports them to the outcome machine:
 * docs/protocol.md, "Outcome". */
static void leave_in_doubt(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->in_doubt++;
    actions_send(actions, PST_ARCHIVE_LEAVE_ORD, proxy->self_ref,
                 proxy_member_ref(proxy, PST_BLOCK_ARCHIVE, 0), proxy->backup, 0)
        ->payload.order.master_ref = proxy->master_ref;
    struct pst_signal commit;
    pst_signal_init(&commit, PST_COMMIT_BACKUP_REQ, 0, proxy->face_ref, proxy->backup, 0);
    /* From its second step on: the archive has no decision to store. */
    proxy_serve(proxy, &commit, PST_PROXY_COMMITTING, 1, actions);
}

/* The orders of a dead master are not answered; the node aborts and cleans up by itself. */
static void clean_up(struct pst_proxy *proxy, struct pst_actions *actions)
{
    sender_abandon(&proxy->sender);
    proxy->request.gsn = 0;
    proxy->error = 0;
    proxy_note_error(proxy, -PST_E_NODE_FAILED, proxy->master_ref);
    proxy_stop_work(proxy, actions);
    struct pst_signal cleanup;
    pst_signal_init(&cleanup, PST_CLEANUP_BACKUP_REQ, 0, proxy->face_ref, proxy->backup, 0);
    cleanup.payload.order.master_ref = proxy->master_ref;
    proxy_serve(proxy, &cleanup, PST_PROXY_CLEANING, 0, actions);
}

/* docs/protocol.md, "Nodes that fail and join": only the master's death matters. */
static void on_node_failed(struct pst_proxy *proxy, uint32_t node, struct pst_actions *actions)
{
    if (proxy->state == PST_PROXY_IDLE || pst_ref_node(proxy->master_ref) != node)
        return;
    switch (proxy_rule_of(proxy)->on_death) {
    case PROXY_GOES_ON:
        break;
    case PROXY_CLEANS_UP:
        clean_up(proxy, actions);
        break;
    case PROXY_LEAVES_DOUBT:
        leave_in_doubt(proxy, actions);
        break;
    }
}

static void on_signal(struct pst_proxy *proxy, const struct pst_signal *signal,
                      struct pst_actions *actions)
{
    switch (signal->gsn) {
    case PST_ABORT_BACKUP_ORD:
        on_abort(proxy, signal, actions);
        break;
    case PST_SOURCE_FRAGMENT_REP:
        proxy_on_fragment_listed(proxy, signal, actions);
        break;
    case PST_BACKUP_PROGRESS_REP:
        proxy_on_progress(proxy, signal);
        break;
    case PST_BACKUP_FRAGMENT_CONF:
    case PST_BACKUP_FRAGMENT_REF:
        proxy_on_fragment_answer(proxy, signal, actions);
        break;
    default:
        if (pst_gsn_answered(signal->gsn) != 0)
            proxy_on_answer(proxy, signal, actions);
        else
            on_request(proxy, signal, actions);
    }
}

void pst_proxy_step(struct pst_proxy *proxy, const struct pst_event *event,
                    struct pst_actions *actions)
{
    proxy->now_ns = event->now_ns;
    switch (event->type) {
    case PST_EVENT_SIGNAL:
        on_signal(proxy, event->signal, actions);
        break;
    case PST_EVENT_TIMER:
        on_timer(proxy, actions);
        break;
    case PST_EVENT_NODE_FAILED:
        on_node_failed(proxy, event->node, actions);
        break;
    case PST_EVENT_NODE_JOINED:
        break;
    default:
        assert(!"an event that a proxy never gets");
    }
    proxy_check(proxy);
}
