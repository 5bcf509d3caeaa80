/* One LDM's part in a backup: takes orders and ends of works, and moves from state to state as its
 * tables say. Pure; stepped by its LDM's thread (ldm.c). */
#include "engine/protocol/participant.h"

#include <assert.h>
#include <string.h>

#include "penstock/error.h"

/* CLEANUP_BACKUP_REQ has no row: it is legal in every state but COMMITTING, where a decided backup
 * would be removed, and IDLE, where there is nothing to do and it is confirmed. */
const struct participant_transition participant_transitions[] = {
    {PST_PARTICIPANT_IDLE, PST_DEFINE_BACKUP_REQ, PST_WORK_OPEN, PST_PARTICIPANT_DEFINING,
     PST_PARTICIPANT_DEFINED},
    {PST_PARTICIPANT_DEFINED, PST_START_BACKUP_REQ, PST_WORK_START, PST_PARTICIPANT_STARTING,
     PST_PARTICIPANT_STARTED},
    {PST_PARTICIPANT_STARTED, PST_BACKUP_FRAGMENT_REQ, PST_WORK_SCAN, PST_PARTICIPANT_SCANNING,
     PST_PARTICIPANT_STARTED},
    {PST_PARTICIPANT_SCANNING, PST_BACKUP_FRAGMENT_REQ, PST_WORK_SCAN, PST_PARTICIPANT_SCANNING,
     PST_PARTICIPANT_STARTED},
    {PST_PARTICIPANT_STARTED, PST_STOP_BACKUP_REQ, PST_WORK_STOP, PST_PARTICIPANT_STOPPING,
     PST_PARTICIPANT_PREPARED},
    {PST_PARTICIPANT_PREPARED, PST_COMMIT_BACKUP_REQ, PST_WORK_RELEASE, PST_PARTICIPANT_COMMITTING,
     PST_PARTICIPANT_IDLE},
};
const uint32_t participant_transitions_count =
    sizeof(participant_transitions) / sizeof(participant_transitions[0]);

/* What a state means. */
struct rule {
    uint16_t order;   /* the REQ in service; 0: none is, scans excepted */
    int define_error; /* a DEFINE is refused with this, negative; 0: it is served */
    bool may_abort;   /* ABORT_BACKUP_ORD, or a deadline, stops it */
    bool is_open;     /* the part is open and not durable: its trouble is reported */
    bool dies;        /* the death of the master makes it clean up by itself */
};

/* docs/protocol.md: "What is illegal", "Deadlines", "Abort", "Nodes that fail and join". */
#define RULE(...)                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define RULE_IDLE RULE(0, 0, false, false, false)
#define RULE_DEFINING RULE(PST_DEFINE_BACKUP_REQ, -PST_E_BUSY, true, false, true)
#define RULE_DEFINED RULE(0, -PST_E_BUSY, true, true, true)
#define RULE_STARTING RULE(PST_START_BACKUP_REQ, -PST_E_BUSY, true, true, true)
#define RULE_STARTED RULE(0, -PST_E_BUSY, true, true, true)
#define RULE_SCANNING RULE(0, -PST_E_BUSY, true, true, true)
#define RULE_STOPPING RULE(PST_STOP_BACKUP_REQ, -PST_E_BUSY, true, true, true)
#define RULE_PREPARED RULE(0, -PST_E_BUSY, true, false, false)
#define RULE_COMMITTING RULE(PST_COMMIT_BACKUP_REQ, -PST_E_BUSY, false, false, false)
#define RULE_ABORTED RULE(0, -PST_E_CLEANING, false, false, true)
#define RULE_CLEANING RULE(PST_CLEANUP_BACKUP_REQ, -PST_E_CLEANING, false, false, false)

/* A state without a rule does not compile. */
static const struct {
    const char *name;
    struct rule rule;
} states[] = {
#define X(name, meaning) [PST_PARTICIPANT_##name] = {#name, RULE_##name},
    PST_PARTICIPANT_STATE_LIST(X)
#undef X
};

