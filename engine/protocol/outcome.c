/* Settles the backups that a node holds in doubt, and answers other nodes' questions. Pure; stepped
 * by the node's hub. */
#include "engine/protocol/outcome.h"

#include <assert.h>
#include <string.h>

#include "penstock/error.h"

const struct outcome_rule outcome_rules[] = {
    {PST_OUTCOME_COMMITTED, false, PST_DOUBT_COMMITTING},
    {PST_OUTCOME_NONE, false, PST_DOUBT_ABORTING},
    {PST_OUTCOME_PREPARED, true, PST_DOUBT_ABORTING},
    {PST_OUTCOME_PREPARED, false, PST_DOUBT_ASKING},
};
const uint32_t outcome_rules_count = sizeof(outcome_rules) / sizeof(outcome_rules[0]);

static const char *const state_names[] = {
#define X(name, meaning) #name,
    PST_DOUBT_STATE_LIST(X)
#undef X
};

const char *pst_doubt_state_name(enum pst_doubt_state state)
{
    assert(state < PST_DOUBT_STATES);
    return state_names[state];
}

void pst_outcome_init(struct pst_outcome_machine *outcome, uint32_t node,
                      const struct pst_set *nodes, const struct pst_timeouts *timeouts)
{
    assert(pst_set_has(nodes, node - 1));
    assert(timeouts_are_nested(timeouts));
    memset(outcome, 0, sizeof(*outcome));
    outcome->self_ref = pst_ref_make(node, PST_BLOCK_OUTCOME, 0);
    outcome->nodes = *nodes;
    outcome->timeouts = *timeouts;
}

uint64_t pst_outcome_deadline_ns(const struct pst_outcome_machine *outcome)
{
    uint64_t deadline_ns = outcome->sweep_due_ns;
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        const struct pst_doubt *doubt = &outcome->doubts[i];
        if (doubt->state == PST_DOUBT_ASKING && doubt->deadline_ns < deadline_ns)
            deadline_ns = doubt->deadline_ns;
    }
    return deadline_ns;
}

uint32_t pst_outcome_in_doubt(const struct pst_outcome_machine *outcome)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++)
        count += outcome->doubts[i].state != PST_DOUBT_FREE;
    return count;
}

struct pst_set pst_outcome_waits_for(const struct pst_outcome_machine *outcome,
                                     const struct pst_doubt *doubt)
{
    struct pst_set set = pst_set_minus(&doubt->what.nodes, &doubt->prepared);
    pst_set_remove(&set, pst_ref_node(outcome->self_ref) - 1);
    return set;
}

static pst_ref archive_ref(const struct pst_outcome_machine *outcome)
{
    return pst_ref_make(pst_ref_node(outcome->self_ref), PST_BLOCK_ARCHIVE, 0);
}

static void stray(struct pst_outcome_machine *outcome)
{
    outcome->stray_signals++;
}

static struct pst_signal *ask_archive(struct pst_outcome_machine *outcome, uint16_t gsn,
                                      uint64_t backup, struct pst_actions *actions)
{
    return actions_send(actions, gsn, outcome->self_ref, archive_ref(outcome), backup,
                        ++outcome->sequence);
}

static struct pst_doubt *find_doubt(struct pst_outcome_machine *outcome, uint64_t backup,
                                    const uint8_t uid[16])
{
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        struct pst_doubt *doubt = &outcome->doubts[i];
        if (doubt->state != PST_DOUBT_FREE && doubt->backup == backup &&
            (!uid || memcmp(doubt->what.uid, uid, sizeof(doubt->what.uid)) == 0))
            return doubt;
    }
    return NULL;
}

/* A free slot of the table, or NULL. */
static struct pst_doubt *free_doubt(struct pst_outcome_machine *outcome)
{
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        if (outcome->doubts[i].state == PST_DOUBT_FREE)
            return &outcome->doubts[i];
    }
    return NULL;
}

static void name_backup(const struct pst_doubt *doubt, struct pst_outcome *named)
{
    named->master_ref = doubt->what.master_ref;
    named->number = doubt->what.number;
    memcpy(named->uid, doubt->what.uid, sizeof(named->uid));
}

/* Asks every participant that lives and does not owe an answer. Their answers may change until one
 * of them settles it. */
