/* The dealer: two ahead, owners, nothing twice, nothing left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/protocol/rig.h"

static struct pst_dealer dealer;

static int add(uint64_t number, uint32_t owner)
{
    struct pst_fragment fragment = {.source = 1, .fragment = number, .bytes = 3, .owner = owner};
    return dealer_add(&dealer, &fragment);
}

static void deals_two_ahead_to_the_freest(void)
{
    dealer_init(&dealer, 3);
    struct pst_fragment fragment;
    CU_ASSERT_EQUAL(dealer_next(&dealer, 1, &fragment), 0);
    for (uint64_t i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(add(i, 0), 0);
    static const uint32_t expected[] = {1, 2, 3, 1, 2, 3};
    for (uint32_t i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(dealer_next(&dealer, i + 1, &fragment), expected[i]);
        CU_ASSERT_EQUAL(fragment.fragment, i); /* oldest first */
    }
    CU_ASSERT_EQUAL(dealer_next(&dealer, 7, &fragment), 0);
    struct pst_dealt dealt;
    CU_ASSERT_FALSE(dealer_answered(&dealer, 1, 2, &dealt)); /* that is LDM 2's */
    CU_ASSERT_FALSE(dealer_answered(&dealer, 0, 2, NULL));
    CU_ASSERT_FALSE(dealer_answered(&dealer, 4, 2, NULL));
    CU_ASSERT_FALSE(dealer_answered(&dealer, 2, 0, NULL));
    CU_ASSERT_TRUE(dealer_answered(&dealer, 2, 2, &dealt));
    CU_ASSERT_EQUAL(dealt.fragment, 1);
    CU_ASSERT_EQUAL(dealt.source, 1);
    CU_ASSERT_FALSE(dealer_answered(&dealer, 2, 2, &dealt)); /* again */
    CU_ASSERT_EQUAL(dealer_next(&dealer, 7, &fragment), 2);
    CU_ASSERT_EQUAL(dealer.in_flight, 6);
    CU_ASSERT_EQUAL(dealer.listed_bytes, 24);
    dealer_stop(&dealer);
    CU_ASSERT_EQUAL(dealer.queued, 0);
    CU_ASSERT_EQUAL(dealer.in_flight, 6);
}

static void owners_get_their_own(void)
{
    dealer_init(&dealer, 2);
    struct pst_fragment fragment;
    for (uint64_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(add(i, 2), 0);
    CU_ASSERT_EQUAL(add(3, 0), 0);
    CU_ASSERT_EQUAL(dealer_next(&dealer, 1, &fragment), 2);
    CU_ASSERT_EQUAL(dealer_next(&dealer, 2, &fragment), 2);
    CU_ASSERT_EQUAL(dealer_next(&dealer, 3, &fragment), 1); /* the third waits, the fourth not */
    CU_ASSERT_EQUAL(fragment.fragment, 3);
    CU_ASSERT_EQUAL(dealer_next(&dealer, 4, &fragment), 0);
    CU_ASSERT_TRUE(dealer_answered(&dealer, 2, 1, NULL));
    CU_ASSERT_EQUAL(dealer_next(&dealer, 4, &fragment), 2);
    CU_ASSERT_EQUAL(fragment.fragment, 2);
    CU_ASSERT_EQUAL(add(9, 3), -PST_E_BAD_REQUEST); /* no such LDM */
}

static void the_queue_is_bounded(void)
{
    dealer_init(&dealer, 1);
    for (uint64_t i = 0; i < PST_FRAGMENTS_LISTED_MAX; i++)
        CU_ASSERT_EQUAL(add(i, 0), 0);
    CU_ASSERT_EQUAL(add(0, 0), -PST_E_NO_RESOURCES);
    CU_ASSERT_EQUAL(dealer.listed, PST_FRAGMENTS_LISTED_MAX);
}

/* By a look at each: the first LDM of those with the fewest fragments. */
static uint32_t freest(void)
{
    uint32_t best = 0, best_load = PST_FRAGMENTS_AHEAD;
    for (uint32_t ldm = 1; ldm <= dealer.ldms; ldm++) {
        uint32_t load = 0;
        for (uint32_t i = 0; i < PST_FRAGMENTS_AHEAD; i++)
            load += dealer.dealt[ldm - 1][i].sequence != 0;
        if (load < best_load) {
            best = ldm;
            best_load = load;
        }
    }
    return best;
}

/* Some thousand fragments, answered in any order: each is dealt once, none is left; those of no
 * owner to the freest, oldest first, and likewise those of each owner. */
static void each_is_dealt_once(void)
{
    enum { COUNT = 5000, LDMS = 70 };
    static uint8_t dealt_times[COUNT];
    static uint64_t last_of[LDMS + 1];
    static struct {
        uint32_t ldm, sequence;
    } flight[LDMS * PST_FRAGMENTS_AHEAD];
    memset(dealt_times, 0, sizeof(dealt_times));
    memset(last_of, 0, sizeof(last_of));
    dealer_init(&dealer, LDMS);
    uint32_t listed = 0;
    uint32_t sequence = 0;
    uint32_t count = 0;
    unsigned chance = 12345;
    while (listed < COUNT || count > 0 || dealer.queued > 0) {
        struct pst_fragment fragment;
        uint32_t ldm;
        chance = chance * 1103515245 + 12345;
        if (listed < COUNT && dealer.queued < 400 && (chance >> 21 & 3) != 0) {
            CU_ASSERT_EQUAL_FATAL(add(listed, chance >> 20 & 1 ? 1 + listed % LDMS : 0), 0);
            listed++;
        }
        uint32_t any;
        while (any = freest(), (ldm = dealer_next(&dealer, sequence + 1, &fragment)) != 0) {
            dealt_times[fragment.fragment]++;
            CU_ASSERT_FATAL(count < LDMS * PST_FRAGMENTS_AHEAD);
            CU_ASSERT_EQUAL(ldm, fragment.owner == 0 ? any : fragment.owner);
            CU_ASSERT_TRUE(fragment.fragment >= last_of[fragment.owner]);
            last_of[fragment.owner] = fragment.fragment;
            flight[count].ldm = ldm;
            flight[count++].sequence = ++sequence;
        }
        if (count > 0 && chance >> 17 & 1) {
            uint32_t which = (chance >> 8) % count;
            CU_ASSERT_TRUE(
                dealer_answered(&dealer, flight[which].ldm, flight[which].sequence, NULL));
            flight[which] = flight[--count];
        }
        dealer_check(&dealer);
        dealer_check_ldms(&dealer);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        RIG_CHECK(dealt_times[i] == 1, "fragment %u was dealt %u times", i, dealt_times[i]);
    CU_ASSERT_EQUAL(dealer.done, COUNT);
    CU_ASSERT_EQUAL(dealer.in_flight, 0);
}

static CU_TestInfo tests[] = {
    {"deals two ahead to the freest", deals_two_ahead_to_the_freest},
    {"owners get their own", owners_get_their_own},
    {"the queue is bounded", the_queue_is_bounded},
    {"each is dealt once", each_is_dealt_once},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return rig_run("protocol dealer", tests);
}
