/* Histograms of durations. */
#include <stdbool.h>

#include "bench/latency.h"
#include "tests/suite.h"

static struct latency latency;

static bool is_near(double us, double expected_us)
{
    return us > expected_us * 0.98 && us < expected_us * 1.02;
}

static void percentiles_are_right_to_a_bucket(void)
{
    latency = (struct latency){0};
    for (uint64_t i = 1; i <= 100000; i++)
        latency_add(&latency, i * 1000);
    CU_ASSERT_TRUE(is_near(latency_us(&latency, 5000), 50000));
    CU_ASSERT_TRUE(is_near(latency_us(&latency, 9900), 99000));
    CU_ASSERT_TRUE(is_near(latency_us(&latency, 9990), 99900));
    CU_ASSERT_EQUAL(latency.max_ns, 100000000);
}

/* p99.9 of 9,999 would be the opinion of nine. */
static void no_percentile_comes_from_too_few(void)
{
    latency = (struct latency){0};
    for (uint32_t i = 0; i < 9999; i++)
        latency_add(&latency, 1000 + i);
    CU_ASSERT_TRUE(latency_us(&latency, 9990) < 0);
    CU_ASSERT_TRUE(latency_us(&latency, 9900) > 0);
    latency_add(&latency, 1000);
    CU_ASSERT_TRUE(latency_us(&latency, 9990) > 0);
}

static void every_duration_has_a_bucket_and_few_share_it(void)
{
    static const uint64_t durations[] = {
        0, 1, 31, 32, 33, 63, 64, 1000, 123456789, UINT64_C(1) << 40, UINT64_MAX};
    for (uint32_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        latency = (struct latency){0};
        for (uint32_t k = 0; k < 20; k++)
            latency_add(&latency, durations[i]);
        double expected_us = (double)durations[i] / 1e3, us = latency_us(&latency, 5000);
        CU_ASSERT_TRUE(us == expected_us || is_near(us, expected_us));
    }
}

static void joined_they_count_as_one(void)
{
    static struct latency other;
    latency = (struct latency){0};
    other = (struct latency){0};
    for (uint32_t i = 0; i < 100; i++) {
        latency_add(&latency, 1000);
        latency_add(&other, 1000000);
    }
    latency_join(&latency, &other);
    CU_ASSERT_EQUAL(latency.count, 200);
    CU_ASSERT_EQUAL(latency.max_ns, 1000000);
    CU_ASSERT_TRUE(is_near(latency_us(&latency, 9000), 1000));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"percentiles are right to a bucket", percentiles_are_right_to_a_bucket},
        {"no percentile comes from too few", no_percentile_comes_from_too_few},
        {"every duration has a bucket, and few share it",
         every_duration_has_a_bucket_and_few_share_it},
        {"joined, they count as one", joined_they_count_as_one},
        CU_TEST_INFO_NULL,
    };
    return suite_run("latency", tests);
}
