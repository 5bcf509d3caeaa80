/* The adaptation of --compress auto. Called by compression.c, on an LDM's thread. */
#include "engine/transform/registry/compression_pace.h"

#define MIB (UINT64_C(1) << 20)
#define PATIENCE_MIN 2u
#define PATIENCE_MAX 32u

/* An LDM is busy if it waits for less than one part in so many of the time; and a level fits if it
 * would leave one part in so many. */
#define BUSY_PARTS 16u
#define SPARE_PARTS 8u

void compression_pace_init(struct compression_pace *pace)
{
    /* Guesses on the high side, until it is measured. */
    *pace = (struct compression_pace){
        .level = COMPRESSION_LEVEL_LZ4,
        .patience = PATIENCE_MIN,
        .cost_ns = {0, 2500000, 4000000, 8000000},
    };
}

static void learn(struct compression_pace *pace, const struct compression_window *window)
{
    if (pace->level == COMPRESSION_LEVEL_NONE || window->encoded_bytes < MIB)
        return;
    uint64_t measured_ns = window->encode_ns / (window->encoded_bytes / MIB);
    uint64_t *cost_ns = &pace->cost_ns[pace->level];
    *cost_ns = (*cost_ns + measured_ns) / 2;
}

/* Whether the next level would leave some of the time. That a shorter chunk is written sooner is
 * not counted on. */
static bool fits(const struct compression_pace *pace, const struct compression_window *window)
{
    uint64_t busy_ns = window->elapsed_ns - window->waited_ns;
    uint64_t more_ns = pace->cost_ns[pace->level + 1] * window->raw_bytes / MIB;
    uint64_t less_ns = window->encode_ns < busy_ns ? window->encode_ns : busy_ns;
    uint64_t spare_ns = window->elapsed_ns / SPARE_PARTS;
    return busy_ns - less_ns + more_ns + spare_ns <= window->elapsed_ns;
}

void compression_pace_step(struct compression_pace *pace, const struct compression_window *window)
{
    learn(pace, window);
    if (window->waited_ns < window->elapsed_ns / BUSY_PARTS) {
        if (pace->level == COMPRESSION_LEVEL_NONE)
            return;
        pace->level--;
        pace->hold = pace->patience;
        pace->patience = pace->patience * 2 < PATIENCE_MAX ? pace->patience * 2 : PATIENCE_MAX;
    } else if (pace->hold > 0) {
        pace->hold--;
    } else if (pace->level + 1 < COMPRESSION_LEVELS && fits(pace, window)) {
        pace->level++;
    }
}
