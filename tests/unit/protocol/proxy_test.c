/* The proxy: every state with every event; its fan-out, its one answer, its deadlines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/protocol/proxy_rig.h"

#define STATES (PST_PROXY_CLEANING + 1)

/* '>' served; 'X' cleanup begins; 'A' aborted; 's' stops its work; 'K' CONF; '-' ignored;
 * REF: u UNKNOWN_BACKUP, w WRONG_STATE, b BUSY, c CLEANING. */
static const uint16_t orders[] = {
    PST_DEFINE_BACKUP_REQ, PST_START_BACKUP_REQ,    PST_GCP_PREPARE_REQ,
    PST_GCP_COMMIT_REQ,    PST_BACKUP_FRAGMENT_REQ, PST_STOP_BACKUP_REQ,
    PST_COMMIT_BACKUP_REQ, PST_CLEANUP_BACKUP_REQ,  PST_ABORT_BACKUP_ORD,
};
#define ORDERS (sizeof(orders) / sizeof(orders[0]))
static const char *const reactions[STATES] = {
    [PST_PROXY_IDLE] = ">uuuuuuK-",     [PST_PROXY_DEFINING] = "bwwwwwwXs",
    [PST_PROXY_DEFINED] = "b>wwwwwXA",  [PST_PROXY_STARTING] = "bwwwwwwXs",
    [PST_PROXY_STARTED] = "bw>wwwwXA",  [PST_PROXY_FREEZING] = "bwwwwwwXs",
    [PST_PROXY_FROZEN] = "bww>wwwXA",   [PST_PROXY_CUTTING] = "bwwwwwwXs",
    [PST_PROXY_CUT] = "bwww>wwXA",      [PST_PROXY_SCANNING] = "bwwwwwwXs",
    [PST_PROXY_SCANNED] = "bwwww>wXA",  [PST_PROXY_STOPPING] = "bwwwwwwXs",
    [PST_PROXY_PREPARED] = "bwwwww>XA", [PST_PROXY_COMMITTING] = "bwwwwwww-",
    [PST_PROXY_ABORTED] = "cwwwwwwX-",  [PST_PROXY_CLEANING] = "cwwwwwwc-",
};

static uint32_t error_of(char reaction)
{
    switch (reaction) {
    case 'u':
        return PST_E_UNKNOWN_BACKUP;
    case 'w':
        return PST_E_WRONG_STATE;
    case 'b':
        return PST_E_BUSY;
    case 'c':
        return PST_E_CLEANING;
    default:
        return 0;
    }
}

static void check_reaction(enum pst_proxy_state state, uint32_t gsn, char reaction)
{
    const char *name = pst_proxy_state_name(state);
    enum pst_proxy_state after = rig.machine.state;
    uint32_t sends = rig.actions.sends_count;
    uint32_t error = error_of(reaction);
    if (error) {
        RIG_CHECK(after == state && sends == 1 && rig.actions.sends[0].signal.gsn == gsn + 2 &&
                      rig.actions.sends[0].signal.payload.ref.error == error,
                  "%s in %s: not just refused with %u", pst_gsn_name(gsn), name, error);
    } else if (reaction == '>') {
        bool busy = false;
        for (uint32_t i = 0; i < proxy_transitions_count; i++)
            busy |= proxy_transitions[i].gsn == gsn && proxy_transitions[i].busy == after;
        RIG_CHECK(busy && sends == 1, "%s in %s: not served", pst_gsn_name(gsn), name);
    } else if (reaction == 'K') {
        RIG_CHECK(after == state && sends == 1 && rig.actions.sends[0].signal.gsn == gsn + 1,
                  "%s in %s: not confirmed", pst_gsn_name(gsn), name);
    } else if (reaction == 'X') {
        RIG_CHECK(after == PST_PROXY_CLEANING &&
                      rig_find(&rig.actions, PST_CLEANUP_BACKUP_REQ) != NULL,
                  "%s in %s: does not clean", pst_gsn_name(gsn), name);
    } else if (reaction == '-') {
        RIG_CHECK(after == state && sends == 0, "%s in %s: not ignored", pst_gsn_name(gsn), name);
    } else {
        RIG_CHECK(after == (reaction == 's' ? state : PST_PROXY_ABORTED) &&
                      rig_find(&rig.actions, PST_ABORT_BACKUP_ORD) != NULL &&
                      rig_find(&rig.actions, PST_SOURCE_ABORT_ORD) != NULL,
                  "%s in %s: does not stop", pst_gsn_name(gsn), name);
    }
}

