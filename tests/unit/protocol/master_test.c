/* The master: every state with every event; routing, deadlines, the outcome. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/protocol/rig.h"

#define STATES (PST_MASTER_CLEANING + 1)
#define OWN_ARCHIVE_REF pst_ref_make(1, PST_BLOCK_ARCHIVE, 0)
#define PENDING_MAX 64u

struct rig {
    struct pst_master machine;
    struct pst_actions actions;
    struct rig_ledger ledger;
    uint64_t now_ns;
    uint32_t sequence;
    uint32_t pending_count;
    struct pst_signal pending[PENDING_MAX];
};

static struct rig rig;

static void keep_pending(const struct pst_send *send)
{
    struct pst_signal signal = send->signal;
    if (!rig_is_request(signal.gsn))
        return;
    for (uint32_t member = 0; member < (send->route == PST_ROUTE_ONE ? 1 : 256); member++) {
        if (send->route != PST_ROUTE_ONE && !pst_set_has(&send->targets, member))
            continue;
        if (send->route != PST_ROUTE_ONE)
            signal.receiver_ref = pst_ref_make(member + 1, pst_ref_block(send->signal.receiver_ref),
                                               pst_ref_instance(send->signal.receiver_ref));
        CU_ASSERT_FATAL(rig.pending_count < PENDING_MAX);
        rig.pending[rig.pending_count++] = signal;
    }
}

static void step(struct pst_event *event)
{
    event->now_ns = rig.now_ns;
    rig.actions.sends_count = rig.actions.works_count = 0;
    master_step(&rig.machine, event, &rig.actions);
    CU_ASSERT_EQUAL(rig.actions.works_count, 0);
    rig_ledger_check(&rig.ledger, &rig.actions);
    for (uint32_t i = 0; i < rig.actions.sends_count; i++)
        keep_pending(&rig.actions.sends[i]);
}

static void deliver(const struct pst_signal *signal)
{
    rig_ledger_ask(&rig.ledger, signal);
    struct pst_event event = {.type = PST_EVENT_SIGNAL};
    event.signal = signal;
    step(&event);
}

static void tick(uint64_t passed_ns)
{
    rig.now_ns += passed_ns;
    struct pst_event event = {.type = PST_EVENT_TIMER};
    step(&event);
}

static void fail_node(uint32_t node)
{
    struct pst_event event = {.type = PST_EVENT_NODE_FAILED, .node = node};
    step(&event);
}

static struct pst_signal take_pending(void)
{
    CU_ASSERT_FATAL(rig.pending_count > 0);
    struct pst_signal request = rig.pending[0];
    rig.pending_count--;
    memmove(rig.pending, rig.pending + 1, rig.pending_count * sizeof(rig.pending[0]));
    return request;
}

static void answer_one(uint32_t error)
{
    struct pst_signal request = take_pending();
    struct pst_signal answer = rig_answer(&request, error);
    if (answer.gsn == PST_ARCHIVE_NUMBER_CONF)
        answer.payload.archive_number.number = 12;
    deliver(&answer);
}

static void answer_all(void)
{
    while (rig.pending_count > 0)
        answer_one(0);
}

static void ask(uint64_t uid_low, uint32_t flags)
{
    struct pst_signal request = rig_signal(PST_BACKUP_REQ, CLIENT_REF, MASTER_REF, ++rig.sequence);
    request.backup = uid_low;
    memcpy(request.payload.backup_req.uid, &uid_low, sizeof(uid_low));
    request.payload.backup_req.request_id = 1000 + rig.sequence;
    request.payload.backup_req.flags = flags;
    deliver(&request);
}

static void order_abort(enum pst_abort_request request, pst_ref from)
{
    struct pst_signal order = rig_signal(PST_ABORT_BACKUP_ORD, from, MASTER_REF, 0);
    order.payload.abort.request = request;
    order.payload.abort.error = ENOSPC;
    order.payload.abort.where = from;
    deliver(&order);
}

/* nodes 1 … count, of which those of the mask multithreaded are. */
static void init(uint32_t count, uint64_t multithreaded_mask)
{
    memset(&rig, 0, sizeof(rig));
    rig.now_ns = 1000000;
    struct pst_set nodes = pst_set_first(count);
    struct pst_set multithreaded = {{multithreaded_mask}};
    master_init(&rig.machine, MASTER_REF, &nodes, &multithreaded, &rig_timeouts);
}

