/* --compress auto: which level follows from what an LDM did. */
#include "engine/transform/registry/compression_pace.h"
#include "tests/suite.h"

#define MIB (UINT64_C(1) << 20)
#define MS UINT64_C(1000000)

static struct compression_pace pace;

/* 16 MiB in so much time, of which it waited so much, and encoded at a cost for each MiB. */
static enum compression_level step(uint64_t elapsed_ms, uint64_t waited_ms, uint64_t cost_ns)
{
    const struct compression_window window = {
        .elapsed_ns = elapsed_ms * MS,
        .waited_ns = waited_ms * MS,
        .raw_bytes = 16 * MIB,
        .encoded_bytes = pace.level == COMPRESSION_LEVEL_NONE ? 0 : 16 * MIB,
        .encode_ns = pace.level == COMPRESSION_LEVEL_NONE ? 0 : 16 * cost_ns,
    };
    compression_pace_step(&pace, &window);
    return pace.level;
}

/* A disk of 100 MB/s: all but 10 ms are spent waiting. */
static void a_slow_disk_gets_all(void)
{
    compression_pace_init(&pace);
    CU_ASSERT_EQUAL(pace.level, COMPRESSION_LEVEL_LZ4);
    CU_ASSERT_EQUAL(step(160, 130, 1500000), COMPRESSION_LEVEL_ZSTD_1);
    CU_ASSERT_EQUAL(step(160, 90, 3000000), COMPRESSION_LEVEL_ZSTD_1); /* level 3 does not fit */
    CU_ASSERT_EQUAL(step(260, 190, 3000000), COMPRESSION_LEVEL_ZSTD_3);
    CU_ASSERT_EQUAL(step(260, 150, 6000000), COMPRESSION_LEVEL_ZSTD_3); /* there is no more */
}

static void a_busy_ldm_gets_none(void)
{
    compression_pace_init(&pace);
    CU_ASSERT_EQUAL(step(40, 1, 1500000), COMPRESSION_LEVEL_NONE);
    CU_ASSERT_EQUAL(step(16, 0, 0), COMPRESSION_LEVEL_NONE);
}

/* Some waiting, but less than the next level takes. */
static void what_does_not_fit_is_not_tried(void)
{
    compression_pace_init(&pace);
    CU_ASSERT_EQUAL(step(40, 1, 1500000), COMPRESSION_LEVEL_NONE);
    for (uint32_t i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(step(32, 12, 0), COMPRESSION_LEVEL_NONE);
}

/* It fits by all that is known, and turns out to be too much, again and again. */
static void what_was_too_much_is_tried_ever_more_seldom(void)
{
    uint32_t tries = 0;
    compression_pace_init(&pace);
    for (uint32_t i = 0; i < 200; i++) {
        bool is_up = pace.level == COMPRESSION_LEVEL_LZ4;
        tries += is_up;
        step(is_up ? 60 : 80, is_up ? 0 : 70, 1000000);
    }
    CU_ASSERT_TRUE(tries >= 3 && tries <= 10);
}

/* A guess that is too high is corrected only by trying; one of a level in use, at once. */
static void costs_are_learnt(void)
{
    compression_pace_init(&pace);
    uint64_t guess_ns = pace.cost_ns[COMPRESSION_LEVEL_LZ4];
    step(40, 20, 1000000);
    CU_ASSERT_TRUE(pace.cost_ns[COMPRESSION_LEVEL_LZ4] < guess_ns);
    CU_ASSERT_TRUE(pace.cost_ns[COMPRESSION_LEVEL_LZ4] > 1000000);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a slow disk gets all", a_slow_disk_gets_all},
        {"a busy LDM gets none", a_busy_ldm_gets_none},
        {"what does not fit is not tried", what_does_not_fit_is_not_tried},
        {"what was too much is tried ever more seldom",
         what_was_too_much_is_tried_ever_more_seldom},
        {"costs are learnt", costs_are_learnt},
        CU_TEST_INFO_NULL,
    };
    return suite_run("pace", tests);
}
