/* The outcome machine of node 2: what settles a backup in doubt, and what does not. */
#include <errno.h>
#include <string.h>

#include "engine/protocol/outcome.h"
#include "tests/unit/protocol/rig.h"

#define SELF_REF pst_ref_make(2, PST_BLOCK_OUTCOME, 0)
#define OUTCOME_OF(node) pst_ref_make(node, PST_BLOCK_OUTCOME, 0)
#define RESOLVER_REF pst_ref_make(2, PST_BLOCK_CLIENT, 0)

struct rig {
    struct pst_outcome_machine machine;
    struct pst_actions actions;
    struct rig_ledger ledger;
    uint64_t now_ns;
    uint32_t sequence;
};

static struct rig rig;

static void step(struct pst_event *event)
{
    event->now_ns = rig.now_ns;
    rig.actions.sends_count = rig.actions.works_count = 0;
    pst_outcome_step(&rig.machine, event, &rig.actions);
    CU_ASSERT_EQUAL(rig.actions.works_count, 0);
    rig_ledger_check(&rig.ledger, &rig.actions);
}

static void deliver(const struct pst_signal *signal)
{
    struct pst_event event = {.type = PST_EVENT_SIGNAL};
    event.signal = signal;
    rig_ledger_ask(&rig.ledger, signal);
    step(&event);
}

static void tick(uint64_t passed_ns)
{
    rig.now_ns += passed_ns;
    struct pst_event event = {.type = PST_EVENT_TIMER};
    step(&event);
}

static void node_event(enum pst_event_type type, uint32_t node)
{
    struct pst_event event = {.type = type, .node = node};
    step(&event);
}

/* The one signal of this gsn among the actions. */
static struct pst_signal sent(uint16_t gsn)
{
    CU_ASSERT_EQUAL(rig_count(&rig.actions, gsn), 1);
    const struct pst_send *send = rig_find(&rig.actions, gsn);
    CU_ASSERT_PTR_NOT_NULL_FATAL(send);
    return send->signal;
}

static void answer_archive(const struct pst_signal *request, uint32_t error)
{
    struct pst_signal answer = rig_answer(request, error);
    deliver(&answer);
}

