/* The adaptation of --compress auto. Called by compression.c, on an LDM's thread. */
#include "engine/transform/registry/compression_pace.h"

#define MIB (UINT64_C(1) << 20)
#define PATIENCE_MIN 2u
#define PATIENCE_MAX 32u

/* An LDM is busy if it waits for less than one part in so many of the time; and a level fits if it
 * would leave one part in so many. */
#define BUSY_PARTS 16u
#define SPARE_PARTS 8u

/* It begins with none: a short backup is over before it is known whether there is time for more.
 * The costs are those of a fast CPU of 2022. */
void compression_pace_init(struct compression_pace *pace)
{
    *pace = (struct compression_pace){
        .patience = PATIENCE_MIN,
        .cost_ns = {0, 1000000, 1400000, 2600000},
    };
}

enum compression_level compression_pace_level(const struct compression_pace *pace,
                                              const struct compression_window *window)
{
    bool is_probe = pace->probes && window->encoded[pace->level + 1].bytes < MIB;
    return is_probe ? pace->level + 1 : pace->level;
}

static void learn(struct compression_pace *pace, const struct compression_window *window)
{
    for (uint32_t level = 0; level < COMPRESSION_LEVELS; level++) {
        const struct compression_encoded *encoded = &window->encoded[level];
        uint64_t *cost_ns = &pace->cost_ns[level];
        if (encoded->bytes < MIB)
            continue;
        uint64_t measured_ns = encoded->ns * MIB / encoded->bytes;
        *cost_ns = pace->is_known[level] ? (*cost_ns + measured_ns) / 2 : measured_ns;
        pace->is_known[level] = true;
    }
}

static uint64_t encode_ns(const struct compression_window *window)
{
    uint64_t ns = 0;
    for (uint32_t level = 0; level < COMPRESSION_LEVELS; level++)
        ns += window->encoded[level].ns;
    return ns;
}

/* Whether this level would leave some of the time. That a shorter chunk is written sooner is not
 * counted on. */
static bool fits(const struct compression_pace *pace, const struct compression_window *window,
                 enum compression_level level)
{
    uint64_t busy_ns = window->elapsed_ns - window->waited_ns;
    uint64_t now_ns = encode_ns(window);
    uint64_t less_ns = now_ns < busy_ns ? now_ns : busy_ns;
    uint64_t more_ns = pace->cost_ns[level] * window->raw_bytes / MIB;
    uint64_t spare_ns = window->elapsed_ns / SPARE_PARTS;
    return busy_ns - less_ns + more_ns + spare_ns <= window->elapsed_ns;
}

static void step_down(struct compression_pace *pace)
{
    if (pace->level == COMPRESSION_LEVEL_NONE)
        return;
    pace->level--;
    pace->hold = pace->patience;
    pace->patience = pace->patience * 2 < PATIENCE_MAX ? pace->patience * 2 : PATIENCE_MAX;
}

void compression_pace_step(struct compression_pace *pace, const struct compression_window *window)
{
    learn(pace, window);
    pace->probes = false;
    if (window->waited_ns < window->elapsed_ns / BUSY_PARTS)
        step_down(pace);
    else if (pace->hold > 0)
        pace->hold--;
    else if (pace->level + 1 < COMPRESSION_LEVELS && fits(pace, window, pace->level + 1)) {
        pace->probes = !pace->is_known[pace->level + 1];
        pace->level += !pace->probes;
    }
}