static void drive(enum pst_master_state state)
{
    init(3, 7);
    if (state == PST_MASTER_ABORTING || state == PST_MASTER_CLEANING) {
        ask(UID_LOW, 0);
        while (rig.machine.state != PST_MASTER_STARTING)
            answer_one(0);
        order_abort(PST_ABORT_CLIENT, CLIENT_REF);
        while (rig.machine.state != state)
            answer_one(0);
        return;
    }
    if (state == PST_MASTER_IDLE)
        return;
    ask(UID_LOW, 0);
    while (rig.machine.state != state)
        answer_one(0);
}

static const struct pst_signal *told(uint32_t gsn)
{
    const struct pst_send *send = rig_find(&rig.actions, (uint16_t)gsn);
    CU_ASSERT_PTR_NOT_NULL_FATAL(send);
    return &send->signal;
}

/* Home, and the next backup completes. */
static void go_home(void)
{
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
    CU_ASSERT_EQUAL(master_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
    uint64_t completed = rig.machine.completed;
    ask(OTHER_UID + rig.sequence, 0);
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.completed, completed + 1);
    CU_ASSERT_EQUAL(senders_in_use(&rig.machine.senders), 0);
    rig_ledger_close(&rig.ledger);
}

static bool may_abort(int state)
{
    return state >= PST_MASTER_NUMBERING && state <= PST_MASTER_STOPPING;
}

/* What comes from a stranger moves nothing; a new request is served in IDLE, refused elsewhere. */
static void every_state_with_every_signal(void)
{
    for (int state = 0; state < STATES; state++) {
        for (uint32_t gsn = 0; gsn < GSN_TRIED_MAX; gsn++) {
            if (gsn == PST_BACKUP_REQ || gsn == PST_ABORT_BACKUP_ORD)
                continue;
            drive((enum pst_master_state)state);
            struct pst_signal signal = rig_signal(gsn, STRANGER_REF, MASTER_REF, 1);
            struct pst_event event = {.type = PST_EVENT_SIGNAL};
            event.signal = &signal;
            step(&event);
            RIG_CHECK(rig.machine.state == (enum pst_master_state)state &&
                          rig.actions.sends_count == 0,
                      "%s in %s: not ignored", pst_gsn_name(gsn),
                      pst_master_state_name((enum pst_master_state)state));
            go_home();
        }
    }
}

static void every_state_with_another_request(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_master_state)state);
        ask(0x4242, 0);
        if (state == PST_MASTER_IDLE) {
            CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_NUMBERING);
        } else {
            const struct pst_signal *ref = told(PST_BACKUP_REF);
            CU_ASSERT_EQUAL(ref->payload.ref.error, PST_E_BUSY);
            CU_ASSERT_EQUAL(ref->payload.ref.request_id, 1000 + rig.sequence);
            CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
        }
        go_home();
    }
}

static void a_repeated_request_has_its_answer(void)
{
    for (int state = PST_MASTER_NUMBERING; state < STATES; state++) {
        drive((enum pst_master_state)state);
        struct pst_signal again = rig.ledger.entries[0].request;
        struct pst_event event = {.type = PST_EVENT_SIGNAL};
        event.signal = &again;
        step(&event);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
        answer_all();
        CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
        step(&event); /* after the end too: it is not run twice */
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
        go_home();
    }
}

static void malformed_requests_are_refused(void)
{
    drive(PST_MASTER_IDLE);
    ask(0, 0);
    CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.error, PST_E_BAD_REQUEST);
    struct pst_signal request = rig_signal(PST_BACKUP_REQ, CLIENT_REF, MASTER_REF, ++rig.sequence);
    deliver(&request); /* uid and signal disagree */
    CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.error, PST_E_BAD_REQUEST);
    go_home();
}

