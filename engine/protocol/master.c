/* The master of a backup: takes events, and moves from state to state as its table says. Pure;
 * stepped by LDM 1 of the master node (ldm.c). */
#include "engine/protocol/master.h"

#include <assert.h>
#include <string.h>

#include "penstock/error.h"

void master_init(struct pst_master *master, pst_ref self_ref, const struct pst_set *nodes,
                 const struct pst_set *multithreaded, const struct pst_timeouts *timeouts)
{
    assert(pst_ref_block(self_ref) == PST_BLOCK_BACKUP && pst_ref_instance(self_ref) == 1);
    assert(pst_set_has(nodes, pst_ref_node(self_ref) - 1));
    assert(timeouts_are_nested(timeouts));
    memset(master, 0, sizeof(*master));
    master->self_ref = self_ref;
    master->nodes = *nodes;
    master->multithreaded = *multithreaded;
    master->timeouts = *timeouts;
}

uint64_t master_deadline_ns(const struct pst_master *master)
{
    const struct master_rule *rule = master_rule_of(master);
    /* The decision is not given up: only its outcome says whether the backup exists. */
    if (rule->asks == MASTER_ASKS_NOBODY || rule->on_trouble == MASTER_DECIDES)
        return PST_DEADLINE_NONE;
    return master->deadline_ns;
}

static pst_ref archive_ref(const struct pst_master *master)
{
    return pst_ref_make(pst_ref_node(master->self_ref), PST_BLOCK_ARCHIVE, 0);
}

static struct pst_signal *to_client(const struct pst_master *master, uint16_t gsn,
                                    struct pst_actions *actions)
{
    return actions_send(actions, gsn, master->self_ref, master->client_ref, master->backup,
                        master->client_sequence);
}

static void refuse_client(const struct pst_master *master, const struct pst_signal *request,
                          int error, struct pst_actions *actions)
{
    struct pst_signal *ref = actions_send(actions, PST_BACKUP_REF, master->self_ref,
                                          request->sender_ref, request->backup, request->sequence);
    ref->payload.ref.master_ref = master->self_ref;
    ref->payload.ref.error = pst_reason_of(error);
    ref->payload.ref.where = master->self_ref;
    ref->payload.ref.request_id = request->payload.backup_req.request_id;
}

static void confirm_client(struct pst_master *master, struct pst_actions *actions)
{
    master->client_confirmed = true;
    struct pst_backup_conf *conf =
        &to_client(master, PST_BACKUP_CONF, actions)->payload.backup_conf;
    memcpy(conf->uid, master->request.uid, sizeof(conf->uid));
    conf->request_id = master->request.request_id;
    conf->number = master->request.number;
    conf->flags = master->request.flags;
    conf->nodes = master->participants;
}

static void report_abort(struct pst_master *master, struct pst_actions *actions)
{
    uint16_t gsn = master->client_confirmed ? PST_BACKUP_ABORT_REP : PST_BACKUP_REF;
    struct pst_ref_payload *ref = &to_client(master, gsn, actions)->payload.ref;
    ref->master_ref = master->self_ref;
    ref->error = pst_reason_of(master->error);
    ref->where = master->where;
    ref->request_id = master->request.request_id;
    ref->number = master->request.number;
    master->aborted++;
}

/* BACKUP_COMPLETE_REP has no room for it. */
static void report_logged(const struct pst_master *master, struct pst_actions *actions)
{
    struct pst_backup_progress *status =
        &to_client(master, PST_BACKUP_STATUS_REP, actions)->payload.progress;
    status->master_ref = master->self_ref;
    status->request_id = master->request.request_id;
    status->warnings = master->logged;
    status->sums = master->sums;
    status->expected_bytes = master->sums.source_bytes;
    status->expected_is_final = 1;
}

static void report_complete(struct pst_master *master, struct pst_actions *actions)
{
    if (master->logged > 0)
        report_logged(master, actions);
    struct pst_backup_complete_rep *rep =
        &to_client(master, PST_BACKUP_COMPLETE_REP, actions)->payload.complete;
    rep->sums = master->sums;
    rep->request_id = master->request.request_id;
    rep->start_gci = master->start_gci;
    rep->number = master->request.number;
    rep->warnings = pst_u16_at_most(master->warnings);
    rep->left_frozen = pst_u16_at_most(master->left_frozen);
    rep->manifest_low = pst_uid_low(master->manifest.digest);
    master->completed++;
}

