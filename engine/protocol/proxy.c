#include <assert.h>
#include <string.h>

#include "engine/protocol/proxy_internal.h"

/* CLEANUP_BACKUP_REQ has no row: it is legal in every state but COMMITTING, where a decided backup
 * would be removed, and IDLE, where there is nothing to do and it is confirmed. */
const struct pst_proxy_transition pst_proxy_transitions[] = {
    {PST_PROXY_IDLE, PST_DEFINE_BACKUP_REQ, PST_PROXY_DEFINING, PST_PROXY_DEFINED},
    {PST_PROXY_DEFINED, PST_START_BACKUP_REQ, PST_PROXY_STARTING, PST_PROXY_STARTED},
    {PST_PROXY_STARTED, PST_GCP_PREPARE_REQ, PST_PROXY_FREEZING, PST_PROXY_FROZEN},
    {PST_PROXY_FROZEN, PST_GCP_COMMIT_REQ, PST_PROXY_CUTTING, PST_PROXY_CUT},
    {PST_PROXY_CUT, PST_BACKUP_FRAGMENT_REQ, PST_PROXY_SCANNING, PST_PROXY_SCANNED},
    {PST_PROXY_SCANNED, PST_STOP_BACKUP_REQ, PST_PROXY_STOPPING, PST_PROXY_PREPARED},
    {PST_PROXY_PREPARED, PST_COMMIT_BACKUP_REQ, PST_PROXY_COMMITTING, PST_PROXY_IDLE},
};
const uint32_t pst_proxy_transitions_count =
    sizeof(pst_proxy_transitions) / sizeof(pst_proxy_transitions[0]);

static const char *const state_names[] = {
#define X(name, meaning) #name,
    PST_PROXY_STATE_LIST(X)
#undef X
};

const char *pst_proxy_state_name(enum pst_proxy_state state)
{
    return state_names[state];
}

void pst_proxy_init(struct pst_proxy *proxy, pst_ref self_ref, pst_ref face_ref, uint32_t ldms,
                    uint32_t sources, const struct pst_timeouts *timeouts)
{
    assert(ldms >= 1 && ldms <= PST_LDMS_MAX && sources <= PST_SOURCES_MAX);
    assert(pst_timeouts_are_nested(timeouts));
    memset(proxy, 0, sizeof(*proxy));
    proxy->self_ref = self_ref;
    proxy->face_ref = face_ref;
    proxy->ldms = ldms;
    proxy->sources = sources;
    proxy->timeouts = *timeouts;
}

uint64_t pst_proxy_deadline_ns(const struct pst_proxy *proxy)
{
    if (proxy->request.gsn == 0)
        return PST_DEADLINE_NONE;
    if (proxy->state == PST_PROXY_SCANNING && proxy->progress_due_ns < proxy->deadline_ns)
        return proxy->progress_due_ns;
    return proxy->resume_ns < proxy->deadline_ns ? proxy->resume_ns : proxy->deadline_ns;
}

/* Forgets the last backup, and counts what it left. */
static void begin_backup(struct pst_proxy *proxy, const struct pst_signal *define)
{
    pst_senders_release_stale(&proxy->senders);
    pst_dealer_init(&proxy->dealer, proxy->ldms);
    proxy->backup = define->backup;
    proxy->master_ref = define->payload.define.master_ref;
    proxy->gci_max = 0;
    proxy->highest_number = 0;
    proxy->file_bytes = 0;
    proxy->progress_is_new = false;
    memset(&proxy->sums, 0, sizeof(proxy->sums));
    memset(&proxy->progress, 0, sizeof(proxy->progress));
    memset(proxy->ldm_progress, 0, sizeof(proxy->ldm_progress));
    memset(proxy->digest, 0, sizeof(proxy->digest));
}

static void on_cleanup(struct pst_proxy *proxy, const struct pst_signal *request,
                       struct pst_actions *actions)
{
    if (proxy->state == PST_PROXY_IDLE || proxy->backup != request->backup) {
        pst_proxy_confirm(proxy, request, actions); /* nothing of it is here */
        return;
    }
    if (proxy->master_ref != request->payload.order.master_ref) {
        pst_proxy_refuse(proxy, request, PST_E_WRONG_MASTER, proxy->face_ref, actions);
        return;
    }
    if (proxy->state == PST_PROXY_CLEANING || proxy->state == PST_PROXY_COMMITTING) {
        bool cleans = proxy->state == PST_PROXY_CLEANING;
        pst_proxy_refuse(proxy, request, cleans ? PST_E_CLEANING : PST_E_WRONG_STATE,
                         proxy->face_ref, actions);
        return;
    }
    if (proxy->request.gsn != 0) { /* the master no longer waits for it */
        if (proxy->sender)
            pst_sender_abandon(proxy->sender);
        pst_proxy_note_error(proxy, PST_E_WRONG_STATE, proxy->face_ref);
        pst_proxy_finish(proxy, actions);
    }
    pst_proxy_serve(proxy, request, PST_PROXY_CLEANING, actions);
}