static void an_unknown_flag_is_refused(void)
{
    drive(PST_MASTER_IDLE);
    ask(UID_LOW, PST_BACKUP_FLAGS + 1);
    CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.error, PST_E_OPTION);
    CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.where, MASTER_REF);
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
    go_home();
}

/* DEFINE_BACKUP_CONF of the next node that was asked, which knows these flags. */
static void confirm(uint32_t flags)
{
    struct pst_signal request = take_pending();
    CU_ASSERT_EQUAL(request.gsn, PST_DEFINE_BACKUP_REQ);
    struct pst_signal answer = rig_answer(&request, 0);
    answer.payload.define_conf.flags = request.payload.define.flags & flags;
    deliver(&answer);
}

/* The n-th of three nodes is of a version that knows no flag, and confirms none. */
static void a_flag_must_be_confirmed_by_each_node(void)
{
    for (uint32_t old = 1; old <= 4; old++) {
        init(3, 7);
        ask(UID_LOW, PST_BACKUP_VERIFY | PST_BACKUP_ALLOW_MISSING);
        answer_one(0); /* the number */
        for (uint32_t node = 1; node <= 3 && rig.machine.state == PST_MASTER_DEFINING; node++)
            confirm(node == old ? 0 : PST_BACKUP_FLAGS);
        if (old == 4) {
            CU_ASSERT_EQUAL(told(PST_BACKUP_CONF)->payload.backup_conf.flags,
                            PST_BACKUP_VERIFY | PST_BACKUP_ALLOW_MISSING);
            go_home();
            continue;
        }
        CU_ASSERT_PTR_NOT_NULL(rig_find(&rig.actions, PST_ABORT_BACKUP_ORD));
        while (rig.machine.state != PST_MASTER_IDLE)
            answer_one(0);
        CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.error, PST_E_OPTION);
        CU_ASSERT_EQUAL(pst_ref_node(told(PST_BACKUP_REF)->payload.ref.where), old);
        go_home();
    }
}

/* Every version obeys these, and not every one says so. */
static void old_flags_need_no_confirmation(void)
{
    init(3, 7);
    ask(UID_LOW, PST_BACKUP_SINGLE_THREADED | PST_BACKUP_ALLOW_MISSING);
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.completed, 1);
    go_home();
}

static void every_state_with_the_clients_abort(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_master_state)state);
        order_abort(PST_ABORT_CLIENT, CLIENT_REF);
        if (state == PST_MASTER_NUMBERING) {
            CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.error, PST_E_CLIENT_ABORT);
        } else if (may_abort(state)) {
            CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_ABORTING);
            const struct pst_send *order = rig_find(&rig.actions, PST_ABORT_BACKUP_ORD);
            CU_ASSERT_PTR_NOT_NULL_FATAL(order);
            CU_ASSERT_EQUAL(pst_set_count(&order->targets), 3);
            CU_ASSERT_EQUAL(order->signal.payload.abort.request, PST_ABORT_BACKUP_FAILURE);
            while (rig.machine.state != PST_MASTER_IDLE)
                answer_one(0);
            bool confirmed = state > PST_MASTER_DEFINING;
            const struct pst_ref_payload *end =
                &told(confirmed ? PST_BACKUP_ABORT_REP : PST_BACKUP_REF)->payload.ref;
            CU_ASSERT_EQUAL(end->error, PST_E_CLIENT_ABORT);
            CU_ASSERT_EQUAL(end->where, CLIENT_REF);
            CU_ASSERT_EQUAL(end->number, 12);
        } else { /* nothing to abort, or too late: the outcome stands */
            CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
            CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        }
        go_home();
    }
}

