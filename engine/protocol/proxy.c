#include "engine/protocol/proxy.h"

#include <assert.h>
#include <string.h>

enum target {
    TO_END, /* the script has no more steps */
    TO_ARCHIVE,
    TO_LDMS,
    TO_SOURCES,
    TO_SOURCES_IN_TURN, /* one after the other, in name order */
    TO_SCAN,            /* sources list, LDMs are dealt fragments */
};

struct script {
    uint16_t gsn;
    bool goes_on; /* an error does not stop it: what can be done is done */
    struct {
        enum target target;
        uint16_t gsn;
    } steps[4];
};

static const struct script scripts[] = {
    {PST_DEFINE_BACKUP_REQ,
     false,
     {{TO_ARCHIVE, PST_ARCHIVE_DEFINE_REQ}, {TO_LDMS, PST_DEFINE_BACKUP_REQ}}},
    {PST_START_BACKUP_REQ, false, {{TO_LDMS, PST_START_BACKUP_REQ}}},
    {PST_GCP_PREPARE_REQ, false, {{TO_SOURCES_IN_TURN, PST_SOURCE_FREEZE_REQ}}},
    {PST_GCP_COMMIT_REQ,
     false,
     {{TO_SOURCES, PST_SOURCE_SNAPSHOT_REQ}, {TO_SOURCES, PST_SOURCE_THAW_REQ}}},
    {PST_BACKUP_FRAGMENT_REQ,
     false,
     {{TO_SCAN, PST_SOURCE_LIST_REQ}, {TO_SOURCES, PST_SOURCE_RELEASE_REQ}}},
    {PST_STOP_BACKUP_REQ,
     false,
     {{TO_LDMS, PST_STOP_BACKUP_REQ}, {TO_ARCHIVE, PST_ARCHIVE_MANIFEST_REQ}}},
    {PST_COMMIT_BACKUP_REQ,
     true,
     {{TO_ARCHIVE, PST_ARCHIVE_COMMIT_REQ}, {TO_LDMS, PST_COMMIT_BACKUP_REQ}}},
    {PST_CLEANUP_BACKUP_REQ,
     true,
     {{TO_LDMS, PST_CLEANUP_BACKUP_REQ}, /* first: they read what the sources hold */
      {TO_SOURCES, PST_SOURCE_RELEASE_REQ},
      {TO_ARCHIVE, PST_ARCHIVE_CLEANUP_REQ}}},
};

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
    return proxy->deadline_ns;
}

static uint32_t own_node(const struct pst_proxy *proxy)
{
    return pst_ref_node(proxy->self_ref);
}

static const struct script *script_of(uint16_t gsn)
{
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (scripts[i].gsn == gsn)
            return &scripts[i];
    }
    return NULL;
}

static enum target current_target(const struct pst_proxy *proxy)
{
    return script_of(proxy->request.gsn)->steps[proxy->step].target;
}

static void note_error(struct pst_proxy *proxy, uint32_t error, pst_ref where)
{
    if (proxy->error != 0 || error == 0)
        return;
    proxy->error = error;
    proxy->where = where;
}

static void refuse(const struct pst_proxy *proxy, const struct pst_signal *request, uint32_t error,
                   pst_ref where, struct pst_actions *actions)
{
    struct pst_signal *ref =
        pst_actions_send(actions, PST_REF_OF(request->gsn), proxy->face_ref, request->sender_ref,
                         request->backup, request->sequence);
    ref->payload.ref.master_ref = request->payload.order.master_ref;
    ref->payload.ref.error = error;
    ref->payload.ref.where = where;
}

static void confirm(const struct pst_proxy *proxy, const struct pst_signal *request,
                    struct pst_actions *actions)
{
    struct pst_signal *conf =
        pst_actions_send(actions, PST_CONF_OF(request->gsn), proxy->face_ref, request->sender_ref,
                         request->backup, request->sequence);
    conf->payload.order.master_ref = request->payload.order.master_ref;
    switch (request->gsn) {
    case PST_GCP_PREPARE_REQ:
        conf->payload.gci.start_gci = proxy->gci_max;
        break;
    case PST_GCP_COMMIT_REQ:
        conf->payload.gci = request->payload.gci;
        break;
    case PST_BACKUP_FRAGMENT_REQ:
        conf->payload.fragment_conf.sums = proxy->progress;
        break;
    case PST_STOP_BACKUP_REQ:
        conf->payload.stop_conf.sums = proxy->sums;
        conf->payload.stop_conf.file_bytes = proxy->file_bytes;
        memcpy(conf->payload.stop_conf.digest, proxy->digest, sizeof(proxy->digest));
        break;
    default:
        break;
    }
}

