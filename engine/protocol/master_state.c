/* The table of the master's states, and what must hold of a master between two steps. Pure; called
 * by master.c, in the thread of LDM 1. */
#include "engine/protocol/master_state.h"

#include <assert.h>

#include "penstock/error.h"

/* {REQ that is out, next state, asked, what trouble does, judged by progress, client
 * confirmed, start GCI chosen}. docs/protocol.md: "Master", "Deadlines", "Abort". */
#define RULE(...)                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define RULE_IDLE                                                                                  \
    RULE(0, PST_MASTER_IDLE, MASTER_ASKS_NOBODY, MASTER_GOES_ON, false, MASTER_EITHER,             \
         MASTER_EITHER)
#define RULE_NUMBERING                                                                             \
    RULE(PST_ARCHIVE_NUMBER_REQ, PST_MASTER_DEFINING, MASTER_ASKS_ARCHIVE, MASTER_ENDS, false,     \
         MASTER_NOT_YET, MASTER_NOT_YET)
#define RULE_DEFINING                                                                              \
    RULE(PST_DEFINE_BACKUP_REQ, PST_MASTER_STARTING, MASTER_ASKS_NODES, MASTER_ABORTS, false,      \
         MASTER_NOT_YET, MASTER_NOT_YET)
#define RULE_STARTING                                                                              \
    RULE(PST_START_BACKUP_REQ, PST_MASTER_FREEZING, MASTER_ASKS_NODES, MASTER_ABORTS, false,       \
         MASTER_DONE, MASTER_NOT_YET)
#define RULE_FREEZING                                                                              \
    RULE(PST_GCP_PREPARE_REQ, PST_MASTER_CUTTING, MASTER_ASKS_NODES, MASTER_ABORTS, false,         \
         MASTER_DONE, MASTER_EITHER)
#define RULE_CUTTING                                                                               \
    RULE(PST_GCP_COMMIT_REQ, PST_MASTER_SCANNING, MASTER_ASKS_NODES, MASTER_ABORTS, false,         \
         MASTER_DONE, MASTER_DONE)
#define RULE_SCANNING                                                                              \
    RULE(PST_BACKUP_FRAGMENT_REQ, PST_MASTER_STOPPING, MASTER_ASKS_NODES, MASTER_ABORTS, true,     \
         MASTER_DONE, MASTER_DONE)
#define RULE_STOPPING                                                                              \
    RULE(PST_STOP_BACKUP_REQ, PST_MASTER_DECIDING, MASTER_ASKS_NODES, MASTER_ABORTS, false,        \
         MASTER_DONE, MASTER_DONE)
#define RULE_DECIDING                                                                              \
    RULE(PST_ARCHIVE_DECIDE_REQ, PST_MASTER_COMMITTING, MASTER_ASKS_ARCHIVE, MASTER_DECIDES,       \
         false, MASTER_DONE, MASTER_DONE)
#define RULE_COMMITTING                                                                            \
    RULE(PST_COMMIT_BACKUP_REQ, PST_MASTER_IDLE, MASTER_ASKS_NODES, MASTER_GOES_ON, false,         \
         MASTER_DONE, MASTER_DONE)
#define RULE_ABORTING                                                                              \
    RULE(0, PST_MASTER_CLEANING, MASTER_ASKS_NODES, MASTER_GOES_ON, false, MASTER_EITHER,          \
         MASTER_EITHER)
#define RULE_CLEANING                                                                              \
    RULE(PST_CLEANUP_BACKUP_REQ, PST_MASTER_IDLE, MASTER_ASKS_NODES, MASTER_GOES_ON, false,        \
         MASTER_EITHER, MASTER_EITHER)

/* A state without a rule does not compile. */
const struct master_rule master_rules[PST_MASTER_STATES] = {
#define X(name, meaning) [PST_MASTER_##name] = RULE_##name,
    PST_MASTER_STATE_LIST(X)
#undef X
};

static const char *const state_names[] = {
#define X(name, meaning) #name,
    PST_MASTER_STATE_LIST(X)
#undef X
};

const char *pst_master_state_name(enum pst_master_state state)
{
    assert(state < PST_MASTER_STATES);
    return state_names[state];
}

static bool fits(enum master_fact fact, bool is_done)
{
    return fact == MASTER_EITHER || is_done == (fact == MASTER_DONE);
}

/* The one request that the state waits for. */
static void check_sender(const struct pst_master *master, const struct master_rule *rule)
{
    const struct pst_sender *sender = master->sender;
    struct pst_set asked =
        rule->asks == MASTER_ASKS_ARCHIVE ? pst_set_first(1) : master->participants;
    assert(sender && sender->backup == master->backup);
    if (rule->gsn != 0)
        assert(sender->gsn == rule->gsn);
    assert(pst_set_is_within(&sender->waiting, &asked));
    assert(master->deadline_ns <=
           master->now_ns + master->timeouts.master_ns + master->timeouts.stall_ns);
}

void master_check(const struct pst_master *master)
{
    assert(master->state < PST_MASTER_STATES);
    const struct master_rule *rule = master_rule_of(master);
    uint32_t self = pst_ref_node(master->self_ref) - 1;
    assert(pst_set_has(&master->nodes, self));
    assert(pst_set_is_within(&master->multithreaded, &master->nodes));
    senders_check(&master->senders, master->sender);
    assert(master->error <= 0 && master->numbers_tried <= PST_MASTER_NUMBERS_MAX);
    if (rule->asks == MASTER_ASKS_NOBODY) {
        assert(!master->sender);
        return;
    }
    /* Those that live and take part: docs/protocol.md, "Nodes that fail and join". */
    assert(pst_set_is_within(&master->participants, &master->nodes));
    assert(pst_set_has(&master->participants, self));
    assert(master->backup == pst_uid_low(master->request.uid));
    check_sender(master, rule);
    /* It aborts and cleans up for a reason, and does nothing else with one: "Abort". */
    bool aborts = master->state == PST_MASTER_ABORTING || master->state == PST_MASTER_CLEANING;
    assert(aborts == (master->error != 0));
    assert(master->error || master->where == 0);
    assert(fits(rule->confirmed, master->client_confirmed));
    assert(fits(rule->cut, master->start_gci != 0));
    /* A copy can be missing only once there is something to copy: "Outcome". */
    assert(!master_may_abort(master) || master->warnings == 0);
    assert(master->warnings <= PST_NODES_MAX);
    assert(!master_may_abort(master) || master->manifest.file_bytes == 0);
}
