/* --compress auto: which level follows from what an LDM did. */
#include "engine/transform/registry/compression_pace.h"
#include "tests/suite.h"

#define MIB (UINT64_C(1) << 20)
#define MS UINT64_C(1000000)

static struct compression_pace pace;
static uint64_t encoded_bytes; /* in the last window */

/* 16 MiB in so much time, of which it waited so much; a MiB of the level in use, or of a probe,
 * took cost_ns to encode. */
static enum compression_level step(uint64_t elapsed_ms, uint64_t waited_ms, uint64_t cost_ns)
{
    struct compression_window window = {.elapsed_ns = elapsed_ms * MS, .waited_ns = waited_ms * MS};
    encoded_bytes = 0;
    for (uint32_t i = 0; i < 16; i++) {
        enum compression_level level = compression_pace_level(&pace, &window);
        window.raw_bytes += MIB;
        if (level == COMPRESSION_LEVEL_NONE)
            continue;
        encoded_bytes += MIB;
        window.encoded[level].bytes += MIB;
        window.encoded[level].ns += cost_ns;
    }
    compression_pace_step(&pace, &window);
    return pace.level;
}

/* A disk of 100 MB/s: all but 10 ms are spent waiting. A level is probed, then used. */
static void a_slow_disk_gets_all(void)
{
    compression_pace_init(&pace);
    CU_ASSERT_EQUAL(pace.level, COMPRESSION_LEVEL_NONE);
    CU_ASSERT_EQUAL(step(160, 150, 0), COMPRESSION_LEVEL_NONE);
    CU_ASSERT_EQUAL(step(160, 148, 1500000), COMPRESSION_LEVEL_LZ4);
    CU_ASSERT_EQUAL(step(160, 126, 1500000), COMPRESSION_LEVEL_LZ4);
    CU_ASSERT_EQUAL(step(160, 124, 3000000), COMPRESSION_LEVEL_ZSTD_1);
    CU_ASSERT_EQUAL(step(260, 202, 3000000), COMPRESSION_LEVEL_ZSTD_1);
    CU_ASSERT_EQUAL(step(260, 200, 6000000), COMPRESSION_LEVEL_ZSTD_3);
    CU_ASSERT_EQUAL(step(260, 150, 6000000), COMPRESSION_LEVEL_ZSTD_3); /* there is no more */
}

static void a_busy_ldm_gets_none(void)
{
    compression_pace_init(&pace);
    for (uint32_t i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(step(16, 0, 1500000), COMPRESSION_LEVEL_NONE);
        CU_ASSERT_EQUAL(encoded_bytes, 0);
    }
}

static void what_became_too_much_is_left(void)
{
    compression_pace_init(&pace);
    step(160, 150, 0);
    CU_ASSERT_EQUAL(step(160, 148, 1500000), COMPRESSION_LEVEL_LZ4);
    CU_ASSERT_EQUAL(step(40, 1, 1500000), COMPRESSION_LEVEL_NONE);
}

/* Some waiting, but less than the next level takes on any CPU: not even a MiB is encoded. */
static void what_cannot_fit_is_not_probed(void)
{
    compression_pace_init(&pace);
    for (uint32_t i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(step(32, 12, 1500000), COMPRESSION_LEVEL_NONE);
        CU_ASSERT_EQUAL(encoded_bytes, 0);
    }
}

/* Enough for a fast CPU; a MiB tells, once, that this is not one. */
static void what_does_not_fit_is_not_tried(void)
{
    uint64_t all = 0;
    compression_pace_init(&pace);
    for (uint32_t i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(step(40, 22, 1500000), COMPRESSION_LEVEL_NONE);
        all += encoded_bytes;
    }
    CU_ASSERT_EQUAL(all, MIB);
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

static void costs_are_learnt(void)
{
    compression_pace_init(&pace);
    step(160, 150, 0);
    CU_ASSERT_TRUE(pace.probes);
    CU_ASSERT_EQUAL(step(160, 148, 1500000), COMPRESSION_LEVEL_LZ4);
    CU_ASSERT_EQUAL(pace.cost_ns[COMPRESSION_LEVEL_LZ4], 1500000);
    step(160, 140, 500000);
    CU_ASSERT_EQUAL(pace.cost_ns[COMPRESSION_LEVEL_LZ4], 1000000);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a slow disk gets all", a_slow_disk_gets_all},
        {"a busy LDM gets none", a_busy_ldm_gets_none},
        {"what became too much is left", what_became_too_much_is_left},
        {"what cannot fit is not probed", what_cannot_fit_is_not_probed},
        {"what does not fit is not tried", what_does_not_fit_is_not_tried},
        {"what was too much is tried ever more seldom",
         what_was_too_much_is_tried_ever_more_seldom},
        {"costs are learnt", costs_are_learnt},
        CU_TEST_INFO_NULL,
    };
    return suite_run("pace", tests);
}