/* The order in service has ended: answers it, once. Nobody asked for a cleanup of our own. */
static void finish(struct pst_proxy *proxy, struct pst_actions *actions)
{
    struct pst_signal request = proxy->request;
    proxy->request.gsn = 0;
    proxy->sender = NULL;
    if (request.sender_ref != 0 && proxy->error != 0)
        refuse(proxy, &request, proxy->error, proxy->where, actions);
    else if (request.sender_ref != 0)
        confirm(proxy, &request, actions);
    if (request.gsn == PST_CLEANUP_BACKUP_REQ || request.gsn == PST_COMMIT_BACKUP_REQ) {
        proxy->state = PST_PROXY_IDLE;
        return;
    }
    for (uint32_t i = 0; proxy->error == 0 && i < pst_proxy_transitions_count; i++) {
        if (pst_proxy_transitions[i].gsn == request.gsn) {
            proxy->state = pst_proxy_transitions[i].done;
            return;
        }
    }
    proxy->state = PST_PROXY_ABORTED;
}

/* LDMs and sources are to end what they are doing; they answer it. */
static void stop_work(struct pst_proxy *proxy, struct pst_actions *actions)
{
    pst_dealer_stop(&proxy->dealer);
    struct pst_set ldms = pst_set_first(proxy->ldms);
    struct pst_signal *ord =
        pst_actions_fan_out(actions, PST_ABORT_BACKUP_ORD, proxy->self_ref, PST_ROUTE_LDMS, &ldms,
                            pst_ref_make(own_node(proxy), PST_BLOCK_BACKUP, 0), proxy->backup, 0);
    ord->payload.abort.master_ref = proxy->master_ref;
    ord->payload.abort.request = PST_ABORT_BACKUP_FAILURE;
    ord->payload.abort.error = proxy->error;
    ord->payload.abort.where = proxy->where;
    if (proxy->sources == 0)
        return;
    struct pst_set sources = pst_set_first(proxy->sources);
    struct pst_signal *abort = pst_actions_fan_out(
        actions, PST_SOURCE_ABORT_ORD, proxy->self_ref, PST_ROUTE_SOURCES, &sources,
        pst_ref_make(own_node(proxy), PST_BLOCK_SOURCE, 0), proxy->backup, 0);
    abort->payload.order.master_ref = proxy->master_ref;
}

/* The scan has failed; what was asked for is still awaited, for a time. */
static void fail_scan(struct pst_proxy *proxy, uint32_t error, pst_ref where,
                      struct pst_actions *actions)
{
    if (proxy->error != 0)
        return;
    note_error(proxy, error != 0 ? error : PST_E_BAD_REQUEST, where);
    stop_work(proxy, actions);
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
}

/* The step's request: what it needs of the order's payload comes first in it. */
static void send_step(struct pst_proxy *proxy, uint16_t gsn, enum pst_route route,
                      enum pst_block block, const struct pst_set *targets,
                      struct pst_actions *actions)
{
    proxy->sender = pst_senders_seize(&proxy->senders, gsn, proxy->backup, targets);
    if (!proxy->sender) {
        note_error(proxy, PST_E_NO_RESOURCES, proxy->face_ref);
        return;
    }
    pst_ref receiver_ref = pst_ref_make(own_node(proxy), block, 0);
    struct pst_signal *request;
    if (route == PST_ROUTE_ONE)
        request = pst_actions_send(actions, gsn, proxy->self_ref, receiver_ref, proxy->backup,
                                   proxy->sender->sequence);
    else
        request = pst_actions_fan_out(actions, gsn, proxy->self_ref, route, targets, receiver_ref,
                                      proxy->backup, proxy->sender->sequence);
    memcpy(&request->payload, &proxy->request.payload, request->length);
    request->payload.order.master_ref = proxy->master_ref;
}