/* Why an order cannot be served; 0 if it can. */
static uint32_t order_error(const struct pst_proxy *proxy, const struct pst_signal *request,
                            enum pst_proxy_state from)
{
    if (request->gsn == PST_DEFINE_BACKUP_REQ) {
        if (proxy->state == PST_PROXY_IDLE)
            return 0;
        bool cleans = proxy->state == PST_PROXY_ABORTED || proxy->state == PST_PROXY_CLEANING;
        return cleans ? PST_E_CLEANING : PST_E_BUSY;
    }
    if (proxy->state == PST_PROXY_IDLE || proxy->backup != request->backup)
        return PST_E_UNKNOWN_BACKUP;
    if (proxy->master_ref != request->payload.order.master_ref)
        return PST_E_WRONG_MASTER;
    return proxy->state == from ? 0 : PST_E_WRONG_STATE;
}

static void on_request(struct pst_proxy *proxy, const struct pst_signal *request,
                       struct pst_actions *actions)
{
    if (request->gsn == PST_CLEANUP_BACKUP_REQ) {
        on_cleanup(proxy, request, actions);
        return;
    }
    for (uint32_t i = 0; i < pst_proxy_transitions_count; i++) {
        const struct pst_proxy_transition *transition = &pst_proxy_transitions[i];
        if (transition->gsn != request->gsn)
            continue;
        uint32_t error = order_error(proxy, request, transition->from);
        if (error) {
            pst_proxy_refuse(proxy, request, error, proxy->face_ref, actions);
            return;
        }
        if (request->gsn == PST_DEFINE_BACKUP_REQ)
            begin_backup(proxy, request);
        pst_proxy_serve(proxy, request, transition->busy, actions);
        return;
    }
    proxy->senders.stray_answers++; /* no signal for a proxy */
}

static void collect(struct pst_proxy *proxy, const struct pst_signal *answer, uint32_t member,
                    struct pst_actions *actions)
{
    const union pst_payload *payload = &answer->payload;
    switch (answer->gsn) {
    case PST_ARCHIVE_DEFINE_REF:
        proxy->highest_number = payload->ref.number;
        break;
    case PST_SOURCE_FREEZE_CONF:
        if (payload->gci.start_gci > proxy->gci_max)
            proxy->gci_max = payload->gci.start_gci;
        break;
    case PST_SOURCE_LIST_CONF:
        proxy->sums.unreadable += payload->list_conf.unreadable;
        break;
    case PST_ARCHIVE_MANIFEST_CONF:
        proxy->file_bytes = payload->commit.file_bytes;
        memcpy(proxy->digest, payload->commit.digest, sizeof(proxy->digest));
        break;
    case PST_STOP_BACKUP_CONF: {
        pst_sums_add(&proxy->sums, &payload->stop_conf.sums);
        struct pst_signal *part =
            pst_actions_send(actions, PST_ARCHIVE_PART_ORD, proxy->self_ref,
                             pst_ref_make(own_node(proxy), PST_BLOCK_ARCHIVE, 0), proxy->backup, 0);
        part->payload.archive_item.master_ref = proxy->master_ref;
        part->payload.archive_item.item = member + 1;
        part->payload.archive_item.sums = payload->stop_conf.sums;
        part->payload.archive_item.file_bytes = payload->stop_conf.file_bytes;
        memcpy(part->payload.archive_item.digest, payload->stop_conf.digest, 16);
        break;
    }
    default:
        break;
    }
}

uint32_t pst_proxy_member_of(const struct pst_proxy *proxy, enum pst_block block,
                             pst_ref sender_ref)
{
    uint32_t instance = pst_ref_instance(sender_ref);
    if (pst_ref_node(sender_ref) != own_node(proxy) || pst_ref_block(sender_ref) != block)
        return NO_MEMBER;
    switch (block) {
    case PST_BLOCK_BACKUP:
        return instance >= 1 && instance <= proxy->ldms ? instance - 1 : NO_MEMBER;
    case PST_BLOCK_SOURCE:
        return instance < proxy->sources ? instance : NO_MEMBER;
    case PST_BLOCK_ARCHIVE:
        return instance == 0 ? 0 : NO_MEMBER;
    default:
        return NO_MEMBER;
    }
}

static enum pst_block answering_block(uint16_t gsn)
{
    if (gsn >= PST_ARCHIVE_NUMBER_REQ)
        return PST_BLOCK_ARCHIVE;
    return gsn >= PST_SOURCE_FREEZE_REQ ? PST_BLOCK_SOURCE : PST_BLOCK_BACKUP;
}

