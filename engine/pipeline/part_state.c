/* The table of a part's life, and the one function that goes by it. Called by pipeline.c. */
#include "engine/pipeline/part_state.h"

#include <assert.h>

#include "engine/base/log.h"

const struct part_transition part_transitions[] = {
    {PART_NONE, PART_ON_OPEN, PART_OPENING},
    {PART_NONE, PART_ON_DISCARD, PART_NONE},

    {PART_OPENING, PART_ON_DONE, PART_OPENED},
    {PART_OPENING, PART_ON_GONE, PART_NONE},
    {PART_OPENING, PART_ON_DISCARD, PART_CANCELLING},

    {PART_OPENED, PART_ON_START, PART_STARTING},
    {PART_OPENED, PART_ON_DISCARD, PART_DRAINING},

    {PART_STARTING, PART_ON_DONE, PART_STARTED},
    {PART_STARTING, PART_ON_FAILED, PART_SPOILT},
    {PART_STARTING, PART_ON_DISCARD, PART_DRAINING},

    {PART_STARTED, PART_ON_STOP, PART_FLUSHING},
    {PART_STARTED, PART_ON_HALT, PART_HALTED},
    {PART_STARTED, PART_ON_FAILED, PART_SPOILT},
    {PART_STARTED, PART_ON_DISCARD, PART_DRAINING},

    {PART_HALTED, PART_ON_FAILED, PART_SPOILT},
    {PART_HALTED, PART_ON_DISCARD, PART_DRAINING},

    /* The participant learns of an error when it asks for more. */
    {PART_SPOILT, PART_ON_STOP, PART_FLUSHING},
    {PART_SPOILT, PART_ON_HALT, PART_SPOILT},
    {PART_SPOILT, PART_ON_DISCARD, PART_DRAINING},

    {PART_FLUSHING, PART_ON_DONE, PART_SEALING},
    {PART_FLUSHING, PART_ON_FAILED, PART_SPOILT},
    {PART_FLUSHING, PART_ON_DISCARD, PART_DRAINING},

    {PART_SEALING, PART_ON_DONE, PART_FINISHING},
    {PART_SEALING, PART_ON_FAILED, PART_SPOILT},
    {PART_SEALING, PART_ON_DISCARD, PART_DRAINING},

    {PART_FINISHING, PART_ON_DONE, PART_COMPLETE},
    {PART_FINISHING, PART_ON_FAILED, PART_SPOILT},
    {PART_FINISHING, PART_ON_DISCARD, PART_CANCELLING},

    {PART_FINISHING, PART_ON_VERIFY, PART_VERIFYING},
    {PART_VERIFYING, PART_ON_DONE, PART_COMPLETE},
    {PART_VERIFYING, PART_ON_FAILED, PART_SPOILT},
    {PART_VERIFYING, PART_ON_DISCARD, PART_CANCELLING},

    {PART_COMPLETE, PART_ON_RELEASE, PART_NONE},
    {PART_COMPLETE, PART_ON_DISCARD, PART_DRAINING},

    /* A second DISCARD comes from a node that stops while the first one is under way. */
    {PART_CANCELLING, PART_ON_DONE, PART_DRAINING},
    {PART_CANCELLING, PART_ON_GONE, PART_NONE},
    {PART_CANCELLING, PART_ON_DISCARD, PART_CANCELLING},

    {PART_DRAINING, PART_ON_DONE, PART_REMOVING},
    {PART_DRAINING, PART_ON_DISCARD, PART_DRAINING},

    {PART_REMOVING, PART_ON_GONE, PART_NONE},
    {PART_REMOVING, PART_ON_DISCARD, PART_REMOVING},
};
const uint32_t part_transitions_count = sizeof(part_transitions) / sizeof(part_transitions[0]);

static const struct {
    const char *name;
    uint32_t may; /* enum part_may */
} states[PART_STATES] = {
#define X(name, may, meaning) {#name, may},
    PART_STATE_LIST(X)
#undef X
};

static const char *const event_names[PART_EVENTS] = {
#define X(name) #name,
    PART_EVENT_LIST(X)
#undef X
};

const char *part_state_name(enum part_state state)
{
    assert(state < PART_STATES);
    return states[state].name;
}

static const char *part_event_name(enum part_event event)
{
    assert(event < PART_EVENTS);
    return event_names[event];
}

bool part_state_may(enum part_state state, enum part_may what)
{
    assert(state < PART_STATES);
    return states[state].may & what;
}

enum part_state part_state_after(enum part_state state, enum part_event event)
{
    for (uint32_t i = 0; i < part_transitions_count; i++) {
        if (part_transitions[i].from == state && part_transitions[i].event == event)
            return part_transitions[i].to;
    }
    pst_log(PST_LOG_ERROR, "a part that is %s cannot take %s", part_state_name(state),
            part_event_name(event));
    assert(!"a transition of the table");
    return state;
}