static void every_state_with_an_ldms_trouble(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_master_state)state);
        struct pst_signal order = rig_signal(PST_ABORT_BACKUP_ORD, LDM_REF(2), MASTER_REF, 0);
        order.payload.abort.request = PST_ABORT_FILE_OR_SCAN;
        order.payload.abort.error = ENOSPC;
        order.payload.abort.where = LDM_REF(2);
        struct pst_signal wrong = order;
        wrong.payload.abort.master_ref = OTHER_MASTER_REF;
        deliver(&wrong);
        wrong = order;
        wrong.backup = OTHER_UID;
        deliver(&wrong);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
        deliver(&order);
        if (may_abort(state)) {
            CU_ASSERT_EQUAL(rig.machine.error, -ENOSPC);
            CU_ASSERT_EQUAL(rig.machine.where, LDM_REF(2));
        } else {
            CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
        }
        go_home();
    }
}

static void every_state_with_time_passing(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_master_state)state);
        bool scans = state == PST_MASTER_SCANNING;
        uint64_t limit_ns = rig_timeouts.master_ns + (scans ? rig_timeouts.stall_ns : 0);
        if (state != PST_MASTER_IDLE && state != PST_MASTER_DECIDING)
            CU_ASSERT_EQUAL(master_deadline_ns(&rig.machine), rig.now_ns + limit_ns);
        tick(limit_ns - 1);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
        tick(1);
        switch (state) {
        case PST_MASTER_IDLE:
        case PST_MASTER_DECIDING: /* only its outcome tells whether the backup exists */
            CU_ASSERT_EQUAL(rig.machine.state, (enum pst_master_state)state);
            break;
        case PST_MASTER_NUMBERING:
            CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.error, PST_E_TIMEOUT);
            CU_ASSERT_EQUAL(told(PST_BACKUP_REF)->payload.ref.where, OWN_ARCHIVE_REF);
            break;
        case PST_MASTER_COMMITTING:
            CU_ASSERT_EQUAL(told(PST_BACKUP_COMPLETE_REP)->payload.complete.warnings, 3);
            break;
        case PST_MASTER_CLEANING:
            CU_ASSERT_EQUAL(told(PST_BACKUP_ABORT_REP)->payload.ref.error, PST_E_CLIENT_ABORT);
            break;
        case PST_MASTER_ABORTING:
            CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_CLEANING);
            break;
        default:
            CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_CLEANING);
            CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_ABORT_BACKUP_ORD), 1);
            CU_ASSERT_EQUAL(rig.machine.error, scans ? -PST_E_STALLED : -PST_E_TIMEOUT);
            CU_ASSERT_EQUAL(rig.machine.where, pst_ref_make(1, PST_BLOCK_PROXY, 0));
        }
        go_home();
    }
}

static void every_state_with_a_dead_node(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_master_state)state);
        fail_node(9); /* takes no part */
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        fail_node(3);
        uint32_t kept = 0;
        for (uint32_t i = 0; i < rig.pending_count; i++) { /* it answers no more */
            if (pst_ref_node(rig.pending[i].receiver_ref) != 3)
                rig.pending[kept++] = rig.pending[i];
        }
        rig.pending_count = kept;
        if (may_abort(state) && state != PST_MASTER_NUMBERING) {
            CU_ASSERT_EQUAL(rig.machine.error, -PST_E_NODE_FAILED);
            CU_ASSERT_EQUAL(rig.machine.where, pst_ref_make(3, PST_BLOCK_PROXY, 0));
            const struct pst_send *order = rig_find(&rig.actions, PST_ABORT_BACKUP_ORD);
            CU_ASSERT_PTR_NOT_NULL_FATAL(order);
            CU_ASSERT_EQUAL(pst_set_count(&order->targets), 2);
        } else if (state == PST_MASTER_DECIDING || state == PST_MASTER_COMMITTING) {
            CU_ASSERT_EQUAL(rig.machine.warnings, 1);
            answer_all();
            CU_ASSERT_EQUAL(told(PST_BACKUP_COMPLETE_REP)->payload.complete.warnings, 1);
        }
        go_home();
    }
}