static void ask_others(struct pst_outcome_machine *outcome, struct pst_doubt *doubt,
                       struct pst_actions *actions)
{
    doubt->state = PST_DOUBT_ASKING;
    struct pst_set targets = pst_set_common(&doubt->what.nodes, &outcome->nodes);
    targets = pst_set_minus(&targets, &doubt->waiting);
    pst_set_remove(&targets, pst_ref_node(outcome->self_ref) - 1);
    doubt->prepared = pst_set_minus(&doubt->prepared, &targets);
    bool nobody = pst_set_is_empty(&targets);
    doubt->deadline_ns = outcome->now_ns + outcome->timeouts.ask_ns;
    if (nobody && pst_set_is_empty(&doubt->waiting))
        doubt->deadline_ns = PST_DEADLINE_NONE; /* until one of them joins */
    if (nobody)
        return;
    doubt->waiting = pst_set_union(&doubt->waiting, &targets);
    doubt->sequence = ++outcome->sequence;
    struct pst_signal *question =
        actions_fan_out(actions, PST_OUTCOME_REQ, outcome->self_ref, PST_ROUTE_NODES, &targets,
                        pst_ref_make(0, PST_BLOCK_OUTCOME, 0), doubt->backup, doubt->sequence);
    name_backup(doubt, &question->payload.outcome);
}

/* The outcome is known: the archive is to make it so. found: the answer of the node that has the
 * cluster manifest; NULL where there is none to copy. */
static void settle(struct pst_outcome_machine *outcome, struct pst_doubt *doubt,
                   enum pst_doubt_state state, const struct pst_signal *found,
                   struct pst_actions *actions)
{
    assert(state == PST_DOUBT_COMMITTING || state == PST_DOUBT_ABORTING);
    assert(doubt->state == PST_DOUBT_ASKING || doubt->state == PST_DOUBT_FREE);
    doubt->state = state;
    struct pst_signal *order = ask_archive(outcome, PST_ARCHIVE_SETTLE_REQ, doubt->backup, actions);
    struct pst_outcome *settled = &order->payload.outcome;
    doubt->sequence = order->sequence;
    name_backup(doubt, settled);
    settled->state = state == PST_DOUBT_COMMITTING ? PST_OUTCOME_COMMITTED : PST_OUTCOME_NONE;
    if (state == PST_DOUBT_ABORTING || !found)
        return;
    settled->node = pst_ref_node(found->sender_ref);
    settled->file_bytes = found->payload.outcome.file_bytes;
    memcpy(settled->digest, found->payload.outcome.digest, sizeof(settled->digest));
}

static void on_doubt(struct pst_outcome_machine *outcome, const struct pst_signal *report,
                     struct pst_actions *actions)
{
    const struct pst_doubt_rep *what = &report->payload.doubt;
    if (report->sender_ref != archive_ref(outcome)) {
        stray(outcome);
        return;
    }
    if (find_doubt(outcome, report->backup, NULL))
        return; /* a sweep has reported it again */
    struct pst_doubt *doubt = free_doubt(outcome);
    if (!doubt) {
        outcome->must_sweep_again = true;
        return;
    }
    memset(doubt, 0, sizeof(*doubt));
    doubt->backup = report->backup;
    doubt->what = *what;
    ask_others(outcome, doubt, actions);
}

/* All others that took part, the master's node among them, have no decision, by the last answer of
 * each. */
static bool has_nobody_decided(const struct pst_outcome_machine *outcome,
                               const struct pst_doubt *doubt)
{
    struct pst_set others = doubt->what.nodes;
    pst_set_remove(&others, pst_ref_node(outcome->self_ref) - 1);
    return pst_set_is_within(&others, &doubt->prepared);
}

static const struct outcome_rule *rule_for(uint32_t answer, bool of_all)
{
    for (uint32_t i = 0; i < outcome_rules_count; i++) {
        const struct outcome_rule *rule = &outcome_rules[i];
        if (rule->answer == answer && (of_all || !rule->of_all))
            return rule;
    }
    return NULL;
}

/* A node answers what it knows; a REF (PST_E_BUSY: one of its machines is at work on the backup)
 * settles nothing. */