/* Nodes 1 … live run; the directory is swept. */
static void begin(uint32_t live)
{
    struct pst_set nodes = pst_set_first(live);
    memset(&rig, 0, sizeof(rig));
    rig.now_ns = 1;
    pst_outcome_init(&rig.machine, 2, &nodes, &rig_timeouts);
    tick(0);
    struct pst_signal sweep = sent(PST_ARCHIVE_SWEEP_REQ);
    answer_archive(&sweep, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
}

static struct pst_signal doubt_rep(uint64_t uid_low, uint32_t master, uint32_t participants)
{
    struct pst_signal report = rig_signal(PST_ARCHIVE_DOUBT_REP, ARCHIVE_REF, SELF_REF, 0);
    report.backup = uid_low;
    report.payload.doubt.master_ref = pst_ref_make(master, PST_BLOCK_BACKUP, 1);
    report.payload.doubt.number = 7;
    memcpy(report.payload.doubt.uid, &uid_low, sizeof(uid_low));
    report.payload.doubt.nodes = pst_set_first(participants);
    return report;
}

static void doubt(uint32_t master, uint32_t participants)
{
    struct pst_signal report = doubt_rep(UID_LOW, master, participants);
    deliver(&report);
}

static struct pst_signal answer_of(const struct pst_signal *question, uint32_t node, uint32_t state)
{
    struct pst_signal answer = *question;
    answer.gsn = PST_OUTCOME_CONF;
    answer.sender_ref = OUTCOME_OF(node);
    answer.receiver_ref = question->sender_ref;
    answer.payload.outcome.state = state;
    if (state == PST_OUTCOME_COMMITTED) {
        answer.payload.outcome.file_bytes = 4711;
        memset(answer.payload.outcome.digest, 0x42, 16);
    }
    return answer;
}

static void tell(const struct pst_signal *question, uint32_t node, uint32_t state)
{
    struct pst_signal answer = answer_of(question, node, state);
    deliver(&answer);
}

static void refuse(const struct pst_signal *question, uint32_t node)
{
    struct pst_signal answer = rig_answer(question, PST_E_BUSY);
    answer.sender_ref = OUTCOME_OF(node);
    deliver(&answer);
}

static void expect_settled(uint32_t state, uint32_t from_node)
{
    struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
    const struct pst_outcome *settled = &order.payload.outcome;
    CU_ASSERT_EQUAL(order.receiver_ref, ARCHIVE_REF);
    CU_ASSERT_EQUAL(order.backup, UID_LOW);
    CU_ASSERT_EQUAL(settled->number, 7);
    CU_ASSERT_EQUAL(pst_uid_low(settled->uid), UID_LOW);
    CU_ASSERT_EQUAL(settled->state, state);
    CU_ASSERT_EQUAL(settled->node, from_node);
    CU_ASSERT_EQUAL(settled->file_bytes, from_node != 0 ? 4711 : 0);
    CU_ASSERT_EQUAL(settled->digest[15], from_node != 0 ? 0x42 : 0);
    answer_archive(&order, 0);
    CU_ASSERT_EQUAL(rig.machine.committed, state == PST_OUTCOME_COMMITTED);
    CU_ASSERT_EQUAL(rig.machine.aborted, state == PST_OUTCOME_NONE);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
}

static void the_sweep_is_tried_again(void)
{
    struct pst_set nodes = pst_set_first(2);
    memset(&rig, 0, sizeof(rig));
    pst_outcome_init(&rig.machine, 2, &nodes, &rig_timeouts);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), 0);
    tick(1);
    struct pst_signal sweep = sent(PST_ARCHIVE_SWEEP_REQ);
    tick(1);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    answer_archive(&sweep, EIO);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), 2 + rig_timeouts.master_ns);
    answer_archive(&sweep, 0); /* twice: stray */
    CU_ASSERT_EQUAL(rig.machine.stray_signals, 1);
    tick(rig_timeouts.master_ns);
    sweep = sent(PST_ARCHIVE_SWEEP_REQ);
    answer_archive(&sweep, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
}

/* The participants are asked that live, this node is not, nor who takes no part. */
static void the_participants_are_asked(void)
{
    begin(4);
    node_event(PST_EVENT_NODE_FAILED, 1);
    doubt(1, 3);
    const struct pst_send *send = rig_find(&rig.actions, PST_OUTCOME_REQ);
    CU_ASSERT_PTR_NOT_NULL_FATAL(send);
    CU_ASSERT_EQUAL(send->route, PST_ROUTE_NODES);
    CU_ASSERT_EQUAL(send->targets.words[0], 1u << 2);
    CU_ASSERT_EQUAL(pst_ref_block(send->signal.receiver_ref), PST_BLOCK_OUTCOME);
    CU_ASSERT_EQUAL(send->signal.payload.outcome.number, 7);
    CU_ASSERT_EQUAL(pst_uid_low(send->signal.payload.outcome.uid), UID_LOW);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
    doubt(1, 3); /* a sweep tells it again */
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
}

/* Every answer of the master's node and of another one, where the third one has yet to answer. */
static void each_answer_has_its_rule(void)
{
    for (uint32_t node = 1; node <= 3; node += 2) {
        for (uint32_t state = 0; state <= PST_OUTCOME_COMMITTED + 1; state++) {
            begin(3);
            doubt(1, 3);
            struct pst_signal question = sent(PST_OUTCOME_REQ);
            tell(&question, node, state);
            if (state == PST_OUTCOME_COMMITTED)
                expect_settled(PST_OUTCOME_COMMITTED, node);
            else if (state == PST_OUTCOME_NONE)
                expect_settled(PST_OUTCOME_NONE, 0);
            else
                CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        }
    }
}

/* Whoever the master was, this node itself too: it is aborted when no other has a decision. */
static void nobody_has_decided(void)
{
    for (uint32_t master = 1; master <= 3; master++) {
        begin(4);
        doubt(master, 4);
        struct pst_signal question = sent(PST_OUTCOME_REQ);
        tell(&question, 1, PST_OUTCOME_PREPARED);
        tell(&question, 3, PST_OUTCOME_PREPARED);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        tell(&question, 4, PST_OUTCOME_PREPARED);
        expect_settled(PST_OUTCOME_NONE, 0);
    }
}