/* Starts the step; false if there is nothing to wait for. */
static bool begin_step(struct pst_proxy *proxy, struct pst_actions *actions)
{
    enum target target = current_target(proxy);
    uint16_t gsn = script_of(proxy->request.gsn)->steps[proxy->step].gsn;
    struct pst_set set = {{0}};
    switch (target) {
    case TO_ARCHIVE:
        set = pst_set_first(1);
        send_step(proxy, gsn, PST_ROUTE_ONE, PST_BLOCK_ARCHIVE, &set, actions);
        break;
    case TO_LDMS:
        set = pst_set_first(proxy->ldms);
        send_step(proxy, gsn, PST_ROUTE_LDMS, PST_BLOCK_BACKUP, &set, actions);
        break;
    case TO_SOURCES:
    case TO_SCAN:
        set = pst_set_first(proxy->sources);
        if (proxy->sources > 0)
            send_step(proxy, gsn, PST_ROUTE_SOURCES, PST_BLOCK_SOURCE, &set, actions);
        break;
    case TO_SOURCES_IN_TURN:
        pst_set_add(&set, proxy->turn);
        if (proxy->turn < proxy->sources)
            send_step(proxy, gsn, PST_ROUTE_SOURCES, PST_BLOCK_SOURCE, &set, actions);
        break;
    default:
        assert(target != TO_END);
    }
    return proxy->sender != NULL;
}

/* Goes through the script until there is something to wait for. */
static void advance(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct script *script = script_of(proxy->request.gsn);
    while ((proxy->error == 0 || script->goes_on) && current_target(proxy) != TO_END) {
        if (begin_step(proxy, actions))
            return;
        proxy->step++;
    }
    finish(proxy, actions);
}

static void take_order(struct pst_proxy *proxy, const struct pst_signal *request,
                       enum pst_proxy_state busy)
{
    proxy->state = busy;
    proxy->request = *request;
    proxy->step = 0;
    proxy->turn = 0;
    proxy->sender = NULL;
    proxy->error = 0;
    proxy->where = 0;
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
    if (busy == PST_PROXY_SCANNING) {
        proxy->deadline_ns = proxy->now_ns + proxy->timeouts.stall_ns;
        proxy->progress_due_ns = proxy->now_ns + proxy->timeouts.progress_ns;
    }
}

static void serve(struct pst_proxy *proxy, const struct pst_signal *request,
                  enum pst_proxy_state busy, struct pst_actions *actions)
{
    take_order(proxy, request, busy);
    advance(proxy, actions);
}

/* Forgets the last backup, and counts what it left. */
static void begin_backup(struct pst_proxy *proxy, const struct pst_signal *define)
{
    pst_senders_release_stale(&proxy->senders);
    pst_dealer_init(&proxy->dealer, proxy->ldms);
    proxy->backup = define->backup;
    proxy->master_ref = define->payload.define.master_ref;
    proxy->gci_max = 0;
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
        confirm(proxy, request, actions); /* nothing of it is here */
        return;
    }
    if (proxy->master_ref != request->payload.order.master_ref) {
        refuse(proxy, request, PST_E_WRONG_MASTER, proxy->face_ref, actions);
        return;
    }
    if (proxy->state == PST_PROXY_CLEANING || proxy->state == PST_PROXY_COMMITTING) {
        bool cleans = proxy->state == PST_PROXY_CLEANING;
        refuse(proxy, request, cleans ? PST_E_CLEANING : PST_E_WRONG_STATE, proxy->face_ref,
               actions);
        return;
    }
    if (proxy->request.gsn != 0) { /* the master no longer waits for it */
        if (proxy->sender)
            pst_sender_abandon(proxy->sender);
        note_error(proxy, PST_E_WRONG_STATE, proxy->face_ref);
        finish(proxy, actions);
    }
    serve(proxy, request, PST_PROXY_CLEANING, actions);
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
        if (error != 0) {
            refuse(proxy, request, error, proxy->face_ref, actions);
            return;
        }
        if (request->gsn == PST_DEFINE_BACKUP_REQ)
            begin_backup(proxy, request);
        serve(proxy, request, transition->busy, actions);
        return;
    }
    proxy->senders.stray_answers++; /* no signal for a proxy */
}

static void deal(struct pst_proxy *proxy, struct pst_actions *actions)
{
    struct pst_fragment fragment;
    while (proxy->error == 0) {
        uint32_t sequence = proxy->senders.sequence + 1;
        uint32_t ldm = pst_dealer_next(&proxy->dealer, sequence, &fragment);
        if (ldm == 0)
            return;
        proxy->senders.sequence = sequence;
        struct pst_signal *request = pst_actions_send(
            actions, PST_BACKUP_FRAGMENT_REQ, proxy->self_ref,
            pst_ref_make(own_node(proxy), PST_BLOCK_BACKUP, ldm), proxy->backup, sequence);
        request->payload.fragment = fragment;
        request->payload.fragment.master_ref = proxy->master_ref;
    }
}