static void every_state_with_every_signal(void)
{
    for (int state = 0; state < STATES; state++) {
        for (uint32_t gsn = 0; gsn < GSN_TRIED_MAX; gsn++) {
            drive((enum pst_proxy_state)state);
            struct pst_signal signal = order(gsn);
            char reaction = '-';
            for (uint32_t i = 0; i < ORDERS; i++)
                reaction = orders[i] == gsn ? reactions[state][i] : reaction;
            if (reaction != '-')
                rig_ledger_ask(&rig.ledger, &signal);
            deliver(&signal);
            check_reaction((enum pst_proxy_state)state, gsn, reaction);
            go_home();
        }
    }
}

static void strange_orders(bool other_backup)
{
    for (int state = 0; state < STATES; state++) {
        for (uint32_t i = 1; i < ORDERS; i++) {
            drive((enum pst_proxy_state)state);
            struct pst_signal signal = order(orders[i]);
            if (other_backup)
                signal.backup = OTHER_UID;
            else
                signal.payload.order.master_ref = OTHER_MASTER_REF;
            bool unknown = other_backup || state == PST_PROXY_IDLE;
            rig_ledger_ask(&rig.ledger, &signal);
            deliver(&signal);
            CU_ASSERT_EQUAL(rig.machine.state, (enum pst_proxy_state)state);
            if (orders[i] == PST_ABORT_BACKUP_ORD)
                CU_ASSERT_EQUAL(rig.actions.sends_count, 0)
            else if (orders[i] == PST_CLEANUP_BACKUP_REQ && unknown)
                CU_ASSERT_EQUAL(told(PST_CLEANUP_BACKUP_CONF)->backup, signal.backup)
            else
                CU_ASSERT_EQUAL(told(orders[i] + 2u)->payload.ref.error,
                                unknown ? PST_E_UNKNOWN_BACKUP : PST_E_WRONG_MASTER)
            go_home();
        }
    }
}

static void every_state_with_another_backups_orders(void)
{
    strange_orders(true);
}

static void only_the_master_may_order(void)
{
    strange_orders(false);
}

static void flags_are_confirmed_or_refused(void)
{
    for (uint32_t flags = 0; flags <= PST_BACKUP_FLAGS + 1u; flags++) {
        drive(PST_PROXY_IDLE);
        struct pst_signal define = order(PST_DEFINE_BACKUP_REQ);
        define.payload.define.flags = flags;
        rig_ledger_ask(&rig.ledger, &define);
        deliver(&define);
        answer_all();
        if (flags <= PST_BACKUP_FLAGS)
            CU_ASSERT_EQUAL(told(PST_DEFINE_BACKUP_CONF)->payload.define_conf.flags, flags)
        else
            CU_ASSERT_EQUAL(told(PST_DEFINE_BACKUP_REF)->payload.ref.error, PST_E_OPTION)
        CU_ASSERT_EQUAL(rig.machine.state,
                        flags <= PST_BACKUP_FLAGS ? PST_PROXY_DEFINED : PST_PROXY_IDLE);
        go_home();
    }
}

static void every_state_with_time_passing(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_proxy_state)state);
        uint32_t gsn = rig.machine.request.gsn;
        bool scans = state == PST_PROXY_SCANNING;
        uint64_t limit_ns = scans ? rig_timeouts.stall_ns : rig_timeouts.proxy_ns;
        tick(limit_ns - 1);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        tick(1);
        RIG_CHECK((rig.actions.sends_count > 0) == (gsn != 0), "time in state %d", state);
        if (gsn != 0) {
            CU_ASSERT_EQUAL(told(gsn + 2)->payload.ref.error,
                            scans ? PST_E_STALLED : PST_E_TIMEOUT);
            bool ends = state == PST_PROXY_COMMITTING || state == PST_PROXY_CLEANING;
            CU_ASSERT_EQUAL(rig.machine.state, ends ? PST_PROXY_IDLE : PST_PROXY_ABORTED);
            CU_ASSERT_TRUE(senders_in_use(&rig.machine.senders) > 0); /* zombies */
        }
        answer_all(); /* late: recognised, and never a second answer */
        CU_ASSERT_EQUAL(senders_in_use(&rig.machine.senders), 0);
        CU_ASSERT_EQUAL(rig.machine.senders.stray_answers > 0, gsn != 0);
        go_home();
    }
}