/* The master's own node has lost its decision; the last one that answers has it. */
static void the_masters_decision_is_with_another(void)
{
    begin(3);
    doubt(2, 3);
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_ARCHIVE_SETTLE_REQ), 0);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    CU_ASSERT_EQUAL(rig_find(&rig.actions, PST_OUTCOME_REQ)->targets.words[0], 1u << 0 | 1u << 2);
    tell(&question, 1, PST_OUTCOME_PREPARED);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    tell(&question, 3, PST_OUTCOME_COMMITTED);
    expect_settled(PST_OUTCOME_COMMITTED, 3);
}

/* What a node has said may be another by the time it is asked anew, and by its next life. */
static void only_the_last_answers_count(void)
{
    begin(3);
    doubt(2, 3);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    tell(&question, 1, PST_OUTCOME_PREPARED);
    refuse(&question, 3);
    tick(rig_timeouts.ask_ns);
    question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_PREPARED);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0); /* node 1 owes an answer */
    node_event(PST_EVENT_NODE_FAILED, 3);
    tell(&question, 1, PST_OUTCOME_PREPARED);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    node_event(PST_EVENT_NODE_JOINED, 3);
    question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_PREPARED);
    tell(&question, 1, PST_OUTCOME_PREPARED);
    expect_settled(PST_OUTCOME_NONE, 0);
}

/* Node 3 alone answers, prepared: neither outcome is known, however long it takes. */
static void without_the_master_it_waits(void)
{
    begin(3);
    node_event(PST_EVENT_NODE_FAILED, 1);
    doubt(1, 3);
    for (int round = 0; round < 50; round++) {
        struct pst_signal question = sent(PST_OUTCOME_REQ);
        tell(&question, 3, PST_OUTCOME_PREPARED);
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
        tick(rig_timeouts.ask_ns);
    }
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
    node_event(PST_EVENT_NODE_JOINED, 1); /* asked at once */
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    CU_ASSERT_EQUAL(rig_find(&rig.actions, PST_OUTCOME_REQ)->targets.words[0],
                    1u << 0); /* node 3 owes an answer */
    tell(&question, 1, PST_OUTCOME_COMMITTED);
    expect_settled(PST_OUTCOME_COMMITTED, 1);
}

/* A master's node that is still at work on it says so, and is asked again. */
static void a_busy_master_is_asked_again(void)
{
    begin(2);
    doubt(1, 2);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    refuse(&question, 1);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), rig.now_ns + rig_timeouts.ask_ns);
    tick(rig_timeouts.ask_ns);
    question = sent(PST_OUTCOME_REQ);
    tell(&question, 1, PST_OUTCOME_NONE);
    expect_settled(PST_OUTCOME_NONE, 0);
}

static void nobody_there_means_no_timer(void)
{
    begin(2);
    node_event(PST_EVENT_NODE_FAILED, 1);
    doubt(1, 2);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
    node_event(PST_EVENT_NODE_JOINED, 4); /* takes no part */
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    node_event(PST_EVENT_NODE_JOINED, 1);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    tell(&question, 1, PST_OUTCOME_PREPARED); /* it came back, and had not decided */
    expect_settled(PST_OUTCOME_NONE, 0);
}

/* It cannot be removed: the others are asked again, and it is tried again. */
static void an_abort_that_fails_is_tried_again(void)
{
    begin(3);
    doubt(2, 3);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_NONE);
    struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
    answer_archive(&order, EIO);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
    tick(rig_timeouts.master_ns);
    question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_NONE);
    expect_settled(PST_OUTCOME_NONE, 0);
}

