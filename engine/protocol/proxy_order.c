/* An order of the master's, from the first step of its script to its one answer. */
#include <assert.h>
#include <string.h>

#include "engine/protocol/proxy_internal.h"

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
    {PST_GCP_PREPARE_REQ,
     false,
     {{TO_SOURCES, PST_SOURCE_RELEASE_REQ}, /* each try begins with nothing held */
      {TO_SOURCES_IN_TURN, PST_SOURCE_FREEZE_REQ}}},
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

bool pst_proxy_is_listing(const struct pst_proxy *proxy)
{
    return current_target(proxy) == TO_SCAN;
}

void pst_proxy_note_error(struct pst_proxy *proxy, uint32_t error, pst_ref where)
{
    if (proxy->error != 0 || !error)
        return;
    proxy->error = error;
    proxy->where = where;
}

void pst_proxy_refuse(const struct pst_proxy *proxy, const struct pst_signal *request,
                      uint32_t error, pst_ref where, struct pst_actions *actions)
{
    struct pst_signal *ref =
        pst_actions_send(actions, PST_REF_OF(request->gsn), proxy->face_ref, request->sender_ref,
                         request->backup, request->sequence);
    ref->payload.ref.master_ref = request->payload.order.master_ref;
    ref->payload.ref.error = error;
    ref->payload.ref.where = where;
    if (error == PST_E_NUMBER_EXISTS)
        ref->payload.ref.number = proxy->highest_number;
}

void pst_proxy_confirm(const struct pst_proxy *proxy, const struct pst_signal *request,
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
void pst_proxy_finish(struct pst_proxy *proxy, struct pst_actions *actions)
{
    struct pst_signal request = proxy->request;
    proxy->request.gsn = 0;
    proxy->sender = NULL;
    if (request.sender_ref != 0 && proxy->error != 0)
        pst_proxy_refuse(proxy, &request, proxy->error, proxy->where, actions);
    else if (request.sender_ref != 0)
        pst_proxy_confirm(proxy, &request, actions);
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
void pst_proxy_stop_work(struct pst_proxy *proxy, struct pst_actions *actions)
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

/* The step's request: what it needs of the order's payload comes first in it. */
static void send_step(struct pst_proxy *proxy, uint16_t gsn, enum pst_route route,
                      enum pst_block block, const struct pst_set *targets,
                      struct pst_actions *actions)
{
    proxy->sender = pst_senders_seize(&proxy->senders, gsn, proxy->backup, targets);
    if (!proxy->sender) {
        pst_proxy_note_error(proxy, PST_E_NO_RESOURCES, proxy->face_ref);
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
    return proxy->sender;
}

/* Goes through the script until there is something to wait for. */
void pst_proxy_advance(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct script *script = script_of(proxy->request.gsn);
    while ((proxy->error == 0 || script->goes_on) && current_target(proxy) != TO_END) {
        if (begin_step(proxy, actions))
            return;
        proxy->step++;
    }
    pst_proxy_finish(proxy, actions);
}

void pst_proxy_take_order(struct pst_proxy *proxy, const struct pst_signal *request,
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
    proxy->tries = 1;
    proxy->try_began_ns = proxy->now_ns;
    proxy->resume_ns = PST_DEADLINE_NONE;
    if (busy == PST_PROXY_SCANNING) {
        proxy->deadline_ns = proxy->now_ns + proxy->timeouts.stall_ns;
        proxy->progress_due_ns = proxy->now_ns + proxy->timeouts.progress_ns;
    }
}

void pst_proxy_serve(struct pst_proxy *proxy, const struct pst_signal *request,
                     enum pst_proxy_state busy, struct pst_actions *actions)
{
    pst_proxy_take_order(proxy, request, busy);
    pst_proxy_advance(proxy, actions);
}

/* A source of ours missed its limit, and nothing else is wrong: an abort may be for another node's
 * miss. Another try that takes as long as this one must end before the order's deadline. */
static bool may_freeze_again(const struct pst_proxy *proxy)
{
    uint64_t took_ns = proxy->now_ns - proxy->try_began_ns;
    bool missed = proxy->error == 0 && proxy->sender && proxy->sender->error == PST_E_FREEZE;
    return missed && proxy->tries < PST_FREEZE_TRIES_MAX &&
           proxy->now_ns + proxy->timeouts.thawed_ns + took_ns < proxy->deadline_ns;
}

/* From the order's first step, in which all sources are let go. */
static void freeze_again(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->tries++;
    proxy->step = 0;
    proxy->turn = 0;
    proxy->error = 0;
    proxy->where = 0;
    proxy->resume_ns = PST_DEADLINE_NONE;
    pst_proxy_advance(proxy, actions);
}

void pst_proxy_resume(struct pst_proxy *proxy, struct pst_actions *actions)
{
    proxy->resume_ns = PST_DEADLINE_NONE;
    proxy->try_began_ns = proxy->now_ns;
    pst_proxy_advance(proxy, actions);
}

/* Ends the step when all have answered; the scan also waits for what was dealt. */
void pst_proxy_end_step(struct pst_proxy *proxy, struct pst_actions *actions)
{
    enum target target = current_target(proxy);
    if (proxy->sender && !pst_set_is_empty(&proxy->sender->waiting))
        return;
    bool again = target == TO_SOURCES_IN_TURN && may_freeze_again(proxy);
    if (proxy->sender) {
        pst_proxy_note_error(proxy, proxy->sender->error, proxy->sender->where);
        pst_sender_release(proxy->sender);
        proxy->sender = NULL;
    }
    if (target == TO_SCAN && proxy->dealer.in_flight + proxy->dealer.queued > 0)
        return;
    if (again) {
        freeze_again(proxy, actions);
        return;
    }
    if (target == TO_SOURCES_IN_TURN && proxy->turn + 1 < proxy->sources)
        proxy->turn++;
    else
        proxy->step++;
    if (proxy->tries > 1 && target == TO_SOURCES && proxy->error == 0) {
        proxy->resume_ns = proxy->now_ns + proxy->timeouts.thawed_ns;
        return;
    }
    if (target == TO_SCAN && proxy->error == 0)
        proxy->deadline_ns =
            proxy->now_ns + proxy->timeouts.proxy_ns; /* what follows is judged by time again */
    pst_proxy_advance(proxy, actions);
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
void pst_proxy_give_up(struct pst_proxy *proxy, struct pst_actions *actions)
{
    if (current_target(proxy) == TO_SCAN && proxy->error == 0)
        pst_proxy_fail_scan(proxy, PST_E_STALLED, who_is_late(proxy), actions);
    pst_proxy_note_error(proxy, PST_E_TIMEOUT, who_is_late(proxy));
    const struct script *script = script_of(proxy->request.gsn);
    do {
        if (proxy->sender)
            pst_sender_abandon(proxy->sender);
        proxy->sender = NULL;
        proxy->step++;
    } while (script->goes_on && current_target(proxy) != TO_END &&
             (begin_step(proxy, actions), true));
    pst_proxy_finish(proxy, actions);
}