static void end(struct pst_master *master, struct pst_actions *actions)
{
    if (master->error)
        report_abort(master, actions);
    else
        report_complete(master, actions);
    master->state = PST_MASTER_IDLE;
    assert(!master->sender);
}

/* A node knows of higher numbers than the master's: it was away when they were given out. */
static bool may_renumber(const struct pst_master *master)
{
    return master->error == -PST_E_NUMBER_EXISTS && master->number_is_free &&
           master->highest_number >= master->request.number &&
           master->highest_number < PST_BACKUP_NUMBER_MAX &&
           master->numbers_tried < PST_MASTER_NUMBERS_MAX;
}

static void fill(const struct pst_master *master, uint16_t gsn, union pst_payload *payload)
{
    payload->order.master_ref = master->self_ref;
    switch (gsn) {
    case PST_ARCHIVE_NUMBER_REQ:
        payload->archive_number.number = master->request.number;
        break;
    case PST_DEFINE_BACKUP_REQ:
        payload->define.number = master->request.number;
        payload->define.flags = master->request.flags;
        payload->define.nodes = master->participants;
        memcpy(payload->define.uid, master->request.uid, sizeof(payload->define.uid));
        memcpy(payload->define.options, master->request.options, sizeof(payload->define.options));
        break;
    case PST_GCP_COMMIT_REQ:
    case PST_STOP_BACKUP_REQ:
    case PST_ARCHIVE_DECIDE_REQ:
        payload->gci.start_gci = master->start_gci;
        payload->gci.stop_gci = master->start_gci;
        break;
    case PST_COMMIT_BACKUP_REQ:
        payload->commit.file_bytes = master->manifest.file_bytes;
        memcpy(payload->commit.digest, master->manifest.digest, sizeof(payload->commit.digest));
        break;
    case PST_ABORT_BACKUP_ORD:
        payload->abort.request = PST_ABORT_BACKUP_FAILURE;
        payload->abort.error = pst_reason_of(master->error);
        payload->abort.where = master->where;
        break;
    default:
        break;
    }
}

static struct pst_set chosen(const struct pst_master *master, bool multithreaded)
{
    struct pst_set proxied = master->multithreaded;
    if (master->request.flags & PST_BACKUP_SINGLE_THREADED)
        proxied = (struct pst_set){{0}};
    return multithreaded ? pst_set_common(&master->participants, &proxied)
                         : pst_set_minus(&master->participants, &proxied);
}

/* One signal to the proxies of the multithreaded nodes, one to LDM 1 of the others. */
static void send_nodes(const struct pst_master *master, uint16_t gsn, uint32_t sequence,
                       struct pst_actions *actions)
{
    for (int multithreaded = 0; multithreaded < 2; multithreaded++) {
        struct pst_set targets = chosen(master, multithreaded);
        if (pst_set_is_empty(&targets))
            continue;
        pst_ref receiver_ref = multithreaded ? pst_ref_make(0, PST_BLOCK_PROXY, 0)
                                             : pst_ref_make(0, PST_BLOCK_BACKUP, 1);
        struct pst_signal *signal =
            actions_fan_out(actions, gsn, master->self_ref, PST_ROUTE_NODES, &targets, receiver_ref,
                            master->backup, sequence);
        fill(master, gsn, &signal->payload);
    }
}

static void enter(struct pst_master *master, enum pst_master_state state,
                  struct pst_actions *actions);

static void abort_backup(struct pst_master *master, int error, pst_ref where,
                         struct pst_actions *actions)
{
    assert(error < 0 && !master->error);
    master->error = error;
    master->where = where;
    if (master_rule_of(master)->on_trouble == MASTER_ENDS) {
        sender_abandon(&master->sender);
        end(master, actions);
        return;
    }
    master->state = PST_MASTER_ABORTING;
    master->deadline_ns = master->now_ns + master->timeouts.master_ns;
    send_nodes(master, PST_ABORT_BACKUP_ORD, 0, actions);
    if (!master->sender)
        enter(master, PST_MASTER_CLEANING, actions);
}