static void a_node_that_dies_after_its_commit_has_its_copy(void)
{
    drive(PST_MASTER_COMMITTING);
    answer_one(0);
    CU_ASSERT_EQUAL(rig.pending[0].receiver_ref, pst_ref_make(2, PST_BLOCK_PROXY, 0));
    answer_one(0);
    fail_node(2);
    answer_one(ENOSPC);
    CU_ASSERT_EQUAL(told(PST_BACKUP_COMPLETE_REP)->payload.complete.warnings, 1);
    go_home();
}

/* Any one REF in any state aborts, is told to the client with where, after the others' answers. */
static void every_ref_aborts(void)
{
    for (int state = PST_MASTER_NUMBERING; state <= PST_MASTER_DECIDING; state++) {
        drive((enum pst_master_state)state);
        pst_ref where = rig.pending[0].receiver_ref;
        answer_one(ENOSPC);
        while (rig.machine.state != PST_MASTER_IDLE) {
            CU_ASSERT_FATAL(rig.pending_count > 0);
            answer_one(0);
        }
        bool confirmed = state > PST_MASTER_DEFINING;
        const struct pst_ref_payload *end =
            &told(confirmed ? PST_BACKUP_ABORT_REP : PST_BACKUP_REF)->payload.ref;
        CU_ASSERT_EQUAL(end->error, ENOSPC);
        CU_ASSERT_EQUAL(end->where, where);
        CU_ASSERT_EQUAL(rig.machine.aborted, 1);
        go_home();
    }
}

/* Every REQ of a run, node by node: proxies of multithreaded nodes, LDM 1 of the others. */
static void check_routing(uint64_t multithreaded_mask, uint32_t flags)
{
    init(3, multithreaded_mask);
    ask(UID_LOW, flags);
    uint32_t requests = 0;
    while (rig.machine.state != PST_MASTER_IDLE) {
        struct pst_signal request = take_pending();
        uint32_t node = pst_ref_node(request.receiver_ref);
        bool proxied = flags == 0 && multithreaded_mask >> (node - 1) & 1;
        CU_ASSERT_EQUAL(request.payload.order.master_ref, MASTER_REF);
        CU_ASSERT_EQUAL(request.sender_ref, MASTER_REF);
        if (request.gsn < PST_ARCHIVE_NUMBER_REQ) {
            CU_ASSERT_EQUAL(request.receiver_ref, proxied
                                                      ? pst_ref_make(node, PST_BLOCK_PROXY, 0)
                                                      : pst_ref_make(node, PST_BLOCK_BACKUP, 1));
            requests++;
            struct pst_signal false_answer = rig_answer(&request, 0);
            false_answer.sender_ref = proxied ? pst_ref_make(node, PST_BLOCK_BACKUP, 1)
                                              : pst_ref_make(node, PST_BLOCK_PROXY, 0);
            uint64_t strays = rig.machine.senders.stray_answers;
            deliver(&false_answer); /* from the one who was not asked */
            CU_ASSERT_EQUAL(rig.machine.senders.stray_answers, strays + 1);
        }
        struct pst_signal answer = rig_answer(&request, 0);
        deliver(&answer);
    }
    CU_ASSERT_EQUAL(requests, 3 * 7);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_BACKUP_COMPLETE_REP), 1);
    go_home();
}

static void routes_multithreaded(void)
{
    check_routing(7, 0);
}

static void routes_single_threaded(void)
{
    check_routing(7, PST_BACKUP_SINGLE_THREADED);
    check_routing(0, 0);
}

static void routes_a_mixed_cluster(void)
{
    check_routing(2, 0);
    check_routing(5, 0);
}

static void the_start_gci_is_above_all(void)
{
    drive(PST_MASTER_FREEZING);
    for (uint64_t i = 0; i < 3; i++) {
        struct pst_signal request = take_pending();
        struct pst_signal answer = rig_answer(&request, 0);
        answer.payload.gci.start_gci = (UINT64_C(1) << 40) + (i == 1);
        deliver(&answer);
    }
    CU_ASSERT_EQUAL(told(PST_GCP_COMMIT_REQ)->payload.gci.start_gci, (UINT64_C(1) << 40) + 2);
    answer_all();
    CU_ASSERT_EQUAL(told(PST_BACKUP_COMPLETE_REP)->payload.complete.start_gci,
                    (UINT64_C(1) << 40) + 2);
    go_home();
}