static void every_state_with_a_dead_node(void)
{
    for (int state = 0; state < STATES; state++) {
        drive((enum pst_proxy_state)state);
        fail_node(3);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        CU_ASSERT_EQUAL(rig.machine.state, (enum pst_proxy_state)state);
        uint32_t unanswered = rig.machine.request.gsn != 0;
        fail_node(1);
        bool waits =
            state == PST_PROXY_IDLE || state == PST_PROXY_COMMITTING || state == PST_PROXY_CLEANING;
        enum pst_proxy_state after =
            state == PST_PROXY_PREPARED ? PST_PROXY_COMMITTING : PST_PROXY_CLEANING;
        CU_ASSERT_EQUAL(rig.machine.state, waits ? (enum pst_proxy_state)state : after);
        CU_ASSERT_EQUAL(rig.machine.in_doubt, state == PST_PROXY_PREPARED);
        answer_all();
        CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_IDLE);
        if (unanswered && !waits) /* who would hear it is dead */
            rig.ledger.entries[rig.ledger.count - 1].answers++;
        go_home();
    }
}

/* Prepared and the master dead: the files are kept, the LDMs freed, nothing is stored. */
static void prepared_without_a_master_is_in_doubt(void)
{
    drive(PST_PROXY_PREPARED);
    fail_node(1);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 2);
    const struct pst_send *leave = rig_find(&rig.actions, PST_ARCHIVE_LEAVE_ORD);
    CU_ASSERT_PTR_NOT_NULL_FATAL(leave);
    CU_ASSERT_EQUAL(leave->signal.receiver_ref, ARCHIVE_REF);
    CU_ASSERT_EQUAL(leave->signal.payload.order.master_ref, MASTER_REF);
    const struct pst_send *commit = rig_find(&rig.actions, PST_COMMIT_BACKUP_REQ);
    CU_ASSERT_PTR_NOT_NULL_FATAL(commit);
    CU_ASSERT_EQUAL(pst_set_count(&commit->targets), LDMS);
    CU_ASSERT_EQUAL(commit->signal.payload.order.master_ref, MASTER_REF);
    send_order(PST_CLEANUP_BACKUP_REQ); /* is refused: it may have been decided */
    CU_ASSERT_EQUAL(told(PST_CLEANUP_BACKUP_REF)->payload.ref.error, PST_E_WRONG_STATE);
    while (rig.pending_count > 0) {
        answer_one(0);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    }
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_IDLE);
    go_home();
}

/* Some LDMs are prepared, the node is not: all parts go, also the prepared ones. */
static void a_node_not_wholly_prepared_cleans_up(void)
{
    drive(PST_PROXY_STOPPING);
    answer_one(0);
    fail_node(1);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_CLEANING);
    CU_ASSERT_EQUAL(rig.machine.in_doubt, 0);
    rig.ledger.entries[rig.ledger.count - 1].answers++; /* its asker is dead */
    uint32_t cleaned = 0;
    while (rig.pending_count > 0) {
        struct pst_signal request = take_pending();
        cleaned += request.gsn == PST_CLEANUP_BACKUP_REQ;
        struct pst_signal answer = rig_answer(&request, 0);
        deliver(&answer);
    }
    CU_ASSERT_EQUAL(cleaned, LDMS);
    go_home();
}

/* For each order and each member of each of its steps: a REF there is the answer, once all have
 * answered, with the first error and who gave it. */