/* Into the state, and sends the REQ that is out in it. */
static void enter(struct pst_master *master, enum pst_master_state state,
                  struct pst_actions *actions)
{
    const struct master_rule *rule = &master_rules[state];
    bool local = rule->asks == MASTER_ASKS_ARCHIVE;
    struct pst_set targets = local ? pst_set_first(1) : master->participants;
    assert(!master->sender);
    if (rule->asks == MASTER_ASKS_NOBODY) {
        end(master, actions);
        return;
    }
    master->state = state;
    master->deadline_ns = master->now_ns + master->timeouts.master_ns;
    if (rule->by_progress)
        master->deadline_ns += master->timeouts.stall_ns;
    /* Released at each BACKUP_REQ, and one for each state. */
    master->sender = senders_seize(&master->senders, rule->gsn, master->backup, &targets);
    assert(master->sender);
    if (!local) {
        send_nodes(master, rule->gsn, master->sender->sequence, actions);
        return;
    }
    struct pst_signal *signal =
        actions_send(actions, rule->gsn, master->self_ref, archive_ref(master), master->backup,
                     master->sender->sequence);
    fill(master, rule->gsn, &signal->payload);
}

/* All have cleaned up: once more, above all numbers that are known by now. */
static void renumber(struct pst_master *master, struct pst_actions *actions)
{
    master->numbers_tried++;
    master->request.number = master->highest_number + 1;
    master->participants = master->nodes;
    master->error = 0;
    master->where = 0;
    enter(master, PST_MASTER_DEFINING, actions);
}

/* The last answer to this state's REQ has come. */
static void leave(struct pst_master *master, struct pst_actions *actions)
{
    const struct master_rule *rule = master_rule_of(master);
    enum pst_master_state state = master->state;
    int error = master->sender->error;
    pst_ref where = master->sender->where;
    assert(pst_set_is_empty(&master->sender->waiting));
    sender_release(master->sender);
    master->sender = NULL;
    if (state == PST_MASTER_FREEZING && master->start_gci == UINT64_MAX && !error) {
        error = -PST_E_BAD_REQUEST; /* no node's checkpoint has the last number there is */
        where = master->self_ref;
    }
    if (error && rule->on_trouble != MASTER_GOES_ON) {
        abort_backup(master, error, where, actions);
        return;
    }
    if (state == PST_MASTER_CLEANING && !error && may_renumber(master)) {
        renumber(master, actions);
        return;
    }
    if (state == PST_MASTER_DEFINING)
        confirm_client(master, actions);
    if (state == PST_MASTER_FREEZING)
        master->start_gci++; /* above all that any node knows */
    enter(master, rule->next, actions);
}

static void on_backup_req(struct pst_master *master, const struct pst_signal *request,
                          struct pst_actions *actions)
{
    const struct pst_backup_req *wanted = &request->payload.backup_req;
    if (request->backup == 0 || request->backup != pst_uid_low(wanted->uid)) {
        refuse_client(master, request, -PST_E_BAD_REQUEST, actions);
        return;
    }
    if (master->backup == request->backup && master->client_ref == request->sender_ref)
        return; /* asked twice: the answer is under way, or was given */
    if (wanted->flags & ~(uint32_t)PST_BACKUP_FLAGS) {
        refuse_client(master, request, -PST_E_OPTION, actions);
        return;
    }
    if (master->state != PST_MASTER_IDLE) {
        refuse_client(master, request, -PST_E_BUSY, actions);
        return;
    }
    senders_release_stale(&master->senders);
    master->backup = request->backup;
    master->request = *wanted;
    master->client_ref = request->sender_ref;
    master->client_sequence = request->sequence;
    master->client_confirmed = false;
    master->number_is_free = wanted->number == 0;
    master->highest_number = 0;
    master->numbers_tried = 0;
    master->participants = master->nodes;
    master->error = 0;
    master->where = 0;
    master->start_gci = 0;
    master->warnings = 0;
    master->logged = 0;
    master->left_frozen = 0;
    memset(&master->sums, 0, sizeof(master->sums));
    memset(&master->manifest, 0, sizeof(master->manifest));
    memset(master->node_progress, 0, sizeof(master->node_progress));
    enter(master, PST_MASTER_NUMBERING, actions);
}

static void collect(struct pst_master *master, const struct pst_signal *answer, uint32_t member,
                    struct pst_actions *actions)
{
    const union pst_payload *payload = &answer->payload;
    switch (answer->gsn) {
    case PST_ARCHIVE_NUMBER_CONF:
        master->request.number = payload->archive_number.number;
        break;
    case PST_GCP_PREPARE_CONF:
        if (payload->gci.start_gci > master->start_gci)
            master->start_gci = payload->gci.start_gci;
        break;
    case PST_STOP_BACKUP_CONF: {
        pst_sums_add(&master->sums, &payload->stop_conf.sums);
        master->logged += payload->stop_conf.warnings;
        master->left_frozen += payload->stop_conf.left_frozen;
        struct pst_signal *order = actions_send(actions, PST_ARCHIVE_NODE_ORD, master->self_ref,
                                                archive_ref(master), master->backup, 0);
        order->payload.archive_item =
            pst_archive_item_of(master->self_ref, member + 1, &payload->stop_conf);
        break;
    }
    case PST_ARCHIVE_DECIDE_CONF:
        master->manifest = payload->commit;
        break;
    case PST_COMMIT_BACKUP_REF:
        master->warnings++;
        break;
    default:
        break;
    }
}