/* No number is above the last one there is: the node that claims it is refused. */
static void a_start_gci_does_not_wrap(void)
{
    drive(PST_MASTER_FREEZING);
    struct pst_signal request = take_pending();
    struct pst_signal answer = rig_answer(&request, 0);
    answer.payload.gci.start_gci = UINT64_MAX;
    deliver(&answer);
    while (rig.machine.state == PST_MASTER_FREEZING)
        answer_one(0);
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_CLEANING);
    CU_ASSERT_EQUAL(rig.machine.error, -PST_E_BAD_REQUEST);
    go_home();
}

/* All nodes prepared, then the decision, then the copies; sums and digests are passed on whole. */
static void the_outcome_is_two_phase(void)
{
    uint64_t huge = UINT64_C(0x1000000000000);
    drive(PST_MASTER_STOPPING);
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_ARCHIVE_DECIDE_REQ), 0);
        struct pst_signal request = take_pending();
        struct pst_signal answer = rig_answer(&request, 0);
        answer.payload.stop_conf.sums = (struct pst_sums){huge + i, huge, huge, huge, 1};
        answer.payload.stop_conf.file_bytes = 100 + i;
        answer.payload.stop_conf.digest[0] = (uint8_t)(i + 1);
        deliver(&answer);
        const struct pst_archive_item *item = &told(PST_ARCHIVE_NODE_ORD)->payload.archive_item;
        CU_ASSERT_EQUAL(item->item, i + 1);
        CU_ASSERT_EQUAL(item->file_bytes, 100 + i);
        CU_ASSERT_EQUAL(item->digest[0], i + 1);
    }
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_ARCHIVE_DECIDE_REQ), 1);
    struct pst_signal request = take_pending();
    struct pst_signal decided = rig_answer(&request, 0);
    decided.payload.commit.digest[3] = 0xcd;
    decided.payload.commit.file_bytes = 321;
    deliver(&decided);
    CU_ASSERT_EQUAL(told(PST_COMMIT_BACKUP_REQ)->payload.commit.digest[3], 0xcd);
    CU_ASSERT_EQUAL(told(PST_COMMIT_BACKUP_REQ)->payload.commit.file_bytes, 321);
    CU_ASSERT_EQUAL(told(PST_COMMIT_BACKUP_REQ)->payload.commit.master_ref, MASTER_REF);
    answer_one(0);
    answer_one(ENOSPC); /* a copy that is not stored is a warning, no abort */
    answer_one(0);
    const struct pst_backup_complete_rep *rep = &told(PST_BACKUP_COMPLETE_REP)->payload.complete;
    CU_ASSERT_EQUAL(rep->sums.source_bytes, 3 * huge + 3);
    CU_ASSERT_EQUAL(rep->sums.unreadable, 3);
    CU_ASSERT_EQUAL(rep->warnings, 1);
    CU_ASSERT_EQUAL(rep->number, 12);
    CU_ASSERT_EQUAL(rep->manifest_low, UINT64_C(0xcd) << 24);
    go_home();
}

static void reading_back_puts_the_deadline_off(void)
{
    drive(PST_MASTER_STOPPING);
    for (uint32_t i = 0; i < 10; i++) {
        rig.now_ns += rig_timeouts.master_ns - 1;
        struct pst_signal report =
            rig_signal(PST_BACKUP_PROGRESS_REP, pst_ref_make(2, PST_BLOCK_PROXY, 0), MASTER_REF, 0);
        deliver(&report);
        CU_ASSERT_EQUAL(master_deadline_ns(&rig.machine), rig.now_ns + rig_timeouts.master_ns);
    }
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_STOPPING);
    go_home();
}

