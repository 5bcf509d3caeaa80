/* The tables of the proxy's states: which order leads where, and what a state means for aborts,
 * other orders and the death of the master. Pure; the proxy's other files read them. */
#include "engine/protocol/proxy_state.h"

#include <assert.h>

#include "penstock/error.h"

/* CLEANUP_BACKUP_REQ has no row: it is legal in every state but COMMITTING, where a decided backup
 * would be removed, and IDLE, where there is nothing to do and it is confirmed. */
const struct proxy_transition proxy_transitions[] = {
    {PST_PROXY_IDLE, PST_DEFINE_BACKUP_REQ, PST_PROXY_DEFINING, PST_PROXY_DEFINED},
    {PST_PROXY_DEFINED, PST_START_BACKUP_REQ, PST_PROXY_STARTING, PST_PROXY_STARTED},
    {PST_PROXY_STARTED, PST_GCP_PREPARE_REQ, PST_PROXY_FREEZING, PST_PROXY_FROZEN},
    {PST_PROXY_FROZEN, PST_GCP_COMMIT_REQ, PST_PROXY_CUTTING, PST_PROXY_CUT},
    {PST_PROXY_CUT, PST_BACKUP_FRAGMENT_REQ, PST_PROXY_SCANNING, PST_PROXY_SCANNED},
    {PST_PROXY_SCANNED, PST_STOP_BACKUP_REQ, PST_PROXY_STOPPING, PST_PROXY_PREPARED},
    {PST_PROXY_PREPARED, PST_COMMIT_BACKUP_REQ, PST_PROXY_COMMITTING, PST_PROXY_IDLE},
};
const uint32_t proxy_transitions_count = sizeof(proxy_transitions) / sizeof(proxy_transitions[0]);

/* What a state means: {order in service, may abort, a DEFINE's error, a CLEANUP's error, the
 * master's death}. docs/protocol.md: "What is illegal", "Abort", "Nodes that fail and join". */
#define RULE(...)                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define RULE_IDLE RULE(0, false, 0, 0, PROXY_GOES_ON)
#define RULE_DEFINING RULE(PST_DEFINE_BACKUP_REQ, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_DEFINED RULE(0, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_STARTING RULE(PST_START_BACKUP_REQ, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_STARTED RULE(0, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_FREEZING RULE(PST_GCP_PREPARE_REQ, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_FROZEN RULE(0, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_CUTTING RULE(PST_GCP_COMMIT_REQ, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_CUT RULE(0, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_SCANNING RULE(PST_BACKUP_FRAGMENT_REQ, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_SCANNED RULE(0, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_STOPPING RULE(PST_STOP_BACKUP_REQ, true, -PST_E_BUSY, 0, PROXY_CLEANS_UP)
#define RULE_PREPARED RULE(0, true, -PST_E_BUSY, 0, PROXY_LEAVES_DOUBT)
#define RULE_COMMITTING                                                                            \
    RULE(PST_COMMIT_BACKUP_REQ, false, -PST_E_BUSY, -PST_E_WRONG_STATE, PROXY_GOES_ON)
#define RULE_ABORTED RULE(0, false, -PST_E_CLEANING, 0, PROXY_CLEANS_UP)
#define RULE_CLEANING                                                                              \
    RULE(PST_CLEANUP_BACKUP_REQ, false, -PST_E_CLEANING, -PST_E_CLEANING, PROXY_GOES_ON)

/* A state without a rule does not compile. */
static const struct {
    const char *name;
    struct proxy_rule rule;
} states[] = {
#define X(name, meaning) [PST_PROXY_##name] = {#name, RULE_##name},
    PST_PROXY_STATE_LIST(X)
#undef X
};

const char *pst_proxy_state_name(enum pst_proxy_state state)
{
    assert(state < PST_PROXY_STATES);
    return states[state].name;
}

const struct proxy_rule *proxy_rule_of(const struct pst_proxy *proxy)
{
    assert(proxy->state < PST_PROXY_STATES);
    return &states[proxy->state].rule;
}

const struct proxy_transition *proxy_transition_of(uint16_t gsn)
{
    for (uint32_t i = 0; i < proxy_transitions_count; i++) {
        if (proxy_transitions[i].gsn == gsn)
            return &proxy_transitions[i];
    }
    return NULL;
}