static void on_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                      struct pst_actions *actions)
{
    uint32_t member = pst_proxy_member_of(proxy, answering_block(answer->gsn), answer->sender_ref);
    struct pst_sender *sender = pst_senders_answer(&proxy->senders, answer, member);
    if (!sender)
        return;
    assert(sender == proxy->sender);
    collect(proxy, answer, member, actions);
    if (pst_proxy_is_listing(proxy) && sender->error != 0)
        pst_proxy_fail_scan(proxy, sender->error, sender->where, actions);
    pst_proxy_end_step(proxy, actions);
}

static void on_abort(struct pst_proxy *proxy, const struct pst_signal *order,
                     struct pst_actions *actions)
{
    const struct pst_abort_backup_ord *abort = &order->payload.abort;
    if (proxy->state == PST_PROXY_IDLE || proxy->state == PST_PROXY_COMMITTING ||
        proxy->state == PST_PROXY_CLEANING || proxy->state == PST_PROXY_ABORTED ||
        proxy->backup != order->backup || proxy->master_ref != abort->master_ref)
        return;
    if (proxy->request.gsn == 0)
        proxy->error = 0;
    bool stopped = proxy->state == PST_PROXY_SCANNING && proxy->error != 0;
    pst_proxy_note_error(proxy, abort->error != 0 ? abort->error : PST_E_BACKUP_FAILURE,
                         abort->where);
    if (!stopped)
        pst_proxy_stop_work(proxy, actions);
    if (proxy->request.gsn == 0) {
        proxy->state = PST_PROXY_ABORTED;
        return;
    }
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
    proxy->tries = PST_FREEZE_TRIES_MAX; /* whatever the reason, it is not tried again */
    proxy->resume_ns = PST_DEADLINE_NONE;
    pst_proxy_end_step(proxy, actions);
}

static void on_timer(struct pst_proxy *proxy, struct pst_actions *actions)
{
    if (proxy->request.gsn == 0)
        return;
    if (proxy->now_ns >= proxy->deadline_ns)
        pst_proxy_give_up(proxy, actions);
    else if (proxy->now_ns >= proxy->resume_ns)
        pst_proxy_resume(proxy, actions);
    else if (proxy->state == PST_PROXY_SCANNING && proxy->now_ns >= proxy->progress_due_ns)
        pst_proxy_report_progress(proxy, actions);
}

/* Frees the LDMs, and leaves the files to the archive, which tells the outcome machine. */
static void leave_in_doubt(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->in_doubt++;
    pst_actions_send(actions, PST_ARCHIVE_LEAVE_ORD, proxy->self_ref,
                     pst_ref_make(own_node(proxy), PST_BLOCK_ARCHIVE, 0), proxy->backup, 0)
        ->payload.order.master_ref = proxy->master_ref;
    struct pst_signal commit = {.gsn = PST_COMMIT_BACKUP_REQ, .backup = proxy->backup};
    pst_proxy_take_order(proxy, &commit, PST_PROXY_COMMITTING);
    proxy->step++; /* the archive has no decision to store */
    pst_proxy_advance(proxy, actions);
}

/* The master died. Before *prepared* the node aborts and cleans up by itself. */
static void on_node_failed(struct pst_proxy *proxy, uint32_t node, struct pst_actions *actions)
{
    if (proxy->state == PST_PROXY_IDLE || pst_ref_node(proxy->master_ref) != node ||
        proxy->state == PST_PROXY_COMMITTING || proxy->state == PST_PROXY_CLEANING)
        return;
    if (proxy->state == PST_PROXY_PREPARED) {
        leave_in_doubt(proxy, actions);
        return;
    }
    if (proxy->sender)
        pst_sender_abandon(proxy->sender);
    proxy->error = 0;
    pst_proxy_note_error(proxy, PST_E_NODE_FAILED, proxy->master_ref);
    pst_proxy_stop_work(proxy, actions);
    struct pst_signal cleanup = {.gsn = PST_CLEANUP_BACKUP_REQ, .backup = proxy->backup};
    cleanup.payload.order.master_ref = proxy->master_ref;
    pst_proxy_serve(proxy, &cleanup, PST_PROXY_CLEANING, actions);
}

static void on_signal(struct pst_proxy *proxy, const struct pst_signal *signal,
                      struct pst_actions *actions)
{
    switch (signal->gsn) {
    case PST_ABORT_BACKUP_ORD:
        on_abort(proxy, signal, actions);
        break;
    case PST_SOURCE_FRAGMENT_REP:
        pst_proxy_on_fragment_listed(proxy, signal, actions);
        break;
    case PST_BACKUP_PROGRESS_REP:
        pst_proxy_on_progress(proxy, signal);
        break;
    case PST_BACKUP_FRAGMENT_CONF:
    case PST_BACKUP_FRAGMENT_REF:
        pst_proxy_on_fragment_answer(proxy, signal, actions);
        break;
    default:
        if (pst_gsn_answered(signal->gsn) != 0)
            on_answer(proxy, signal, actions);
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
}