static void progress_is_summed_and_puts_the_deadline_off(void)
{
    drive(PST_MASTER_SCANNING);
    for (uint32_t node = 1; node <= 3; node++) {
        rig.now_ns += rig_timeouts.stall_ns;
        struct pst_signal report = rig_signal(
            PST_BACKUP_PROGRESS_REP, pst_ref_make(node, PST_BLOCK_PROXY, 0), MASTER_REF, 0);
        report.payload.progress.sums.source_bytes = UINT64_C(0xffffffff);
        report.payload.progress.expected_bytes = UINT64_C(0xffffffff);
        report.payload.progress.expected_is_final = node > 1;
        deliver(&report);
        const struct pst_backup_progress *status = &told(PST_BACKUP_STATUS_REP)->payload.progress;
        CU_ASSERT_EQUAL(status->sums.source_bytes, node * UINT64_C(0xffffffff));
        CU_ASSERT_EQUAL(status->expected_bytes, node * UINT64_C(0xffffffff));
        CU_ASSERT_EQUAL(status->expected_is_final, 0);
        CU_ASSERT_EQUAL(master_deadline_ns(&rig.machine),
                        rig.now_ns + rig_timeouts.stall_ns + rig_timeouts.master_ns);
    }
    go_home();
}

static void warnings_of_the_nodes_are_counted(void)
{
    for (uint32_t each = 0; each < 2; each++) {
        drive(PST_MASTER_STOPPING);
        while (rig.machine.state == PST_MASTER_STOPPING) {
            struct pst_signal request = take_pending();
            struct pst_signal answer = rig_answer(&request, 0);
            uint32_t count = each * pst_ref_node(request.receiver_ref);
            answer.payload.stop_conf.warnings = pst_u16_at_most(count);
            answer.payload.stop_conf.left_frozen = pst_u16_at_most(2 * count);
            deliver(&answer);
        }
        answer_all();
        CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_BACKUP_COMPLETE_REP), 1);
        CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_BACKUP_STATUS_REP), each);
        if (each)
            CU_ASSERT_EQUAL(told(PST_BACKUP_STATUS_REP)->payload.progress.warnings, 1 + 2 + 3);
        CU_ASSERT_EQUAL(told(PST_BACKUP_COMPLETE_REP)->payload.complete.left_frozen,
                        each * 2 * (1 + 2 + 3));
        go_home();
        CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_BACKUP_STATUS_REP), 0);
    }
}

static void a_lost_answer_leaves_a_sender_that_the_next_backup_releases(void)
{
    drive(PST_MASTER_CLEANING);
    take_pending(); /* never comes */
    while (rig.pending_count > 0)
        answer_one(0);
    tick(rig_timeouts.master_ns);
    CU_ASSERT_EQUAL(told(PST_BACKUP_ABORT_REP)->payload.ref.error, PST_E_CLIENT_ABORT);
    CU_ASSERT_EQUAL(senders_in_use(&rig.machine.senders), 1);
    go_home();
    CU_ASSERT_EQUAL(rig.machine.senders.stale_senders, 1);
}

/* A node that comes back while a backup runs takes part in the next one, not in this. */
static void a_node_that_joins_takes_part_in_the_next(void)
{
    drive(PST_MASTER_SCANNING);
    fail_node(3);
    struct pst_event event = {.type = PST_EVENT_NODE_JOINED, .node = 3, .multithreaded = true};
    step(&event);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_FALSE(pst_set_has(&rig.machine.participants, 2));
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
    ask(OTHER_UID, 0);
    answer_one(0);
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_DEFINING);
    CU_ASSERT_TRUE(pst_set_has(&rig.machine.participants, 2));
    CU_ASSERT_TRUE(pst_set_has(&rig_find(&rig.actions, PST_DEFINE_BACKUP_REQ)->targets, 2));
}