static void the_first_error_is_the_one_answer(void)
{
    for (uint32_t i = 0; i < proxy_transitions_count; i++) {
        const struct proxy_transition *transition = &proxy_transitions[i];
        for (uint32_t bad = 0;; bad++) {
            drive(transition->busy);
            for (uint32_t k = 0; k < bad && rig.pending_count > 0; k++)
                answer_one(0);
            if (rig.pending_count == 0)
                break; /* all members were tried */
            pst_ref where = rig.pending[0].receiver_ref;
            bool was_last = rig.pending_count == 1;
            answer_one(ENOSPC);
            while (rig.pending_count > 0) {
                RIG_CHECK(!rig_find(&rig.actions, PST_REF_OF(transition->gsn)), "too early");
                was_last = rig.pending_count == 1;
                answer_one(transition->gsn == PST_COMMIT_BACKUP_REQ ? 0 : EIO);
            }
            CU_ASSERT_TRUE(was_last);
            const struct pst_signal *ref = told(transition->gsn + 2u);
            CU_ASSERT_EQUAL(ref->payload.ref.error, ENOSPC);
            CU_ASSERT_EQUAL(ref->payload.ref.where, where);
            CU_ASSERT_EQUAL(ref->receiver_ref, MASTER_REF);
            CU_ASSERT_EQUAL(rig.machine.state, transition->gsn == PST_COMMIT_BACKUP_REQ
                                                   ? PST_PROXY_IDLE
                                                   : PST_PROXY_ABORTED);
            go_home();
        }
    }
}

/* Each order that concerns LDMs reaches all of them, from the proxy, in the master's name. */
static void all_ldms_get_every_order(void)
{
    static const uint16_t gsns[] = {PST_DEFINE_BACKUP_REQ, PST_START_BACKUP_REQ,
                                    PST_STOP_BACKUP_REQ, PST_COMMIT_BACKUP_REQ,
                                    PST_CLEANUP_BACKUP_REQ};
    for (uint32_t ldms = 1; ldms <= PST_LDMS_MAX; ldms += 51) {
        struct pst_set all = pst_set_first(ldms);
        for (uint32_t i = 0; i < sizeof(gsns) / sizeof(gsns[0]); i++) {
            init(ldms, 0);
            rig.machine.backup = UID_LOW;
            rig.machine.master_ref = MASTER_REF;
            rig.machine.state = PST_PROXY_ABORTED;
            uint16_t gsn = gsns[i];
            for (uint32_t k = 0; k < proxy_transitions_count; k++)
                rig.machine.state =
                    proxy_transitions[k].gsn == gsn ? proxy_transitions[k].from : rig.machine.state;
            struct pst_signal signal = order(gsn);
            struct pst_event event = {.type = PST_EVENT_SIGNAL, .now_ns = 1};
            event.signal = &signal;
            pst_proxy_step(&rig.machine, &event, &rig.actions);
            if (!rig_find(&rig.actions, gsn)) { /* the archive is asked first */
                struct pst_signal archive =
                    rig_answer(&rig.actions.sends[rig.actions.sends_count - 1].signal, 0);
                event.signal = &archive;
                pst_proxy_step(&rig.machine, &event, &rig.actions);
            }
            const struct pst_send *send = rig_find(&rig.actions, gsn);
            CU_ASSERT_PTR_NOT_NULL_FATAL(send);
            CU_ASSERT_EQUAL(send->route, PST_ROUTE_LDMS);
            CU_ASSERT_EQUAL(memcmp(&send->targets, &all, sizeof(all)), 0);
            CU_ASSERT_EQUAL(send->signal.sender_ref, PROXY_REF);
            CU_ASSERT_EQUAL(send->signal.payload.order.master_ref, MASTER_REF);
        }
    }
}

static void all_ldms_and_sources_get_the_abort(void)
{
    for (int state = PST_PROXY_DEFINING; state <= PST_PROXY_PREPARED; state++) {
        drive((enum pst_proxy_state)state);
        send_order(PST_ABORT_BACKUP_ORD);
        const struct pst_send *ldms = rig_find(&rig.actions, PST_ABORT_BACKUP_ORD);
        const struct pst_send *sources = rig_find(&rig.actions, PST_SOURCE_ABORT_ORD);
        CU_ASSERT_PTR_NOT_NULL_FATAL(ldms);
        CU_ASSERT_PTR_NOT_NULL_FATAL(sources);
        CU_ASSERT_EQUAL(pst_set_count(&ldms->targets), LDMS);
        CU_ASSERT_EQUAL(pst_set_count(&sources->targets), SOURCES);
        CU_ASSERT_EQUAL(ldms->signal.payload.abort.error, PST_E_CLIENT_ABORT);
        CU_ASSERT_EQUAL(ldms->signal.payload.abort.where, CLIENT_REF);
        CU_ASSERT_EQUAL(ldms->signal.payload.abort.master_ref, MASTER_REF);
        CU_ASSERT_EQUAL(sources->signal.payload.order.master_ref, MASTER_REF);
        uint16_t gsn = rig.machine.request.gsn;
        while (gsn != 0 && rig.machine.state == (enum pst_proxy_state)state)
            answer_one(0); /* what runs ends well, and the abort is the answer all the same */
        if (gsn != 0)
            CU_ASSERT_EQUAL(told(gsn + 2u)->payload.ref.error, PST_E_CLIENT_ABORT);
        CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_ABORTED);
        go_home();
    }
}

