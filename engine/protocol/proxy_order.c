/* An order of the master's, from the first step of its script to its one answer. What differs
 * from order to order is a column of the table. Pure; called by proxy.c and proxy_scan.c. */
#include "engine/protocol/proxy_order.h"

#include <assert.h>
#include <string.h>

#include "engine/protocol/proxy_answer.h"
#include "penstock/error.h"

#define STEPS_MAX 4u /* and the end of the script */

struct proxy_script {
    uint16_t gsn; /* the order */
    bool goes_on; /* what can be done is done: no error stops it, and it ends in IDLE */
    /* What its CONF carries; NULL: masterRef alone. */
    void (*carry)(const struct pst_proxy *proxy, union pst_payload *payload);
    struct proxy_step steps[STEPS_MAX];
};

/* The columns on_conf and on_ref: what an answer adds up. */

static void keep_number(struct pst_proxy *proxy, const struct pst_ref_payload *ref)
{
    proxy->highest_number = ref->number;
}

static void keep_gci(struct pst_proxy *proxy, const struct pst_signal *conf, uint32_t member,
                     struct pst_actions *actions)
{
    (void)member;
    (void)actions;
    if (conf->payload.gci.start_gci > proxy->gci_max)
        proxy->gci_max = conf->payload.gci.start_gci;
}

static void add_unreadable(struct pst_proxy *proxy, const struct pst_signal *conf, uint32_t member,
                           struct pst_actions *actions)
{
    (void)member;
    (void)actions;
    proxy->sums.unreadable += conf->payload.list_conf.unreadable;
}

static void add_left_frozen(struct pst_proxy *proxy, const struct pst_signal *conf, uint32_t member,
                            struct pst_actions *actions)
{
    (void)member;
    (void)actions;
    proxy->left_frozen += conf->payload.release_conf.left_frozen;
}

/* A line of the node manifest, for the archive. */
static void add_part(struct pst_proxy *proxy, const struct pst_signal *conf, uint32_t member,
                     struct pst_actions *actions)
{
    const struct pst_stop_backup_conf *part = &conf->payload.stop_conf;
    assert(member < proxy->ldms);
    pst_sums_add(&proxy->sums, &part->sums);
    struct pst_signal *order =
        actions_send(actions, PST_ARCHIVE_PART_ORD, proxy->self_ref,
                     proxy_member_ref(proxy, PST_BLOCK_ARCHIVE, 0), proxy->backup, 0);
    order->payload.archive_item = pst_archive_item_of(proxy->master_ref, member + 1, part);
}

static void keep_manifest(struct pst_proxy *proxy, const struct pst_signal *conf, uint32_t member,
                          struct pst_actions *actions)
{
    (void)member;
    (void)actions;
    proxy->file_bytes = conf->payload.commit.file_bytes;
    proxy->warnings = conf->payload.commit.warnings;
    memcpy(proxy->digest, conf->payload.commit.digest, sizeof(proxy->digest));
}

/* The column carry: what the order's CONF carries. */

static void carry_flags(const struct pst_proxy *proxy, union pst_payload *payload)
{
    payload->define_conf.flags = proxy->request.payload.define.flags;
}

static void carry_gci_max(const struct pst_proxy *proxy, union pst_payload *payload)
{
    payload->gci.start_gci = proxy->gci_max;
}

static void carry_gcis(const struct pst_proxy *proxy, union pst_payload *payload)
{
    payload->gci = proxy->request.payload.gci;
}

static void carry_progress(const struct pst_proxy *proxy, union pst_payload *payload)
{
    payload->fragment_conf.sums = proxy->progress;
}

static void carry_manifest(const struct pst_proxy *proxy, union pst_payload *payload)
{
    payload->stop_conf.sums = proxy->sums;
    payload->stop_conf.file_bytes = proxy->file_bytes;
    payload->stop_conf.warnings = pst_u16_at_most(proxy->warnings);
    payload->stop_conf.left_frozen = pst_u16_at_most(proxy->left_frozen);
    memcpy(payload->stop_conf.digest, proxy->digest, sizeof(proxy->digest));
}