const char *pst_participant_state_name(enum pst_participant_state state)
{
    assert(state < PST_PARTICIPANT_STATES);
    return states[state].name;
}

static const struct rule *rule_of(const struct pst_participant *participant)
{
    assert(participant->state < PST_PARTICIPANT_STATES);
    return &states[participant->state].rule;
}

void participant_init(struct pst_participant *participant, pst_ref self_ref,
                      const struct pst_timeouts *timeouts)
{
    assert(timeouts_are_nested(timeouts));
    memset(participant, 0, sizeof(*participant));
    participant->self_ref = self_ref;
    participant->timeouts = *timeouts;
}

uint64_t participant_deadline_ns(const struct pst_participant *participant)
{
    return participant->request != 0 ? participant->deadline_ns : PST_DEADLINE_NONE;
}

static void stray(struct pst_participant *participant)
{
    participant->stray_events++;
}

static void refuse(const struct pst_participant *participant, uint16_t request, pst_ref to,
                   uint32_t sequence, uint64_t backup, int error, pst_ref where,
                   struct pst_actions *actions)
{
    assert(error < 0 && gsn_is_request(request));
    struct pst_signal *ref =
        actions_send(actions, PST_REF_OF(request), participant->self_ref, to, backup, sequence);
    ref->payload.ref.master_ref = participant->master_ref;
    ref->payload.ref.error = pst_reason_of(error);
    ref->payload.ref.where = where;
}

static struct pst_signal *confirm(const struct pst_participant *participant, uint16_t request,
                                  pst_ref to, uint32_t sequence, struct pst_actions *actions)
{
    struct pst_signal *conf = actions_send(actions, PST_CONF_OF(request), participant->self_ref, to,
                                           participant->backup, sequence);
    conf->payload.order.master_ref = participant->master_ref;
    return conf;
}

/* Answers the REQ in service, if there still is one, with an error. */
static void refuse_current(struct pst_participant *participant, int error, pst_ref where,
                           struct pst_actions *actions)
{
    if (participant->request == 0)
        return;
    refuse(participant, participant->request, participant->sender_ref, participant->sequence,
           participant->backup, error, where, actions);
    participant->request = 0;
}

static void refuse_scans(struct pst_participant *participant, int error, pst_ref where,
                         struct pst_actions *actions)
{
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        struct participant_scan *scan = &participant->scans[i];
        if (scan->sequence == 0 || scan->sender_ref == 0)
            continue;
        refuse(participant, PST_BACKUP_FRAGMENT_REQ, scan->sender_ref, scan->sequence,
               participant->backup, error, where, actions);
        scan->sender_ref = 0;
    }
}

static void begin_backup(struct pst_participant *participant, const struct pst_signal *define)
{
    participant->backup = define->backup;
    participant->master_ref = define->payload.define.master_ref;
    participant->error = 0;
    participant->where = 0;
    participant->trouble_reported = false;
    participant->scans_running = 0;
    memset(participant->scans, 0, sizeof(participant->scans));
}

static void serve(struct pst_participant *participant, const struct pst_signal *request,
                  const struct participant_transition *transition, uint64_t now_ns,
                  struct pst_actions *actions)
{
    participant->state = transition->busy;
    participant->sender_ref = request->sender_ref;
    participant->request = request->gsn;
    participant->sequence = request->sequence;
    participant->deadline_ns = now_ns + participant->timeouts.ldm_ns;
    struct pst_work *work = actions_work(actions, transition->work, request->backup);
    if (request->gsn == PST_DEFINE_BACKUP_REQ) {
        memcpy(work->uid, request->payload.define.uid, sizeof(work->uid));
        work->number = request->payload.define.number;
        work->flags = request->payload.define.flags;
    } else if (request->gsn == PST_STOP_BACKUP_REQ) {
        work->start_gci = request->payload.gci.start_gci;
        work->stop_gci = request->payload.gci.stop_gci;
    }
}