/* What answers for a node: its proxy, or its LDM 1. */
static pst_ref node_ref(const struct pst_master *master, uint32_t node)
{
    struct pst_set proxied = chosen(master, true);
    return pst_set_has(&proxied, node - 1) ? pst_ref_make(node, PST_BLOCK_PROXY, 0)
                                           : pst_ref_make(node, PST_BLOCK_BACKUP, 1);
}

#define NO_MEMBER PST_SET_MEMBERS /* in no set */

/* Which of those asked sent this; NO_MEMBER for a stranger. */
static uint32_t member_of(const struct pst_master *master, const struct pst_signal *answer)
{
    if (pst_gsn_answered_by(answer->gsn) == PST_BLOCK_ARCHIVE)
        return answer->sender_ref == archive_ref(master) ? 0 : NO_MEMBER;
    uint32_t node = pst_ref_node(answer->sender_ref);
    if (node < 1 || node > PST_NODES_MAX)
        return NO_MEMBER;
    return answer->sender_ref == node_ref(master, node) ? node - 1 : NO_MEMBER;
}

static void note_number(struct pst_master *master, const struct pst_ref_payload *ref)
{
    if (ref->error == PST_E_NUMBER_EXISTS && ref->number > master->highest_number)
        master->highest_number = ref->number;
}

/* docs/protocol.md, "Flags": a node of an older version would not do what was asked for, and not
 * say so. */
static void note_unconfirmed(struct pst_master *master, const struct pst_signal *conf)
{
    uint32_t needed = master->request.flags & PST_BACKUP_CONFIRMED;
    struct pst_sender *sender = master->sender;
    if (!(needed & ~conf->payload.define_conf.flags) || sender->error)
        return;
    sender->error = -PST_E_OPTION;
    sender->where = conf->sender_ref;
}

static void on_answer(struct pst_master *master, const struct pst_signal *answer,
                      struct pst_actions *actions)
{
    uint32_t member = member_of(master, answer);
    struct pst_sender *sender = senders_answer(&master->senders, answer, member);
    if (!sender)
        return;
    assert(sender == master->sender);
    if (answer->gsn == PST_DEFINE_BACKUP_REF)
        note_number(master, &answer->payload.ref);
    if (answer->gsn == PST_DEFINE_BACKUP_CONF)
        note_unconfirmed(master, answer);
    if (master->state != PST_MASTER_ABORTING)
        collect(master, answer, member, actions);
    if (pst_set_is_empty(&sender->waiting))
        leave(master, actions);
    else if (sender->error && master_may_abort(master))
        abort_backup(master, sender->error, sender->where, actions);
}

/* From the client, or from an LDM in trouble. Once the decision is being written it is too late. */
static void on_abort(struct pst_master *master, const struct pst_signal *order,
                     struct pst_actions *actions)
{
    const struct pst_abort_backup_ord *abort = &order->payload.abort;
    if (master->state == PST_MASTER_IDLE || master->backup != order->backup)
        return;
    if (!master_may_abort(master)) {
        master->numbers_tried = PST_MASTER_NUMBERS_MAX; /* an abort that goes on is not undone */
        return;
    }
    if (abort->request == PST_ABORT_CLIENT)
        abort_backup(master, -PST_E_CLIENT_ABORT, order->sender_ref, actions);
    else if (abort->master_ref == master->self_ref)
        abort_backup(master, pst_error_of(abort->error), abort->where, actions);
}