/* docs/protocol.md, "Proxy": the table of orders, and "Freezing". */
static const struct proxy_script scripts[] = {
    {.gsn = PST_DEFINE_BACKUP_REQ,
     .carry = carry_flags,
     .steps = {{.gsn = PST_ARCHIVE_DEFINE_REQ, .on_ref = keep_number},
               {.gsn = PST_DEFINE_BACKUP_REQ}}},
    {.gsn = PST_START_BACKUP_REQ, .steps = {{.gsn = PST_START_BACKUP_REQ}}},
    {.gsn = PST_GCP_PREPARE_REQ,
     .carry = carry_gci_max,
     .steps = {{.gsn = PST_SOURCE_PREPARE_REQ,
                .pauses = true}, /* each try begins with nothing held */
               {.gsn = PST_SOURCE_FREEZE_REQ,
                .in_turn = true,
                .retry_on = -PST_E_FREEZE,
                .on_conf = keep_gci}}},
    {.gsn = PST_GCP_COMMIT_REQ, .carry = carry_gcis, .steps = {{.gsn = PST_SOURCE_SNAPSHOT_REQ}}},
    {.gsn = PST_BACKUP_FRAGMENT_REQ,
     .carry = carry_progress,
     .steps = {{.gsn = PST_SOURCE_LIST_REQ, .deals = true, .on_conf = add_unreadable},
               {.gsn = PST_SOURCE_RELEASE_REQ, .on_conf = add_left_frozen}}},
    {.gsn = PST_STOP_BACKUP_REQ,
     .carry = carry_manifest,
     .steps = {{.gsn = PST_STOP_BACKUP_REQ, .on_conf = add_part},
               {.gsn = PST_ARCHIVE_MANIFEST_REQ, .on_conf = keep_manifest}}},
    {.gsn = PST_COMMIT_BACKUP_REQ,
     .goes_on = true,
     .steps = {{.gsn = PST_ARCHIVE_COMMIT_REQ}, {.gsn = PST_COMMIT_BACKUP_REQ}}},
    {.gsn = PST_CLEANUP_BACKUP_REQ,
     .goes_on = true,
     .steps = {{.gsn = PST_CLEANUP_BACKUP_REQ}, /* first: they read what the sources hold */
               {.gsn = PST_SOURCE_RELEASE_REQ},
               {.gsn = PST_ARCHIVE_CLEANUP_REQ}}},
};

static const struct proxy_script *script_of(const struct pst_proxy *proxy)
{
    size_t i = 0;
    while (scripts[i].gsn != proxy->request.gsn) {
        i++;
        assert(i < sizeof(scripts) / sizeof(scripts[0])); /* each order has a script */
    }
    return &scripts[i];
}

const struct proxy_step *proxy_current_step(const struct pst_proxy *proxy)
{
    assert(proxy->step < STEPS_MAX);
    return &script_of(proxy)->steps[proxy->step];
}

bool proxy_deals(const struct pst_proxy *proxy)
{
    return proxy->request.gsn != 0 && proxy_current_step(proxy)->deals;
}

void proxy_finish(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct proxy_script *script = script_of(proxy);
    const struct pst_signal *request = &proxy->request;
    assert(!proxy->sender);
    proxy->resume_ns = PST_DEADLINE_NONE;
    /* Nobody asked for a cleanup or a release of its own. */
    if (request->sender_ref != 0 && proxy->error) {
        proxy_refuse(proxy, request, proxy->error, proxy->where, actions);
    } else if (request->sender_ref != 0) {
        struct pst_signal *conf = proxy_confirm(proxy, request, actions);
        if (script->carry)
            script->carry(proxy, &conf->payload);
    }
    if (script->goes_on)
        proxy->state = PST_PROXY_IDLE;
    else
        proxy->state = proxy->error ? PST_PROXY_ABORTED : proxy_transition_of(request->gsn)->done;
    proxy->request.gsn = 0;
}

