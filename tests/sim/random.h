/* The one source of chance of a run: splitmix64, so that a seed means the same on every machine. A
 * scenario leaves nothing to chance: its draws are all the same, so that its story stays the same
 * when a model draws once more. */
#ifndef PST_TESTS_SIM_RANDOM_H
#define PST_TESTS_SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
    bool is_fixed;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
    if (random->is_fixed)
        return 0;
    uint64_t word = random->state += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/* low … high, both included. */
static inline uint64_t sim_random_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    if (random->is_fixed)
        return low + (high - low) / 4;
    return low + sim_random_next(random) % (high - low + 1);
}

static inline bool sim_random_hits(struct sim_random *random, uint32_t per_thousand)
{
    return !random->is_fixed && sim_random_next(random) % 1000 < per_thousand;
}

#endif