/* Ends the step when all have answered; the scan also waits for what was dealt. */
static void end_step(struct pst_proxy *proxy, struct pst_actions *actions)
{
    enum target target = current_target(proxy);
    if (proxy->sender && !pst_set_is_empty(&proxy->sender->waiting))
        return;
    if (proxy->sender) {
        note_error(proxy, proxy->sender->error, proxy->sender->where);
        pst_sender_release(proxy->sender);
        proxy->sender = NULL;
    }
    if (target == TO_SCAN && proxy->dealer.in_flight + proxy->dealer.queued > 0)
        return;
    if (target == TO_SOURCES_IN_TURN && proxy->turn + 1 < proxy->sources)
        proxy->turn++;
    else
        proxy->step++;
    if (target == TO_SCAN && proxy->error == 0)
        proxy->deadline_ns =
            proxy->now_ns + proxy->timeouts.proxy_ns; /* what follows is judged by time again */
    advance(proxy, actions);
}

static void collect(struct pst_proxy *proxy, const struct pst_signal *answer, uint32_t member,
                    struct pst_actions *actions)
{
    const union pst_payload *payload = &answer->payload;
    switch (answer->gsn) {
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

#define NO_MEMBER 256u /* in no set */

/* Who of a block of this node sent this; NO_MEMBER for a stranger. */
static uint32_t member_of(const struct pst_proxy *proxy, enum pst_block block, pst_ref sender_ref)
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
    uint32_t member = member_of(proxy, answering_block(answer->gsn), answer->sender_ref);
    struct pst_sender *sender = pst_senders_answer(&proxy->senders, answer, member);
    if (!sender)
        return;
    assert(sender == proxy->sender);
    collect(proxy, answer, member, actions);
    if (current_target(proxy) == TO_SCAN && sender->error != 0)
        fail_scan(proxy, sender->error, sender->where, actions);
    end_step(proxy, actions);
}

/* What moves here puts off our own deadline; the master hears of it, and puts off its own. */
static void note_progress(struct pst_proxy *proxy)
{
    if (proxy->error != 0)
        return;
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.stall_ns;
    proxy->progress_is_new = true;
}

static void on_fragment_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                               struct pst_actions *actions)
{
    uint32_t ldm = member_of(proxy, PST_BLOCK_BACKUP, answer->sender_ref) + 1;
    struct pst_dealt dealt;
    if (answer->backup != proxy->backup || proxy->state == PST_PROXY_IDLE ||
        !pst_dealer_answered(&proxy->dealer, ldm, answer->sequence, &dealt)) {
        proxy->senders.stray_answers++;
        return;
    }
    if (proxy->state != PST_PROXY_SCANNING)
        return;
    struct pst_signal *done = pst_actions_send(
        actions, PST_SOURCE_FRAGMENT_DONE_ORD, proxy->self_ref,
        pst_ref_make(own_node(proxy), PST_BLOCK_SOURCE, dealt.source), proxy->backup, 0);
    done->payload.fragment.master_ref = proxy->master_ref;
    done->payload.fragment.source = dealt.source;
    done->payload.fragment.fragment = dealt.fragment;
    note_progress(proxy);
    if (answer->gsn == PST_BACKUP_FRAGMENT_REF)
        fail_scan(proxy, answer->payload.ref.error, answer->payload.ref.where, actions);
    deal(proxy, actions);
    end_step(proxy, actions);
}

static void on_fragment_listed(struct pst_proxy *proxy, const struct pst_signal *listed,
                               struct pst_actions *actions)
{
    uint32_t source = member_of(proxy, PST_BLOCK_SOURCE, listed->sender_ref);
    if (proxy->state != PST_PROXY_SCANNING || listed->backup != proxy->backup ||
        source == NO_MEMBER || listed->payload.fragment.source != source || proxy->error != 0)
        return;
    note_progress(proxy);
    int error = pst_dealer_add(&proxy->dealer, &listed->payload.fragment);
    if (error < 0)
        fail_scan(proxy, (uint32_t)-error, listed->sender_ref, actions);
    deal(proxy, actions);
}

static void on_progress(struct pst_proxy *proxy, const struct pst_signal *report)
{
    uint32_t member = member_of(proxy, PST_BLOCK_BACKUP, report->sender_ref);
    if (proxy->state != PST_PROXY_SCANNING || report->backup != proxy->backup ||
        member == NO_MEMBER)
        return;
    struct pst_sums *last = &proxy->ldm_progress[member];
    if (memcmp(last, &report->payload.progress.sums, sizeof(*last)) == 0)
        return;
    *last = report->payload.progress.sums;
    memset(&proxy->progress, 0, sizeof(proxy->progress));
    for (uint32_t i = 0; i < proxy->ldms; i++)
        pst_sums_add(&proxy->progress, &proxy->ldm_progress[i]);
    note_progress(proxy);
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
    note_error(proxy, abort->error != 0 ? abort->error : PST_E_BACKUP_FAILURE, abort->where);
    if (!stopped)
        stop_work(proxy, actions);
    if (proxy->request.gsn == 0) {
        proxy->state = PST_PROXY_ABORTED;
        return;
    }
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
    end_step(proxy, actions);
}