/* What the step's request needs of the order's payload comes first in it. */
static void send_step(struct pst_proxy *proxy, uint16_t gsn, const struct pst_set *targets,
                      struct pst_actions *actions)
{
    static const enum pst_route routes[] = {[PST_BLOCK_BACKUP] = PST_ROUTE_LDMS,
                                            [PST_BLOCK_SOURCE] = PST_ROUTE_SOURCES,
                                            [PST_BLOCK_ARCHIVE] = PST_ROUTE_ONE};
    enum pst_block block = pst_gsn_answered_by(gsn);
    proxy->sender = senders_seize(&proxy->senders, gsn, proxy->backup, targets);
    if (!proxy->sender) {
        proxy_note_error(proxy, -PST_E_NO_RESOURCES, proxy->face_ref);
        return;
    }
    pst_ref receiver_ref = pst_ref_make(proxy_node(proxy), block, 0);
    uint32_t sequence = proxy->sender->sequence;
    struct pst_signal *request;
    if (routes[block] == PST_ROUTE_ONE)
        request =
            actions_send(actions, gsn, proxy->self_ref, receiver_ref, proxy->backup, sequence);
    else
        request = actions_fan_out(actions, gsn, proxy->self_ref, routes[block], targets,
                                  receiver_ref, proxy->backup, sequence);
    memcpy(&request->payload, &proxy->request.payload, request->length);
    request->payload.order.master_ref = proxy->master_ref;
}

/* Sends the step's request; false if there is nothing to wait for. */
static bool begin_step(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct proxy_step *step = proxy_current_step(proxy);
    struct pst_set targets = proxy_members(proxy, pst_gsn_answered_by(step->gsn));
    assert(!proxy->sender && proxy->resume_ns == PST_DEADLINE_NONE);
    if (step->in_turn && !pst_set_is_empty(&targets)) {
        targets = (struct pst_set){{0}};
        pst_set_add(&targets, proxy->turn);
    }
    if (!pst_set_is_empty(&targets))
        send_step(proxy, step->gsn, &targets, actions);
    return proxy->sender;
}

/* Goes through the script until there is something to wait for. */
static void advance(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct proxy_script *script = script_of(proxy);
    while ((!proxy->error || script->goes_on) && proxy_current_step(proxy)->gsn != 0) {
        if (begin_step(proxy, actions))
            return;
        proxy->step++;
    }
    proxy_finish(proxy, actions);
}

void proxy_serve(struct pst_proxy *proxy, const struct pst_signal *request,
                 enum pst_proxy_state busy, uint32_t step, struct pst_actions *actions)
{
    assert(proxy->request.gsn == 0 && !proxy->sender);
    proxy->state = busy;
    proxy->request = *request;
    proxy->step = step;
    proxy->turn = 0;
    proxy->error = 0;
    proxy->where = 0;
    proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
    proxy->tries = 1;
    proxy->try_began_ns = proxy->now_ns;
    proxy->resume_ns = PST_DEADLINE_NONE;
    proxy->progress_is_new = false;
    proxy->progress_due_ns = proxy->now_ns + proxy->timeouts.progress_ns;
    if (proxy_current_step(proxy)->deals)
        proxy->deadline_ns = proxy->now_ns + proxy->timeouts.stall_ns;
    advance(proxy, actions);
}

/* A source missed its limit, and nothing else is wrong: an abort may be for another node's miss.
 * Another try that takes as long as this one must end before the order's deadline. */
static bool may_try_again(const struct pst_proxy *proxy, const struct proxy_step *step)
{
    uint64_t took_ns = proxy->now_ns - proxy->try_began_ns;
    bool missed = !proxy->error && step->retry_on != 0 && proxy->sender &&
                  proxy->sender->error == step->retry_on;
    return missed && proxy->tries < PST_FREEZE_TRIES_MAX &&
           proxy->now_ns + proxy->timeouts.thawed_ns + took_ns < proxy->deadline_ns;
}