/* Answers all that is pending; node 2 refuses the number, for it knows of this one. */
static void refuse_number(uint32_t known)
{
    while (rig.pending_count > 0) {
        struct pst_signal request = take_pending();
        bool refuses =
            request.gsn == PST_DEFINE_BACKUP_REQ && pst_ref_node(request.receiver_ref) == 2;
        struct pst_signal answer = rig_answer(&request, refuses ? PST_E_NUMBER_EXISTS : 0);
        if (refuses)
            answer.payload.ref.number = known;
        deliver(&answer);
        if (rig.machine.state == PST_MASTER_DEFINING && !refuses && rig.machine.error == 0 &&
            request.gsn == PST_CLEANUP_BACKUP_REQ)
            return;
    }
}

static void a_number_known_elsewhere_is_passed_over(void)
{
    init(3, 7);
    ask(UID_LOW, 0);
    answer_one(0); /* 12 */
    refuse_number(40);
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_DEFINING);
    const struct pst_send *again = rig_find(&rig.actions, PST_DEFINE_BACKUP_REQ);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(again->signal.payload.define.number, 41);
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.completed, 1);
}

static void a_number_is_not_sought_for_ever(void)
{
    init(3, 7);
    ask(UID_LOW, 0);
    answer_one(0);
    for (uint32_t i = 0; i <= PST_MASTER_NUMBERS_MAX; i++)
        refuse_number(40 + i);
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
    CU_ASSERT_EQUAL(rig.machine.error, -PST_E_NUMBER_EXISTS);
    rig_ledger_close(&rig.ledger);
}

static void an_abort_ends_the_search_for_a_number(void)
{
    init(3, 7);
    ask(UID_LOW, 0);
    answer_one(0);
    struct pst_signal request = take_pending();
    while (pst_ref_node(request.receiver_ref) != 2)
        request = take_pending();
    struct pst_signal answer = rig_answer(&request, PST_E_NUMBER_EXISTS);
    answer.payload.ref.number = 40;
    deliver(&answer);
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_ABORTING);
    order_abort(PST_ABORT_CLIENT, CLIENT_REF);
    tick(rig_timeouts.master_ns);
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_MASTER_IDLE);
    CU_ASSERT_EQUAL(rig.machine.aborted, 1);
}

static CU_TestInfo tests[] = {
    {"a number known elsewhere is passed over", a_number_known_elsewhere_is_passed_over},
    {"a number is not sought for ever", a_number_is_not_sought_for_ever},
    {"an abort ends the search for a number", an_abort_ends_the_search_for_a_number},
    {"every state with every signal", every_state_with_every_signal},
    {"every state with another request", every_state_with_another_request},
    {"a repeated request has its answer", a_repeated_request_has_its_answer},
    {"malformed requests are refused", malformed_requests_are_refused},
    {"an unknown flag is refused", an_unknown_flag_is_refused},
    {"a flag must be confirmed by each node", a_flag_must_be_confirmed_by_each_node},
    {"old flags need no confirmation", old_flags_need_no_confirmation},
    {"every state with the client's abort", every_state_with_the_clients_abort},
    {"every state with an LDM's trouble", every_state_with_an_ldms_trouble},
    {"every state with time passing", every_state_with_time_passing},
    {"every state with a dead node", every_state_with_a_dead_node},
    {"a node that dies after its commit has its copy",
     a_node_that_dies_after_its_commit_has_its_copy},
    {"a node that joins takes part in the next", a_node_that_joins_takes_part_in_the_next},
    {"every REF aborts", every_ref_aborts},
    {"routes multithreaded", routes_multithreaded},
    {"routes single-threaded", routes_single_threaded},
    {"routes a mixed cluster", routes_a_mixed_cluster},
    {"the start GCI is above all", the_start_gci_is_above_all},
    {"a start GCI does not wrap", a_start_gci_does_not_wrap},
    {"the outcome is two-phase", the_outcome_is_two_phase},
    {"reading back puts the deadline off", reading_back_puts_the_deadline_off},
    {"progress is summed and puts the deadline off", progress_is_summed_and_puts_the_deadline_off},
    {"warnings of the nodes are counted", warnings_of_the_nodes_are_counted},
    {"a lost answer leaves a sender that the next backup releases",
     a_lost_answer_leaves_a_sender_that_the_next_backup_releases},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol master", tests);
}