static void serve_scan(struct pst_participant *participant, const struct pst_signal *request,
                       struct pst_actions *actions)
{
    struct participant_scan *scan = participant->scans;
    while (scan < participant->scans + PST_FRAGMENTS_AHEAD && scan->sequence != 0)
        scan++;
    if (scan == participant->scans + PST_FRAGMENTS_AHEAD || request->sequence == 0) {
        refuse(participant, request->gsn, request->sender_ref, request->sequence, request->backup,
               -PST_E_NO_RESOURCES, participant->self_ref, actions);
        return;
    }
    const struct pst_fragment *fragment = &request->payload.fragment;
    participant->state = PST_PARTICIPANT_SCANNING;
    participant->sender_ref = request->sender_ref;
    *scan = (struct participant_scan){request->sequence, fragment->source, fragment->fragment,
                                      request->sender_ref};
    participant->scans_running++;
    struct pst_work *work = actions_work(actions, PST_WORK_SCAN, request->backup);
    work->source = fragment->source;
    work->fragment = fragment->fragment;
}

/* Why an order cannot be served, negative; 0 if it can. docs/protocol.md, "What is illegal". */
static int order_error(const struct pst_participant *participant, const struct pst_signal *request)
{
    if (request->gsn == PST_DEFINE_BACKUP_REQ)
        return rule_of(participant)->define_error;
    if (participant->state == PST_PARTICIPANT_IDLE || participant->backup != request->backup)
        return -PST_E_UNKNOWN_BACKUP;
    if (participant->master_ref != request->payload.order.master_ref)
        return -PST_E_WRONG_MASTER;
    return 0;
}

static void discard(struct pst_participant *participant, struct pst_actions *actions)
{
    assert(participant->state != PST_PARTICIPANT_CLEANING &&
           participant->state != PST_PARTICIPANT_COMMITTING);
    participant->state = PST_PARTICIPANT_CLEANING;
    actions_work(actions, PST_WORK_DISCARD, participant->backup);
}

static void on_cleanup(struct pst_participant *participant, const struct pst_signal *request,
                       uint64_t now_ns, struct pst_actions *actions)
{
    int error = order_error(participant, request);
    if (error == -PST_E_UNKNOWN_BACKUP) { /* nothing of it is here */
        struct pst_signal *conf =
            confirm(participant, request->gsn, request->sender_ref, request->sequence, actions);
        conf->backup = request->backup;
        conf->payload.order.master_ref = request->payload.order.master_ref;
        return;
    }
    if (!error && participant->request == PST_CLEANUP_BACKUP_REQ)
        error = -PST_E_CLEANING;
    if (!error && participant->state == PST_PARTICIPANT_COMMITTING)
        error = -PST_E_WRONG_STATE; /* what is decided is never removed */
    if (error) {
        refuse(participant, request->gsn, request->sender_ref, request->sequence, request->backup,
               error, participant->self_ref, actions);
        return;
    }
    refuse_current(participant, -PST_E_WRONG_STATE, participant->self_ref, actions);
    refuse_scans(participant, -PST_E_WRONG_STATE, participant->self_ref, actions);
    participant->request = request->gsn;
    participant->sequence = request->sequence;
    participant->sender_ref = request->sender_ref;
    participant->deadline_ns = now_ns + participant->timeouts.ldm_ns;
    if (participant->state != PST_PARTICIPANT_CLEANING)
        discard(participant, actions);
}