static void on_progress(struct pst_master *master, const struct pst_signal *report,
                        struct pst_actions *actions)
{
    uint32_t member = member_of(master, report);
    bool by_progress = master_rule_of(master)->by_progress;
    bool reads_back = master->state == PST_MASTER_STOPPING;
    if ((!by_progress && !reads_back) || master->backup != report->backup ||
        member >= PST_NODES_MAX)
        return;
    master->node_progress[member] = report->payload.progress;
    master->deadline_ns = master->now_ns + master->timeouts.master_ns;
    if (by_progress)
        master->deadline_ns += master->timeouts.stall_ns;
    struct pst_backup_progress *status =
        &to_client(master, PST_BACKUP_STATUS_REP, actions)->payload.progress;
    status->master_ref = master->self_ref;
    status->request_id = master->request.request_id;
    status->expected_is_final = 1;
    for (uint32_t i = pst_set_next(&master->participants, 0); i < PST_NODES_MAX;
         i = pst_set_next(&master->participants, i + 1)) {
        pst_sums_add(&status->sums, &master->node_progress[i].sums);
        status->expected_bytes += master->node_progress[i].expected_bytes;
        status->expected_is_final &= master->node_progress[i].expected_is_final;
    }
}

/* docs/protocol.md, "Deadlines". */
static void on_timer(struct pst_master *master, struct pst_actions *actions)
{
    if (master->now_ns < master_deadline_ns(master))
        return;
    const struct master_rule *rule = master_rule_of(master);
    const struct pst_set *waiting = &master->sender->waiting;
    assert(!pst_set_is_empty(waiting));
    pst_ref where = rule->asks == MASTER_ASKS_ARCHIVE
                        ? archive_ref(master)
                        : node_ref(master, pst_set_next(waiting, 0) + 1);
    uint32_t late_count = pst_set_count(waiting);
    sender_abandon(&master->sender);
    if (master_may_abort(master)) {
        abort_backup(master, rule->by_progress ? -PST_E_STALLED : -PST_E_TIMEOUT, where, actions);
        return;
    }
    if (master->state == PST_MASTER_COMMITTING)
        master->warnings += late_count;
    enter(master, rule->next, actions);
}

static void on_node_failed(struct pst_master *master, uint32_t node, struct pst_actions *actions)
{
    assert(node >= 1 && node <= PST_NODES_MAX && node != pst_ref_node(master->self_ref));
    bool takes_part =
        master->state != PST_MASTER_IDLE && pst_set_has(&master->participants, node - 1);
    pst_ref where = node_ref(master, node);
    pst_set_remove(&master->nodes, node - 1);
    pst_set_remove(&master->multithreaded, node - 1);
    if (!takes_part)
        return;
    pst_set_remove(&master->participants, node - 1);
    bool was_asked = master_rule_of(master)->asks == MASTER_ASKS_NODES &&
                     sender_fail_member(master->sender, node - 1, -PST_E_NODE_FAILED, where);
    master->warnings += master->state == PST_MASTER_DECIDING ||
                        (master->state == PST_MASTER_COMMITTING && was_asked);
    bool all_in = pst_set_is_empty(&master->sender->waiting);
    if (master_may_abort(master)) {
        if (all_in) {
            sender_release(master->sender);
            master->sender = NULL;
        }
        abort_backup(master, -PST_E_NODE_FAILED, where, actions);
    } else if (all_in) {
        leave(master, actions);
    }
}

/* It takes part from the next backup on. */
static void on_node_joined(struct pst_master *master, uint32_t node, bool multithreaded)
{
    assert(node >= 1 && node <= PST_NODES_MAX && node != pst_ref_node(master->self_ref));
    assert(!pst_set_has(&master->nodes, node - 1));
    pst_set_add(&master->nodes, node - 1);
    if (multithreaded)
        pst_set_add(&master->multithreaded, node - 1);
}

static void on_signal(struct pst_master *master, const struct pst_signal *signal,
                      struct pst_actions *actions)
{
    switch (signal->gsn) {
    case PST_BACKUP_REQ:
        on_backup_req(master, signal, actions);
        break;
    case PST_ABORT_BACKUP_ORD:
        on_abort(master, signal, actions);
        break;
    case PST_BACKUP_PROGRESS_REP:
        on_progress(master, signal, actions);
        break;
    default:
        on_answer(master, signal, actions);
    }
}

void master_step(struct pst_master *master, const struct pst_event *event,
                 struct pst_actions *actions)
{
    assert(event->now_ns >= master->now_ns);
    master->now_ns = event->now_ns;
    switch (event->type) {
    case PST_EVENT_SIGNAL:
        on_signal(master, event->signal, actions);
        break;
    case PST_EVENT_TIMER:
        on_timer(master, actions);
        break;
    case PST_EVENT_NODE_FAILED:
        on_node_failed(master, event->node, actions);
        break;
    case PST_EVENT_NODE_JOINED:
        on_node_joined(master, event->node, event->multithreaded);
        break;
    default:
        assert(!"an event that a master never gets");
    }
    master_check(master);
}