/* Nobody answers a cleanup: at the deadline, which is before the master's, all that can be asked
 * for was asked for, and the master has its answer. */
static void a_cleanup_answers_within_the_masters_deadline(void)
{
    drive(PST_PROXY_ABORTED);
    send_order(PST_CLEANUP_BACKUP_REQ);
    CU_ASSERT_TRUE(pst_proxy_deadline_ns(&rig.machine) < rig.now_ns + rig_timeouts.master_ns);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_CLEANUP_BACKUP_REQ), 1);
    tick(rig_timeouts.proxy_ns);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_SOURCE_RELEASE_REQ), 1);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_ARCHIVE_CLEANUP_REQ), 1);
    CU_ASSERT_EQUAL(told(PST_CLEANUP_BACKUP_REF)->payload.ref.error, PST_E_TIMEOUT);
    go_home();
}

static void an_answer_that_is_lost(void)
{
    drive(PST_PROXY_STARTING);
    take_pending(); /* LDM 1's never comes */
    while (rig.pending_count > 0)
        answer_one(0);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    tick(rig_timeouts.proxy_ns);
    const struct pst_signal *ref = told(PST_START_BACKUP_REF);
    CU_ASSERT_EQUAL(ref->payload.ref.error, PST_E_TIMEOUT);
    CU_ASSERT_EQUAL(ref->payload.ref.where, LDM_REF(1));
    send_order(PST_CLEANUP_BACKUP_REQ);
    answer_all();
    CU_ASSERT_EQUAL(senders_in_use(&rig.machine.senders), 1);
    CU_ASSERT_EQUAL(rig.machine.senders.stale_senders, 0);
    go_home(); /* the next backup completes */
    CU_ASSERT_EQUAL(rig.machine.senders.stale_senders, 1);
}

static void answer_prepare(void)
{
    for (uint32_t i = 0; i < SOURCES; i++) {
        CU_ASSERT_EQUAL_FATAL(rig.pending_count, SOURCES - i);
        CU_ASSERT_EQUAL_FATAL(rig.pending[0].gsn, PST_SOURCE_PREPARE_REQ);
        answer_one(0);
    }
}

/* Freezes all sources but the last, whose writers do not stop in time. */
static void miss_freeze(uint64_t takes_ns)
{
    for (uint32_t i = 0; i < SOURCES; i++) {
        CU_ASSERT_EQUAL_FATAL(rig.pending_count, 1);
        CU_ASSERT_EQUAL(rig.pending[0].gsn, PST_SOURCE_FREEZE_REQ);
        CU_ASSERT_EQUAL(rig.pending[0].receiver_ref, pst_ref_make(2, PST_BLOCK_SOURCE, i));
        tick(i == 0 ? takes_ns : 0);
        answer_one(i + 1 < SOURCES ? 0 : PST_E_FREEZE);
    }
}

/* From the miss on: all are let go, for a time, and then it is tried again. */
static void go_on_after_miss(void)
{
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_GCP_PREPARE_REF), 0);
    answer_prepare();
    CU_ASSERT_EQUAL(rig.pending_count, 0);
    CU_ASSERT_EQUAL(pst_proxy_deadline_ns(&rig.machine), rig.now_ns + rig_timeouts.thawed_ns);
    tick(rig_timeouts.thawed_ns - 1);
    CU_ASSERT_EQUAL(rig.pending_count, 0);
    tick(1);
}

