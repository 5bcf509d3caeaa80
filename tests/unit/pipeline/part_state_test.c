/* The table of a part's life: each transition in it is taken, every other one is an assertion. */
#include <stdint.h>
#include <string.h>

#include "engine/pipeline/part_state.h"
#include "tests/suite.h"
#include "tests/support/child.h"

/* By hand, row by row: what follows in each state on OPEN, START, HALT, STOP, RELEASE, DISCARD,
 * DONE, FAILED, GONE, VERIFY; "-" is illegal. */
static const char *const expected[PART_STATES][PART_EVENTS] = {
    [PART_NONE] = {"OPENING", "-", "-", "-", "-", "NONE", "-", "-", "-", "-"},
    [PART_OPENING] = {"-", "-", "-", "-", "-", "CANCELLING", "OPENED", "-", "NONE", "-"},
    [PART_OPENED] = {"-", "STARTING", "-", "-", "-", "DRAINING", "-", "-", "-", "-"},
    [PART_STARTING] = {"-", "-", "-", "-", "-", "DRAINING", "STARTED", "SPOILT", "-", "-"},
    [PART_STARTED] = {"-", "-", "HALTED", "FLUSHING", "-", "DRAINING", "-", "SPOILT", "-", "-"},
    [PART_HALTED] = {"-", "-", "-", "-", "-", "DRAINING", "-", "SPOILT", "-", "-"},
    [PART_SPOILT] = {"-", "-", "SPOILT", "FLUSHING", "-", "DRAINING", "-", "-", "-", "-"},
    [PART_FLUSHING] = {"-", "-", "-", "-", "-", "DRAINING", "SEALING", "SPOILT", "-", "-"},
    [PART_SEALING] = {"-", "-", "-", "-", "-", "DRAINING", "FINISHING", "SPOILT", "-", "-"},
    [PART_FINISHING] = {"-", "-", "-", "-", "-", "CANCELLING", "COMPLETE", "SPOILT", "-",
                        "VERIFYING"},
    [PART_VERIFYING] = {"-", "-", "-", "-", "-", "CANCELLING", "COMPLETE", "SPOILT", "-", "-"},
    [PART_COMPLETE] = {"-", "-", "-", "-", "NONE", "DRAINING", "-", "-", "-", "-"},
    [PART_CANCELLING] = {"-", "-", "-", "-", "-", "CANCELLING", "DRAINING", "-", "NONE", "-"},
    [PART_DRAINING] = {"-", "-", "-", "-", "-", "DRAINING", "REMOVING", "-", "-", "-"},
    [PART_REMOVING] = {"-", "-", "-", "-", "-", "REMOVING", "-", "-", "NONE", "-"},
};

static void every_legal_transition_is_taken(void)
{
    uint32_t legal = 0;
    for (uint32_t state = 0; state < PART_STATES; state++) {
        for (uint32_t event = 0; event < PART_EVENTS; event++) {
            if (expected[state][event][0] == '-')
                continue;
            legal++;
            CU_ASSERT_STRING_EQUAL(part_state_name(part_state_after(state, event)),
                                   expected[state][event]);
        }
    }
    CU_ASSERT_EQUAL(legal, part_transitions_count);
}

static void take(void *context)
{
    const uint32_t *pair = context;
    (void)part_state_after(pair[0], pair[1]);
}

static void every_other_one_aborts(void)
{
    for (uint32_t state = 0; state < PART_STATES; state++) {
        for (uint32_t event = 0; event < PART_EVENTS; event++) {
            uint32_t pair[] = {state, event};
            if (expected[state][event][0] == '-')
                CU_ASSERT_TRUE(child_aborts(take, pair));
        }
    }
}

/* From every state a DISCARD leads to NONE, whatever ends meanwhile. */
static void a_discard_always_comes_to_its_end(void)
{
    for (uint32_t first = 0; first < PART_STATES; first++) {
        enum part_state state = part_state_after(first, PART_ON_DISCARD);
        for (uint32_t steps = 0; state != PART_NONE && steps < PART_STATES; steps++)
            state = part_state_after(state, state == PART_REMOVING ? PART_ON_GONE : PART_ON_DONE);
        CU_ASSERT_EQUAL(state, PART_NONE);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"every legal transition is taken", every_legal_transition_is_taken},
        {"every other one aborts", every_other_one_aborts},
        {"a DISCARD always comes to its end", a_discard_always_comes_to_its_end},
        CU_TEST_INFO_NULL,
    };
    return suite_run("part_state", tests);
}