static void on_request(struct pst_participant *participant, const struct pst_signal *request,
                       uint64_t now_ns, struct pst_actions *actions)
{
    bool known = false;
    int error = order_error(participant, request);
    for (uint32_t i = 0; i < participant_transitions_count; i++) {
        const struct participant_transition *transition = &participant_transitions[i];
        if (transition->gsn != request->gsn)
            continue;
        known = true;
        if (error || transition->from != participant->state)
            continue;
        if (request->gsn == PST_DEFINE_BACKUP_REQ)
            begin_backup(participant, request);
        if (transition->work == PST_WORK_SCAN)
            serve_scan(participant, request, actions);
        else
            serve(participant, request, transition, now_ns, actions);
        return;
    }
    if (known)
        refuse(participant, request->gsn, request->sender_ref, request->sequence, request->backup,
               error ? error : -PST_E_WRONG_STATE, participant->self_ref, actions);
    else
        stray(participant);
}

static void be_aborted(struct pst_participant *participant, int error, pst_ref where)
{
    assert(error < 0 && rule_of(participant)->may_abort);
    participant->state = PST_PARTICIPANT_ABORTED;
    participant->error = error;
    participant->where = where;
}

static void on_abort(struct pst_participant *participant, const struct pst_signal *order,
                     struct pst_actions *actions)
{
    const struct pst_abort_backup_ord *abort = &order->payload.abort;
    if (!rule_of(participant)->may_abort || participant->backup != order->backup ||
        participant->master_ref != abort->master_ref) {
        stray(participant);
        return;
    }
    be_aborted(participant, abort->error != 0 ? pst_error_of(abort->error) : -PST_E_BACKUP_FAILURE,
               abort->where);
    if (participant->scans_running > 0)
        actions_work(actions, PST_WORK_HALT, participant->backup);
}

static void on_scan_done(struct pst_participant *participant, const struct pst_work_result *result,
                         struct pst_actions *actions)
{
    struct participant_scan *scan = participant->scans;
    while (scan->sequence == 0 || scan->source != result->source ||
           scan->fragment != result->fragment) {
        if (++scan == participant->scans + PST_FRAGMENTS_AHEAD) {
            stray(participant);
            return;
        }
    }
    int error = result->error;
    if (participant->state == PST_PARTICIPANT_ABORTED)
        error = participant->error;
    if (scan->sender_ref != 0 && error) {
        pst_ref where = participant->state == PST_PARTICIPANT_ABORTED ? participant->where
                                                                      : participant->self_ref;
        refuse(participant, PST_BACKUP_FRAGMENT_REQ, scan->sender_ref, scan->sequence,
               participant->backup, error, where, actions);
    } else if (scan->sender_ref != 0) {
        struct pst_signal *conf = confirm(participant, PST_BACKUP_FRAGMENT_REQ, scan->sender_ref,
                                          scan->sequence, actions);
        conf->payload.fragment_conf.source = result->source;
        conf->payload.fragment_conf.fragment = result->fragment;
        conf->payload.fragment_conf.sums = result->sums;
    }
    assert(participant->scans_running > 0);
    scan->sequence = 0;
    participant->scans_running--;
    if (participant->state == PST_PARTICIPANT_SCANNING && participant->scans_running == 0)
        participant->state = PST_PARTICIPANT_STARTED;
}

static void on_discard_done(struct pst_participant *participant,
                            const struct pst_work_result *result, struct pst_actions *actions)
{
    participant->state = PST_PARTICIPANT_IDLE;
    if (result->error != 0)
        refuse_current(participant, result->error, participant->self_ref, actions);
    else if (participant->request != 0)
        confirm(participant, participant->request, participant->sender_ref, participant->sequence,
                actions);
    participant->request = 0;
}

static void confirm_work(struct pst_participant *participant, const struct pst_work_result *result,
                         struct pst_actions *actions)
{
    struct pst_signal *conf = confirm(participant, participant->request, participant->sender_ref,
                                      participant->sequence, actions);
    if (participant->request == PST_STOP_BACKUP_REQ) {
        conf->payload.stop_conf.sums = result->sums;
        conf->payload.stop_conf.file_bytes = result->file_bytes;
        memcpy(conf->payload.stop_conf.digest, result->digest, sizeof(result->digest));
    }
}