static void on_answer(struct pst_outcome_machine *outcome, const struct pst_signal *answer,
                      struct pst_actions *actions)
{
    uint32_t node = pst_ref_node(answer->sender_ref);
    struct pst_doubt *doubt = find_doubt(outcome, answer->backup, NULL);
    if (!doubt || doubt->state != PST_DOUBT_ASKING || doubt->sequence < answer->sequence ||
        answer->sender_ref != pst_ref_make(node, PST_BLOCK_OUTCOME, 0) || node < 1 ||
        !pst_set_has(&doubt->waiting, node - 1)) {
        stray(outcome);
        return;
    }
    pst_set_remove(&doubt->waiting, node - 1);
    if (answer->gsn == PST_OUTCOME_REF)
        return;
    uint32_t state = answer->payload.outcome.state;
    if (state == PST_OUTCOME_PREPARED)
        pst_set_add(&doubt->prepared, node - 1);
    const struct outcome_rule *rule = rule_for(state, has_nobody_decided(outcome, doubt));
    if (!rule)
        stray(outcome);
    else if (rule->to != PST_DOUBT_ASKING)
        settle(outcome, doubt, rule->to, answer, actions);
}

static void answer_resolver(const struct pst_outcome_machine *outcome,
                            const struct pst_doubt *doubt, int error, struct pst_actions *actions)
{
    struct pst_signal *answer =
        actions_send(actions, error ? PST_RESOLVE_REF : PST_RESOLVE_CONF, outcome->self_ref,
                     doubt->resolver_ref, doubt->backup, doubt->resolver_sequence);
    answer->payload.order.master_ref = doubt->what.master_ref;
    if (error)
        answer->payload.ref.error = pst_reason_of(error);
}

static void on_settled(struct pst_outcome_machine *outcome, const struct pst_signal *answer,
                       struct pst_actions *actions)
{
    struct pst_doubt *doubt = find_doubt(outcome, answer->backup, NULL);
    if (!doubt || doubt->state == PST_DOUBT_ASKING || doubt->sequence != answer->sequence ||
        answer->sender_ref != archive_ref(outcome)) {
        stray(outcome);
        return;
    }
    int error = answer->gsn == PST_ARCHIVE_SETTLE_REF ? pst_error_of(answer->payload.ref.error) : 0;
    if (doubt->resolver_ref != 0)
        answer_resolver(outcome, doubt, error, actions);
    doubt->resolver_ref = 0;
    if (error == -PST_E_WRONG_STATE) { /* not to be aborted: the cluster manifest is there now */
        doubt->state = PST_DOUBT_COMMITTING;
    } else if (error) { /* still in doubt: the answers will be the same, and lead here again */
        doubt->state = PST_DOUBT_ASKING;
        doubt->waiting = (struct pst_set){{0}};
        doubt->deadline_ns =
            outcome->now_ns +
            (error == -PST_E_NODE_FAILED ? outcome->timeouts.ask_ns : outcome->timeouts.master_ns);
        return;
    }
    outcome->committed += doubt->state == PST_DOUBT_COMMITTING;
    outcome->aborted += doubt->state == PST_DOUBT_ABORTING;
    doubt->state = PST_DOUBT_FREE;
    if (outcome->must_sweep_again && outcome->sweep_sequence == 0)
        outcome->sweep_due_ns = outcome->now_ns;
}

static void refuse(const struct pst_outcome_machine *outcome, const struct pst_signal *request,
                   int error, struct pst_actions *actions)
{
    struct pst_signal *ref = actions_send(actions, PST_REF_OF(request->gsn), outcome->self_ref,
                                          request->sender_ref, request->backup, request->sequence);
    ref->payload.ref.error = pst_reason_of(error);
    ref->payload.ref.where = outcome->self_ref;
}

/* An operator decides by hand. The other nodes learn of it when they ask. */
static void on_resolve(struct pst_outcome_machine *outcome, const struct pst_signal *request,
                       struct pst_actions *actions)
{
    const struct pst_outcome *wanted = &request->payload.outcome;
    struct pst_doubt *doubt = find_doubt(outcome, request->backup, wanted->uid);
    int error = 0;
    if (wanted->state != PST_OUTCOME_NONE && wanted->state != PST_OUTCOME_COMMITTED)
        error = -PST_E_BAD_REQUEST;
    else if (!doubt)
        error = -PST_E_NO_BACKUP;
    else if (doubt->state != PST_DOUBT_ASKING)
        error = -PST_E_BUSY; /* it is being settled */
    if (error) {
        refuse(outcome, request, error, actions);
        return;
    }
    doubt->resolver_ref = request->sender_ref;
    doubt->resolver_sequence = request->sequence;
    bool commits = wanted->state == PST_OUTCOME_COMMITTED;
    settle(outcome, doubt, commits ? PST_DOUBT_COMMITTING : PST_DOUBT_ABORTING, NULL, actions);
}

/* Another node is in doubt. The archive knows what is on the disk, and whether a machine of this
 * node is at work on the backup. */