static void a_missed_freeze_is_tried_again(void)
{
    drive(PST_PROXY_FREEZING);
    answer_prepare();
    miss_freeze(1);
    go_on_after_miss();
    answer_all();
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_FROZEN);
    told(PST_GCP_PREPARE_CONF);
    go_home();
}

static void a_freeze_is_refused_after_the_last_try(void)
{
    drive(PST_PROXY_FREEZING);
    answer_prepare();
    for (uint32_t i = 1; i < PST_FREEZE_TRIES_MAX; i++) {
        miss_freeze(1);
        go_on_after_miss();
    }
    miss_freeze(1);
    CU_ASSERT_EQUAL(rig.pending_count, 0);
    CU_ASSERT_EQUAL(told(PST_GCP_PREPARE_REF)->payload.ref.error, PST_E_FREEZE);
    CU_ASSERT_EQUAL(told(PST_GCP_PREPARE_REF)->payload.ref.where,
                    pst_ref_make(2, PST_BLOCK_SOURCE, SOURCES - 1));
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_ABORTED);
    go_home();
}

/* A try that took half of the time there is would be cut off at the deadline. */
static void a_freeze_is_not_tried_past_the_deadline(void)
{
    drive(PST_PROXY_FREEZING);
    answer_prepare();
    miss_freeze(rig_timeouts.proxy_ns / 2);
    CU_ASSERT_EQUAL(told(PST_GCP_PREPARE_REF)->payload.ref.error, PST_E_FREEZE);
    go_home();
}

/* Another node gave its freeze up for good, while this one waits to try again. */
static void an_abort_for_a_freeze_ends_the_tries(void)
{
    drive(PST_PROXY_FREEZING);
    answer_prepare();
    miss_freeze(1);
    answer_prepare();
    struct pst_signal abort = order(PST_ABORT_BACKUP_ORD);
    abort.payload.abort.error = PST_E_FREEZE;
    deliver(&abort);
    CU_ASSERT_EQUAL(told(PST_GCP_PREPARE_REF)->payload.ref.error, PST_E_FREEZE);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_SOURCE_RELEASE_REQ), 0);
    CU_ASSERT_EQUAL(rig.machine.state, PST_PROXY_ABORTED);
    go_home();
}

static void an_abort_ends_the_tries(void)
{
    for (int pauses = 0; pauses < 2; pauses++) {
        drive(PST_PROXY_FREEZING);
        answer_prepare();
        miss_freeze(1);
        if (pauses)
            answer_prepare();
        struct pst_signal abort = order(PST_ABORT_BACKUP_ORD);
        abort.payload.abort.error = PST_E_FREEZE; /* another node's */
        deliver(&abort);
        answer_all();
        CU_ASSERT_EQUAL(told(PST_GCP_PREPARE_REF)->payload.ref.error, PST_E_FREEZE);
        tick(rig_timeouts.thawed_ns);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        go_home();
    }
}

static CU_TestInfo tests[] = {
    {"every state with every signal", every_state_with_every_signal},
    {"every state with another backup's orders", every_state_with_another_backups_orders},
    {"only the master may order", only_the_master_may_order},
    {"flags are confirmed or refused", flags_are_confirmed_or_refused},
    {"every state with time passing", every_state_with_time_passing},
    {"every state with a dead node", every_state_with_a_dead_node},
    {"prepared without a master is in doubt", prepared_without_a_master_is_in_doubt},
    {"a node not wholly prepared cleans up", a_node_not_wholly_prepared_cleans_up},
    {"the first error is the one answer", the_first_error_is_the_one_answer},
    {"all LDMs get every order", all_ldms_get_every_order},
    {"all LDMs and sources get the abort", all_ldms_and_sources_get_the_abort},
    {"a missed freeze is tried again", a_missed_freeze_is_tried_again},
    {"a freeze is refused after the last try", a_freeze_is_refused_after_the_last_try},
    {"an abort for a freeze ends the tries", an_abort_for_a_freeze_ends_the_tries},
    {"a freeze is not tried past the deadline", a_freeze_is_not_tried_past_the_deadline},
    {"an abort ends the tries", an_abort_ends_the_tries},
    {"an answer that is lost", an_answer_that_is_lost},
    {"a cleanup answers within the master's deadline",
     a_cleanup_answers_within_the_masters_deadline},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol proxy", tests);
}