static void late_and_wrong_answers_are_stray(void)
{
    begin(3);
    doubt(1, 3);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    struct pst_signal wrong = answer_of(&question, 1, PST_OUTCOME_NONE);
    wrong.sequence++; /* never asked */
    deliver(&wrong);
    tick(rig_timeouts.ask_ns); /* who owes an answer is not asked twice */
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), rig.now_ns + rig_timeouts.ask_ns);
    wrong = answer_of(&question, 1, PST_OUTCOME_NONE);
    wrong.sender_ref = pst_ref_make(1, PST_BLOCK_PROXY, 0);
    deliver(&wrong);
    wrong = answer_of(&question, 4, PST_OUTCOME_NONE); /* takes no part */
    deliver(&wrong);
    wrong = answer_of(&question, 1, PST_OUTCOME_NONE);
    wrong.backup = OTHER_UID;
    deliver(&wrong);
    CU_ASSERT_EQUAL(rig.machine.stray_signals, 4);
    tell(&question, 3, PST_OUTCOME_PREPARED);
    tell(&question, 3, PST_OUTCOME_NONE); /* a second answer */
    CU_ASSERT_EQUAL(rig.machine.stray_signals, 5);
    node_event(PST_EVENT_NODE_FAILED, 1);
    tell(&question, 1, PST_OUTCOME_NONE); /* of a node declared dead */
    CU_ASSERT_EQUAL(rig.machine.stray_signals, 6);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
}

/* Settled twice over: the first answer counts, whatever the next says. */
static void the_first_that_settles_counts(void)
{
    begin(3);
    doubt(1, 3);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_COMMITTED);
    struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
    tell(&question, 1, PST_OUTCOME_COMMITTED);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    answer_archive(&order, ENOSPC); /* the copy could not be stored */
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
    tick(rig_timeouts.master_ns);
    question = sent(PST_OUTCOME_REQ);
    tell(&question, 1, PST_OUTCOME_COMMITTED);
    expect_settled(PST_OUTCOME_COMMITTED, 1);
}

/* The copy could not be had: its node died meanwhile, and another may have one. */
static void another_copy_is_asked_for_soon(void)
{
    begin(3);
    doubt(1, 3);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    tell(&question, 1, PST_OUTCOME_COMMITTED);
    struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
    node_event(PST_EVENT_NODE_FAILED, 1);
    answer_archive(&order, PST_E_NODE_FAILED);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), rig.now_ns + rig_timeouts.ask_ns);
    tick(rig_timeouts.ask_ns);
    question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_COMMITTED);
    expect_settled(PST_OUTCOME_COMMITTED, 3);
}

/* The cluster manifest has come meanwhile: nothing is in doubt any more. */
static void what_is_committed_is_not_aborted(void)
{
    begin(3);
    doubt(1, 3);
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    tell(&question, 3, PST_OUTCOME_NONE);
    struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
    answer_archive(&order, PST_E_WRONG_STATE);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 0);
    CU_ASSERT_EQUAL(rig.machine.committed, 1);
    CU_ASSERT_EQUAL(rig.machine.aborted, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), PST_DEADLINE_NONE);
}

/* Who is not there, owes an answer, or cannot give one. */
static void it_says_whom_it_waits_for(void)
{
    begin(4);
    doubt(1, 3);
    const struct pst_doubt *waiting = &rig.machine.doubts[0];
    struct pst_signal question = sent(PST_OUTCOME_REQ);
    CU_ASSERT_EQUAL(pst_outcome_waits_for(&rig.machine, waiting).words[0], 1u << 0 | 1u << 2);
    tell(&question, 3, PST_OUTCOME_PREPARED);
    CU_ASSERT_EQUAL(pst_outcome_waits_for(&rig.machine, waiting).words[0], 1u << 0);
    refuse(&question, 1);
    CU_ASSERT_EQUAL(pst_outcome_waits_for(&rig.machine, waiting).words[0], 1u << 0);
    node_event(PST_EVENT_NODE_FAILED, 1);
    CU_ASSERT_EQUAL(pst_outcome_waits_for(&rig.machine, waiting).words[0], 1u << 0);
    node_event(PST_EVENT_NODE_FAILED, 3);
    CU_ASSERT_EQUAL(pst_outcome_waits_for(&rig.machine, waiting).words[0], 1u << 0 | 1u << 2);
}