static void report_progress(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->progress_due_ns = proxy->now_ns + proxy->timeouts.progress_ns;
    if (!proxy->progress_is_new || proxy->request.sender_ref == 0)
        return;
    proxy->progress_is_new = false;
    struct pst_signal *report =
        pst_actions_send(actions, PST_BACKUP_PROGRESS_REP, proxy->face_ref,
                         proxy->request.sender_ref, proxy->backup, proxy->request.sequence);
    report->payload.progress.master_ref = proxy->master_ref;
    report->payload.progress.sums = proxy->progress;
    report->payload.progress.expected_bytes = proxy->dealer.listed_bytes;
    report->payload.progress.expected_is_final = proxy->sender == NULL;
}

/* The first of those asked that has not answered. */
static pst_ref who_is_late(const struct pst_proxy *proxy)
{
    if (!proxy->sender)
        return proxy->face_ref;
    uint32_t member = 0;
    while (member < 255 && !pst_set_has(&proxy->sender->waiting, member))
        member++;
    switch (current_target(proxy)) {
    case TO_ARCHIVE:
        return pst_ref_make(own_node(proxy), PST_BLOCK_ARCHIVE, 0);
    case TO_LDMS:
        return pst_ref_make(own_node(proxy), PST_BLOCK_BACKUP, member + 1);
    default:
        return pst_ref_make(own_node(proxy), PST_BLOCK_SOURCE, member);
    }
}

/* What the late ones will still answer is no longer waited for; the rest of a script that goes on
 * is asked for and not waited for either, so that the answer comes within the master's deadline. */
static void on_deadline(struct pst_proxy *proxy, struct pst_actions *actions)
{
    if (current_target(proxy) == TO_SCAN && proxy->error == 0)
        fail_scan(proxy, PST_E_STALLED, who_is_late(proxy), actions);
    note_error(proxy, PST_E_TIMEOUT, who_is_late(proxy));
    const struct script *script = script_of(proxy->request.gsn);
    do {
        if (proxy->sender)
            pst_sender_abandon(proxy->sender);
        proxy->sender = NULL;
        proxy->step++;
    } while (script->goes_on && current_target(proxy) != TO_END &&
             (begin_step(proxy, actions), true));
    finish(proxy, actions);
}

static void on_timer(struct pst_proxy *proxy, struct pst_actions *actions)
{
    if (proxy->request.gsn == 0)
        return;
    if (proxy->now_ns >= proxy->deadline_ns)
        on_deadline(proxy, actions);
    else if (proxy->state == PST_PROXY_SCANNING && proxy->now_ns >= proxy->progress_due_ns)
        report_progress(proxy, actions);
}

/* Frees the LDMs, and leaves files and decision to those who know it. */
static void leave_in_doubt(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->in_doubt++;
    struct pst_signal commit = {.gsn = PST_COMMIT_BACKUP_REQ, .backup = proxy->backup};
    take_order(proxy, &commit, PST_PROXY_COMMITTING);
    proxy->step++; /* the archive has no decision to store */
    advance(proxy, actions);
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
    note_error(proxy, PST_E_NODE_FAILED, proxy->master_ref);
    stop_work(proxy, actions);
    struct pst_signal cleanup = {.gsn = PST_CLEANUP_BACKUP_REQ, .backup = proxy->backup};
    cleanup.payload.order.master_ref = proxy->master_ref;
    serve(proxy, &cleanup, PST_PROXY_CLEANING, actions);
}

static void on_signal(struct pst_proxy *proxy, const struct pst_signal *signal,
                      struct pst_actions *actions)
{
    switch (signal->gsn) {
    case PST_ABORT_BACKUP_ORD:
        on_abort(proxy, signal, actions);
        break;
    case PST_SOURCE_FRAGMENT_REP:
        on_fragment_listed(proxy, signal, actions);
        break;
    case PST_BACKUP_PROGRESS_REP:
        on_progress(proxy, signal);
        break;
    case PST_BACKUP_FRAGMENT_CONF:
    case PST_BACKUP_FRAGMENT_REF:
        on_fragment_answer(proxy, signal, actions);
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
    default:
        assert(!"an event that a proxy never gets");
    }
}