/* The row of the REQ in service, if it is this work that it waits for. */
static const struct participant_transition *transition_of(const struct pst_participant *participant,
                                                          enum pst_work_type work)
{
    for (uint32_t i = 0; i < participant_transitions_count; i++) {
        const struct participant_transition *transition = &participant_transitions[i];
        if (transition->work == work && transition->gsn == participant->request)
            return transition;
    }
    return NULL;
}

static void on_work_done(struct pst_participant *participant, const struct pst_work_result *result,
                         struct pst_actions *actions)
{
    assert(result->error <= 0);
    if (participant->state == PST_PARTICIPANT_IDLE || result->backup != participant->backup) {
        stray(participant);
        return;
    }
    if (result->type == PST_WORK_SCAN) {
        on_scan_done(participant, result, actions);
        return;
    }
    if (result->type == PST_WORK_DISCARD && participant->state == PST_PARTICIPANT_CLEANING) {
        on_discard_done(participant, result, actions);
        return;
    }
    const struct participant_transition *transition = transition_of(participant, result->type);
    if (!transition) { /* nobody asked for it, or its REQ has been answered: it was late */
        stray(participant);
        if (result->type == PST_WORK_RELEASE && participant->state == PST_PARTICIPANT_COMMITTING)
            participant->state = PST_PARTICIPANT_IDLE;
        return;
    }
    if (participant->state == PST_PARTICIPANT_ABORTED) {
        refuse_current(participant, participant->error, participant->where, actions);
    } else if (result->error != 0 && result->type == PST_WORK_RELEASE) {
        refuse_current(participant, result->error, participant->self_ref, actions);
        participant->state = PST_PARTICIPANT_IDLE; /* decided: there is nothing to clean up */
    } else if (result->error != 0) {
        be_aborted(participant, result->error, participant->self_ref);
        refuse_current(participant, participant->error, participant->where, actions);
    } else {
        confirm_work(participant, result, actions);
        participant->state = transition->done;
    }
    participant->request = 0;
}

/* Trouble of its own that no answer will report goes straight to the master, past the proxy. */
static void on_trouble(struct pst_participant *participant, int error, struct pst_actions *actions)
{
    if (!rule_of(participant)->is_open || participant->trouble_reported)
        return;
    participant->trouble_reported = true;
    struct pst_signal *order = actions_send(actions, PST_ABORT_BACKUP_ORD, participant->self_ref,
                                            participant->master_ref, participant->backup, 0);
    order->payload.abort.master_ref = participant->master_ref;
    order->payload.abort.request = PST_ABORT_FILE_OR_SCAN;
    order->payload.abort.error = pst_reason_of(error);
    order->payload.abort.where = participant->self_ref;
}

/* In STOPPING it reads its part back, which may take longer than any other work: docs/protocol.md,
 * "Deadlines". */
static void on_progress(struct pst_participant *participant, const struct pst_sums *sums,
                        uint64_t now_ns, struct pst_actions *actions)
{
    if (participant->state == PST_PARTICIPANT_STOPPING)
        participant->deadline_ns = now_ns + participant->timeouts.ldm_ns;
    else if (participant->state != PST_PARTICIPANT_SCANNING)
        return;
    struct pst_signal *report =
        actions_send(actions, PST_BACKUP_PROGRESS_REP, participant->self_ref,
                     participant->sender_ref, participant->backup, 0);
    report->payload.progress.master_ref = participant->master_ref;
    report->payload.progress.sums = *sums;
}

/* The work goes on, but nobody waits for it; a later CLEANUP does: docs/protocol.md, "Deadlines".
 */
static void on_timer(struct pst_participant *participant, uint64_t now_ns,
                     struct pst_actions *actions)
{
    if (participant->request == 0 || now_ns < participant->deadline_ns)
        return;
    refuse_current(participant, -PST_E_TIMEOUT, participant->self_ref, actions);
    if (rule_of(participant)->may_abort)
        be_aborted(participant, -PST_E_TIMEOUT, participant->self_ref);
}