static void questions_are_answered_from_the_disk(void)
{
    begin(3);
    for (uint32_t state = PST_OUTCOME_NONE; state <= PST_OUTCOME_COMMITTED; state++) {
        struct pst_signal question =
            rig_signal(PST_OUTCOME_REQ, OUTCOME_OF(3), SELF_REF, 40 + state);
        question.payload.outcome.number = 9;
        deliver(&question);
        struct pst_signal request = sent(PST_ARCHIVE_OUTCOME_REQ);
        CU_ASSERT_EQUAL(request.payload.outcome.number, 9);
        struct pst_signal answer = rig_answer(&request, 0);
        answer.payload.outcome.state = state;
        answer.payload.outcome.file_bytes = 42;
        deliver(&answer);
        CU_ASSERT_EQUAL(sent(PST_OUTCOME_CONF).payload.outcome.state, state);
        CU_ASSERT_EQUAL(sent(PST_OUTCOME_CONF).payload.outcome.file_bytes, 42);
        deliver(&answer); /* twice: stray */
        CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    }
    struct pst_signal question = rig_signal(PST_OUTCOME_REQ, OUTCOME_OF(3), SELF_REF, 50);
    deliver(&question);
    struct pst_signal request = sent(PST_ARCHIVE_OUTCOME_REQ);
    answer_archive(&request, PST_E_BUSY);
    CU_ASSERT_EQUAL(sent(PST_OUTCOME_REF).payload.ref.error, PST_E_BUSY);
    rig_ledger_close(&rig.ledger);
}

/* The asker starts again, and its next question has the same sequence. */
static void a_question_of_a_dead_node_has_no_answer(void)
{
    begin(3);
    struct pst_signal question = rig_signal(PST_OUTCOME_REQ, OUTCOME_OF(3), SELF_REF, 2);
    deliver(&question);
    struct pst_signal before = sent(PST_ARCHIVE_OUTCOME_REQ);
    node_event(PST_EVENT_NODE_FAILED, 3);
    node_event(PST_EVENT_NODE_JOINED, 3);
    struct pst_signal late = rig_answer(&before, 0);
    deliver(&late);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    deliver(&question);
    struct pst_signal after = sent(PST_ARCHIVE_OUTCOME_REQ);
    struct pst_signal answer = rig_answer(&after, 0);
    deliver(&answer);
    sent(PST_OUTCOME_CONF);
}

static void too_many_questions_are_refused(void)
{
    static struct pst_signal requests[PST_QUERIES_MAX];
    begin(3);
    for (uint32_t i = 0; i < PST_QUERIES_MAX; i++) {
        struct pst_signal question = rig_signal(PST_OUTCOME_REQ, OUTCOME_OF(3), SELF_REF, 10 + i);
        deliver(&question);
        requests[i] = sent(PST_ARCHIVE_OUTCOME_REQ);
    }
    struct pst_signal question = rig_signal(PST_OUTCOME_REQ, OUTCOME_OF(1), SELF_REF, 99);
    deliver(&question);
    CU_ASSERT_EQUAL(sent(PST_OUTCOME_REF).payload.ref.error, PST_E_NO_RESOURCES);
    for (uint32_t i = 0; i < PST_QUERIES_MAX; i++)
        answer_archive(&requests[i], PST_E_BUSY);
    rig_ledger_close(&rig.ledger);
}

static struct pst_signal resolve(uint32_t state)
{
    struct pst_signal request = rig_signal(PST_RESOLVE_REQ, RESOLVER_REF, SELF_REF, ++rig.sequence);
    uint64_t uid_low = UID_LOW;
    memcpy(request.payload.outcome.uid, &uid_low, sizeof(uid_low));
    request.payload.outcome.state = state;
    deliver(&request);
    return request;
}