static void on_question(struct pst_outcome_machine *outcome, const struct pst_signal *question,
                        struct pst_actions *actions)
{
    struct pst_query *query = outcome->queries;
    while (query < outcome->queries + PST_QUERIES_MAX && query->asker_ref != 0)
        query++;
    if (query == outcome->queries + PST_QUERIES_MAX) {
        refuse(outcome, question, -PST_E_NO_RESOURCES, actions);
        return;
    }
    struct pst_signal *request =
        ask_archive(outcome, PST_ARCHIVE_OUTCOME_REQ, question->backup, actions);
    request->payload = question->payload;
    *query = (struct pst_query){question->sender_ref, question->backup, question->sequence,
                                request->sequence};
}

static void on_archive_outcome(struct pst_outcome_machine *outcome, const struct pst_signal *answer,
                               struct pst_actions *actions)
{
    struct pst_query *query = outcome->queries;
    while (query < outcome->queries + PST_QUERIES_MAX &&
           (query->asker_ref == 0 || query->sequence != answer->sequence ||
            query->backup != answer->backup))
        query++;
    if (query == outcome->queries + PST_QUERIES_MAX || answer->sender_ref != archive_ref(outcome)) {
        stray(outcome);
        return;
    }
    uint16_t gsn = answer->gsn == PST_ARCHIVE_OUTCOME_CONF ? PST_OUTCOME_CONF : PST_OUTCOME_REF;
    actions_send(actions, gsn, outcome->self_ref, query->asker_ref, query->backup,
                 query->asker_sequence)
        ->payload = answer->payload;
    query->asker_ref = 0;
}

static void on_swept(struct pst_outcome_machine *outcome, const struct pst_signal *answer)
{
    if (outcome->sweep_sequence == 0 || outcome->sweep_sequence != answer->sequence ||
        answer->sender_ref != archive_ref(outcome)) {
        stray(outcome);
        return;
    }
    outcome->sweep_sequence = 0;
    if (answer->gsn == PST_ARCHIVE_SWEEP_REF)
        outcome->sweep_due_ns = outcome->now_ns + outcome->timeouts.master_ns;
    else if (outcome->must_sweep_again && free_doubt(outcome))
        outcome->sweep_due_ns = outcome->now_ns;
}

static void on_timer(struct pst_outcome_machine *outcome, struct pst_actions *actions)
{
    if (outcome->now_ns >= outcome->sweep_due_ns) {
        outcome->sweep_due_ns = PST_DEADLINE_NONE;
        outcome->must_sweep_again = false;
        outcome->sweep_sequence = ask_archive(outcome, PST_ARCHIVE_SWEEP_REQ, 0, actions)->sequence;
    }
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        struct pst_doubt *doubt = &outcome->doubts[i];
        if (doubt->state == PST_DOUBT_ASKING && outcome->now_ns >= doubt->deadline_ns)
            ask_others(outcome, doubt, actions);
    }
}

static void on_node_failed(struct pst_outcome_machine *outcome, uint32_t node)
{
    assert(node >= 1 && node <= PST_NODES_MAX && node != pst_ref_node(outcome->self_ref));
    pst_set_remove(&outcome->nodes, node - 1);
    for (uint32_t i = 0; i < PST_QUERIES_MAX; i++) {
        /* Its next incarnation may use that sequence again. */
        if (pst_ref_node(outcome->queries[i].asker_ref) == node)
            outcome->queries[i].asker_ref = 0;
    }
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        pst_set_remove(&outcome->doubts[i].waiting, node - 1);
        pst_set_remove(&outcome->doubts[i].prepared, node - 1);
    }
}

/* They meet again: it is asked at once. */
static void on_node_joined(struct pst_outcome_machine *outcome, uint32_t node,
                           struct pst_actions *actions)
{
    assert(node >= 1 && node <= PST_NODES_MAX && node != pst_ref_node(outcome->self_ref));
    assert(!pst_set_has(&outcome->nodes, node - 1));
    pst_set_add(&outcome->nodes, node - 1);
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        struct pst_doubt *doubt = &outcome->doubts[i];
        assert(!pst_set_has(&doubt->waiting, node - 1)); /* forgotten when it failed */
        if (doubt->state == PST_DOUBT_ASKING && pst_set_has(&doubt->what.nodes, node - 1))
            ask_others(outcome, doubt, actions);
    }
}