/* The master died: what is not prepared goes. Of a prepared part only the proxy knows whether the
 * whole node is prepared: it orders CLEANUP, or COMMIT, which keeps the part and frees the LDM. */
static void on_node_failed(struct pst_participant *participant, uint32_t node,
                           struct pst_actions *actions)
{
    if (!rule_of(participant)->dies || pst_ref_node(participant->master_ref) != node)
        return;
    refuse_current(participant, -PST_E_NODE_FAILED, participant->master_ref, actions);
    refuse_scans(participant, -PST_E_NODE_FAILED, participant->master_ref, actions);
    discard(participant, actions);
}

static void on_signal(struct pst_participant *participant, const struct pst_signal *signal,
                      uint64_t now_ns, struct pst_actions *actions)
{
    switch (signal->gsn) {
    case PST_ABORT_BACKUP_ORD:
        on_abort(participant, signal, actions);
        break;
    case PST_CLEANUP_BACKUP_REQ:
        on_cleanup(participant, signal, now_ns, actions);
        break;
    default:
        on_request(participant, signal, now_ns, actions);
    }
}

/* What was stopped may still have scans that end later; nothing else but SCANNING has. */
static void check_scans(const struct pst_participant *participant)
{
    bool scans = participant->state == PST_PARTICIPANT_SCANNING;
    uint32_t running = 0;
    for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++) {
        const struct participant_scan *scan = &participant->scans[i];
        if (scan->sequence == 0)
            continue;
        running++;
        assert(scans || !rule_of(participant)->may_abort);
        assert(!scans || scan->sender_ref != 0);
        /* The cleanup has answered them all. */
        assert(participant->state != PST_PARTICIPANT_CLEANING || scan->sender_ref == 0);
    }
    assert(participant->scans_running == running);
    assert(!scans || running > 0);
}

static void check(const struct pst_participant *participant, uint64_t now_ns)
{
    const struct rule *rule = rule_of(participant);
    assert(pst_ref_block(participant->self_ref) == PST_BLOCK_BACKUP);
    /* A busy state serves its own order: docs/protocol.md, "Participant". An abort leaves the order
     * in service until its work has ended; a deadline answers what still goes on. */
    if (rule->may_abort)
        assert(participant->request == rule->order);
    else if (participant->state != PST_PARTICIPANT_ABORTED)
        assert(participant->request == rule->order || participant->request == 0);
    assert(participant->request != PST_COMMIT_BACKUP_REQ ||
           participant->state == PST_PARTICIPANT_COMMITTING);
    assert(participant->request != PST_CLEANUP_BACKUP_REQ ||
           participant->state == PST_PARTICIPANT_CLEANING);
    assert(participant->request == 0 ||
           participant->deadline_ns <= now_ns + participant->timeouts.ldm_ns);
    assert(participant->error <= 0);
    assert(!rule->may_abort || !participant->error);
    assert(participant->state != PST_PARTICIPANT_ABORTED || participant->error);
    check_scans(participant);
}

void participant_step(struct pst_participant *participant, const struct pst_event *event,
                      struct pst_actions *actions)
{
    switch (event->type) {
    case PST_EVENT_SIGNAL:
        on_signal(participant, event->signal, event->now_ns, actions);
        break;
    case PST_EVENT_TIMER:
        on_timer(participant, event->now_ns, actions);
        break;
    case PST_EVENT_NODE_FAILED:
        on_node_failed(participant, event->node, actions);
        break;
    case PST_EVENT_NODE_JOINED:
        break;
    case PST_EVENT_WORK_DONE:
        on_work_done(participant, &event->work, actions);
        break;
    case PST_EVENT_PROGRESS:
        on_progress(participant, &event->progress, event->now_ns, actions);
        break;
    case PST_EVENT_TROUBLE:
        on_trouble(participant, event->trouble, actions);
        break;
    }
    check(participant, event->now_ns);
}