static void a_hand_may_settle_it(void)
{
    for (uint32_t state = PST_OUTCOME_NONE; state <= PST_OUTCOME_COMMITTED; state++) {
        begin(3);
        resolve(state);
        CU_ASSERT_EQUAL(sent(PST_RESOLVE_REF).payload.ref.error,
                        state == PST_OUTCOME_PREPARED ? PST_E_BAD_REQUEST : PST_E_NO_BACKUP);
        if (state == PST_OUTCOME_PREPARED)
            continue;
        doubt(1, 3);
        resolve(state);
        struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
        resolve(state);
        CU_ASSERT_EQUAL(sent(PST_RESOLVE_REF).payload.ref.error, PST_E_BUSY);
        answer_archive(&order, EIO);
        CU_ASSERT_EQUAL(sent(PST_RESOLVE_REF).payload.ref.error, EIO);
        CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), 1);
        resolve(state);
        expect_settled(state, 0);
        sent(PST_RESOLVE_CONF);
        rig_ledger_close(&rig.ledger);
    }
}

/* What does not fit into the table stays on disk and follows. */
static void more_than_the_table_holds_follow(void)
{
    begin(2);
    struct pst_signal questions[PST_DOUBTS_MAX];
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        struct pst_signal report = doubt_rep(100 + i, 1, 2);
        deliver(&report);
        questions[i] = sent(PST_OUTCOME_REQ);
    }
    struct pst_signal report = doubt_rep(200, 1, 2);
    deliver(&report);
    CU_ASSERT_EQUAL(rig.actions.sends_count, 0);
    tell(&questions[3], 1, PST_OUTCOME_COMMITTED);
    struct pst_signal order = sent(PST_ARCHIVE_SETTLE_REQ);
    answer_archive(&order, 0);
    CU_ASSERT_EQUAL(pst_outcome_deadline_ns(&rig.machine), rig.now_ns);
    tick(0);
    struct pst_signal sweep = sent(PST_ARCHIVE_SWEEP_REQ);
    deliver(&report);
    sent(PST_OUTCOME_REQ);
    answer_archive(&sweep, 0);
    CU_ASSERT_EQUAL(pst_outcome_in_doubt(&rig.machine), PST_DOUBTS_MAX);
    node_event(PST_EVENT_NODE_FAILED, 1);
    node_event(PST_EVENT_NODE_JOINED, 1); /* all at once fit into the actions */
    CU_ASSERT_EQUAL(rig_count(&rig.actions, PST_OUTCOME_REQ), PST_DOUBTS_MAX);
}

/* Whatever comes from wherever: no assertion, and no answer that nobody asked for. */
static void any_signal_in_any_state(void)
{
    for (uint32_t gsn = 0; gsn < GSN_TRIED_MAX; gsn++) {
        for (int state = 0; state < 4; state++) {
            begin(3);
            if (state > 0)
                doubt(1, 3);
            if (state > 1)
                resolve(state == 2 ? PST_OUTCOME_NONE : PST_OUTCOME_COMMITTED);
            struct pst_signal signal = rig_signal(gsn, STRANGER_REF, SELF_REF, 1000);
            deliver(&signal);
        }
    }
}

static CU_TestInfo tests[] = {
    {"the sweep is tried again", the_sweep_is_tried_again},
    {"the participants are asked", the_participants_are_asked},
    {"each answer has its rule", each_answer_has_its_rule},
    {"nobody has decided", nobody_has_decided},
    {"the master's decision is with another", the_masters_decision_is_with_another},
    {"only the last answers count", only_the_last_answers_count},
    {"without the master it waits", without_the_master_it_waits},
    {"a busy master is asked again", a_busy_master_is_asked_again},
    {"nobody there means no timer", nobody_there_means_no_timer},
    {"an abort that fails is tried again", an_abort_that_fails_is_tried_again},
    {"late and wrong answers are stray", late_and_wrong_answers_are_stray},
    {"the first that settles counts", the_first_that_settles_counts},
    {"another copy is asked for soon", another_copy_is_asked_for_soon},
    {"what is committed is not aborted", what_is_committed_is_not_aborted},
    {"it says whom it waits for", it_says_whom_it_waits_for},
    {"questions are answered from the disk", questions_are_answered_from_the_disk},
    {"a question of a dead node has no answer", a_question_of_a_dead_node_has_no_answer},
    {"too many questions are refused", too_many_questions_are_refused},
    {"a hand may settle it", a_hand_may_settle_it},
    {"more than the table holds follow", more_than_the_table_holds_follow},
    {"any signal in any state", any_signal_in_any_state},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol outcome", tests);
}
