/*
 * The rounds of a measurement, as the options have them, in each of which several ways take turns.
 * Main thread.
 */
#ifndef PST_BENCH_ROUNDS_H
#define PST_BENCH_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/choices.h"
#include "bench/figures.h"

/* Or batches of rounds. */
struct rounds {
    const struct common_choices *common;
    struct figures_lot lot;
    uint64_t began_ns;
    uint64_t counted_ns;                /* when the first that counts began */
    uint32_t least;                     /* of those that count; common->repeat at first */
    uint32_t counted;                   /* that are over */
    bool counts;                        /* the current one */
    uint32_t turns;                     /* of each */
    uint32_t order[CHOICES_ROUNDS_MAX]; /* of its turns, drawn by lot anew for each */
};

/* common is borrowed; turns: CHOICES_ROUNDS_MAX at most. */
struct rounds rounds_of(const struct common_choices *common, uint32_t turns);

/* Whether there is to be another round. */
bool rounds_next(struct rounds *rounds);

#endif