static void on_signal(struct pst_outcome_machine *outcome, const struct pst_signal *signal,
                      struct pst_actions *actions)
{
    switch (signal->gsn) {
    case PST_ARCHIVE_DOUBT_REP:
        on_doubt(outcome, signal, actions);
        break;
    case PST_ARCHIVE_SWEEP_CONF:
    case PST_ARCHIVE_SWEEP_REF:
        on_swept(outcome, signal);
        break;
    case PST_ARCHIVE_OUTCOME_CONF:
    case PST_ARCHIVE_OUTCOME_REF:
        on_archive_outcome(outcome, signal, actions);
        break;
    case PST_ARCHIVE_SETTLE_CONF:
    case PST_ARCHIVE_SETTLE_REF:
        on_settled(outcome, signal, actions);
        break;
    case PST_OUTCOME_REQ:
        on_question(outcome, signal, actions);
        break;
    case PST_OUTCOME_CONF:
    case PST_OUTCOME_REF:
        on_answer(outcome, signal, actions);
        break;
    case PST_RESOLVE_REQ:
        on_resolve(outcome, signal, actions);
        break;
    default:
        stray(outcome);
    }
}

/* docs/protocol.md, "Settling what is in doubt". */
static void check_doubt(const struct pst_outcome_machine *outcome, const struct pst_doubt *doubt)
{
    const struct pst_timeouts *timeouts = &outcome->timeouts;
    uint64_t longest_ns =
        timeouts->ask_ns > timeouts->master_ns ? timeouts->ask_ns : timeouts->master_ns;
    struct pst_set others = pst_set_common(&doubt->what.nodes, &outcome->nodes);
    pst_set_remove(&others, pst_ref_node(outcome->self_ref) - 1);
    assert(pst_set_is_within(&doubt->waiting, &others)); /* the dead owe nothing */
    assert(pst_set_is_within(&doubt->prepared, &others));
    assert(doubt->sequence <= outcome->sequence);
    bool asks = doubt->state == PST_DOUBT_ASKING;
    assert(!asks || doubt->resolver_ref == 0); /* a decision by hand is carried out at once */
    assert(asks || doubt->sequence != 0);
    /* As long as another participant lives, it is asked again. */
    if (asks && !pst_set_is_empty(&others))
        assert(doubt->deadline_ns <= outcome->now_ns + longest_ns);
}

static void check_sweep(const struct pst_outcome_machine *outcome)
{
    bool is_due = outcome->sweep_due_ns != PST_DEADLINE_NONE;
    bool is_out = outcome->sweep_sequence != 0;
    assert(outcome->sweep_sequence <= outcome->sequence);
    assert(!is_due || !is_out);
    /* What found no place is on the disk: it is swept again when there is one. */
    assert(!outcome->must_sweep_again || is_due || is_out ||
           pst_outcome_in_doubt(outcome) == PST_DOUBTS_MAX);
}

static void check(const struct pst_outcome_machine *outcome)
{
    assert(pst_ref_block(outcome->self_ref) == PST_BLOCK_OUTCOME);
    assert(pst_set_has(&outcome->nodes, pst_ref_node(outcome->self_ref) - 1));
    for (uint32_t i = 0; i < PST_DOUBTS_MAX; i++) {
        const struct pst_doubt *doubt = &outcome->doubts[i];
        assert(doubt->state < PST_DOUBT_STATES);
        if (doubt->state == PST_DOUBT_FREE)
            continue;
        check_doubt(outcome, doubt);
        for (uint32_t k = 0; k < i; k++) /* each backup once */
            assert(outcome->doubts[k].state == PST_DOUBT_FREE ||
                   outcome->doubts[k].backup != doubt->backup);
    }
    for (uint32_t i = 0; i < PST_QUERIES_MAX; i++) {
        const struct pst_query *query = &outcome->queries[i];
        assert(query->asker_ref == 0 ||
               (query->sequence != 0 && query->sequence <= outcome->sequence));
    }
    check_sweep(outcome);
}

void pst_outcome_step(struct pst_outcome_machine *outcome, const struct pst_event *event,
                      struct pst_actions *actions)
{
    outcome->now_ns = event->now_ns;
    switch (event->type) {
    case PST_EVENT_SIGNAL:
        on_signal(outcome, event->signal, actions);
        break;
    case PST_EVENT_TIMER:
        on_timer(outcome, actions);
        break;
    case PST_EVENT_NODE_FAILED:
        on_node_failed(outcome, event->node);
        break;
    case PST_EVENT_NODE_JOINED:
        on_node_joined(outcome, event->node, actions);
        break;
    default:
        assert(!"an event that an outcome machine never gets");
    }
    check(outcome);
}