/* From the order's first step, in which all sources are let go. */
static void try_again(struct pst_proxy *proxy)
{
    proxy->tries++;
    proxy->step = 0;
    proxy->turn = 0;
}

/* To the next turn of the step, or to the next step. */
static void go_on(struct pst_proxy *proxy, const struct proxy_step *step)
{
    if (step->in_turn && proxy->turn + 1 < proxy->sources) {
        proxy->turn++;
        return;
    }
    proxy->step++;
    proxy->turn = 0;
    if (step->deals && !proxy->error) /* what follows is judged by time again */
        proxy->deadline_ns = proxy->now_ns + proxy->timeouts.proxy_ns;
    if (step->pauses && proxy->tries > 1 && !proxy->error)
        proxy->resume_ns = proxy->now_ns + proxy->timeouts.thawed_ns;
}

void proxy_end_step(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct proxy_step *step = proxy_current_step(proxy);
    if (proxy->sender && !pst_set_is_empty(&proxy->sender->waiting))
        return;
    bool again = may_try_again(proxy, step);
    if (proxy->sender) {
        if (!again)
            proxy_note_error(proxy, proxy->sender->error, proxy->sender->where);
        sender_release(proxy->sender);
        proxy->sender = NULL;
    }
    if (step->deals && !dealer_is_idle(&proxy->dealer))
        return;
    if (again)
        try_again(proxy);
    else
        go_on(proxy, step);
    if (proxy->resume_ns == PST_DEADLINE_NONE)
        advance(proxy, actions);
}

void proxy_on_answer(struct pst_proxy *proxy, const struct pst_signal *answer,
                     struct pst_actions *actions)
{
    uint32_t member = proxy_member_of(proxy, pst_gsn_answered_by(answer->gsn), answer->sender_ref);
    struct pst_sender *sender = senders_answer(&proxy->senders, answer, member);
    if (!sender)
        return;
    const struct proxy_step *step = proxy_current_step(proxy);
    assert(sender == proxy->sender && step->gsn == pst_gsn_answered(answer->gsn));
    bool is_conf = answer->gsn == PST_CONF_OF(step->gsn);
    if (is_conf && step->on_conf)
        step->on_conf(proxy, answer, member, actions);
    if (!is_conf && step->on_ref)
        step->on_ref(proxy, &answer->payload.ref);
    if (step->deals && sender->error)
        proxy_fail_scan(proxy, sender->error, sender->where, actions);
    proxy_end_step(proxy, actions);
}

void proxy_resume(struct pst_proxy *proxy, struct pst_actions *actions)
{
    assert(proxy->resume_ns != PST_DEADLINE_NONE && !proxy->sender);
    proxy->resume_ns = PST_DEADLINE_NONE;
    proxy->try_began_ns = proxy->now_ns;
    advance(proxy, actions);
}

/* Where the first of those asked is that has not answered. */
static pst_ref late_ref(const struct pst_proxy *proxy)
{
    if (!proxy->sender)
        return proxy->face_ref;
    return proxy_member_ref(proxy, pst_gsn_answered_by(proxy->sender->gsn),
                            pst_set_next(&proxy->sender->waiting, 0));
}

/* The late ones' answers are no longer waited for; the rest of a script that goes on is asked for
 * and not waited for either, so that the answer comes within the master's deadline. */
void proxy_give_up(struct pst_proxy *proxy, struct pst_actions *actions)
{
    const struct proxy_script *script = script_of(proxy);
    if (proxy_current_step(proxy)->deals && !proxy->error)
        proxy_fail_scan(proxy, -PST_E_STALLED, late_ref(proxy), actions);
    proxy_note_error(proxy, -PST_E_TIMEOUT, late_ref(proxy));
    proxy->resume_ns = PST_DEADLINE_NONE;
    sender_abandon(&proxy->sender);
    for (proxy->step++; script->goes_on && proxy_current_step(proxy)->gsn != 0; proxy->step++) {
        if (begin_step(proxy, actions))
            sender_abandon(&proxy->sender);
    }
    proxy_finish(proxy, actions);
}
