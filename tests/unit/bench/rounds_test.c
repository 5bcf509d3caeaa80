/* Rounds: how many, which count, and in which order their turns come. */
#include <string.h>

#include "bench/rounds.h"
#include "tests/suite.h"

static uint32_t all_of(const struct common_choices *common, uint32_t *counted)
{
    struct rounds rounds = rounds_of(common, 1);
    uint32_t all = 0;
    while (rounds_next(&rounds))
        all++;
    *counted = rounds.counted;
    return all;
}

static void the_first_of_several_does_not_count(void)
{
    struct common_choices common = COMMON_CHOICES_DEFAULT(3);
    uint32_t counted;
    CU_ASSERT_EQUAL(all_of(&common, &counted), 4);
    CU_ASSERT_EQUAL(counted, 3);
    common.repeat = 1;
    CU_ASSERT_EQUAL(all_of(&common, &counted), 1);
    CU_ASSERT_EQUAL(counted, 1);
}

static void more_come_until_the_time_is_over(void)
{
    struct common_choices common = COMMON_CHOICES_DEFAULT(1);
    uint32_t counted;
    common.runtime_s = 1000;
    CU_ASSERT_EQUAL(all_of(&common, &counted), CHOICES_ROUNDS_MAX + 1);
    CU_ASSERT_EQUAL(counted, CHOICES_ROUNDS_MAX);
}

/* As long as no clock of ours decides. */
#define LONG_S 1000
#define LONG_NS (LONG_S * UINT64_C(1000000000))

static void none_comes_once_the_time_is_over(void)
{
    struct common_choices common = COMMON_CHOICES_DEFAULT(1);
    common.runtime_s = LONG_S;
    struct rounds rounds = rounds_of(&common, 1);
    for (uint32_t i = 0; i < 5; i++)
        CU_ASSERT_TRUE(rounds_next(&rounds));
    rounds.counted_ns -= LONG_NS;
    CU_ASSERT_FALSE(rounds_next(&rounds));
    CU_ASSERT_EQUAL(rounds.counted, 4);
}

static void none_counts_before_the_ramp_is_over(void)
{
    struct common_choices common = COMMON_CHOICES_DEFAULT(1);
    common.ramp_s = LONG_S;
    struct rounds rounds = rounds_of(&common, 1);
    for (uint32_t i = 0; i < 5; i++) {
        CU_ASSERT_TRUE(rounds_next(&rounds));
        CU_ASSERT_FALSE(rounds.counts);
    }
    rounds.began_ns -= LONG_NS;
    CU_ASSERT_TRUE(rounds_next(&rounds));
    CU_ASSERT_TRUE(rounds.counts);
    CU_ASSERT_FALSE(rounds_next(&rounds));
    CU_ASSERT_EQUAL(rounds.counted, 1);
}

static void each_has_all_turns_in_an_order_of_the_seed(void)
{
    struct common_choices common = COMMON_CHOICES_DEFAULT(8), other = COMMON_CHOICES_DEFAULT(8);
    struct rounds first = rounds_of(&common, 5), again = rounds_of(&common, 5);
    other.seed = 2;
    struct rounds second = rounds_of(&other, 5);
    uint32_t same = 0, as_they_are = 0, of = 0;
    while (rounds_next(&first) && rounds_next(&again) && rounds_next(&second)) {
        uint32_t seen = 0;
        of += 5;
        for (uint32_t i = 0; i < 5; i++) {
            seen |= 1u << first.order[i];
            same += first.order[i] == second.order[i];
            as_they_are += first.order[i] == i;
        }
        CU_ASSERT_EQUAL(seen, 0x1f);
        CU_ASSERT_TRUE(memcmp(first.order, again.order, 5 * sizeof(first.order[0])) == 0);
    }
    CU_ASSERT_EQUAL(of, 45);
    CU_ASSERT_TRUE(same < of && as_they_are < of);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the first of several does not count", the_first_of_several_does_not_count},
        {"more come until the time is over", more_come_until_the_time_is_over},
        {"none comes once the time is over", none_comes_once_the_time_is_over},
        {"none counts before the ramp is over", none_counts_before_the_ramp_is_over},
        {"each has all turns, in an order of the seed", each_has_all_turns_in_an_order_of_the_seed},
        CU_TEST_INFO_NULL,
    };
    return suite_run("rounds", tests);
}
