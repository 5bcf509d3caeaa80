/*
 * What a row of figures says, whatever their distribution. Pure; nothing is allocated by the
 * caller.
 */
#ifndef PST_BENCH_FIGURES_H
#define PST_BENCH_FIGURES_H

#include <stdint.h>

#define FIGURES_MAX 4096u

/* A median, and an interval that has it with a confidence of at least 95 %; low and high are 0
 * where there are too few figures for that. */
struct figures_range {
    double median, low, high;
};

/* Of so many figures, FIGURES_MAX at most: by order statistics, from 6 on. */
struct figures_range figures_median(const double *figures, uint32_t count);

/* The ratio of each of ours to theirs in the same round: the median of these. */
struct figures_range figures_paired(const double *ours, const double *theirs, uint32_t count);

/* The ratio of ours to theirs, which were measured at different times: the median of all ratios of
 * one to another (Hodges and Lehmann), its interval that of the rank sum test, from 4 on each side
 * on. So many of each are looked at, the first ones. */
#define FIGURES_UNPAIRED_MAX 256u
struct figures_range figures_unpaired(const double *ours, uint32_t ours_count, const double *theirs,
                                      uint32_t theirs_count);

/* Of a ratio of times, ours to theirs. */
enum figures_verdict { FIGURES_BETTER, FIGURES_WORSE, FIGURES_NOT_RESOLVED };
enum figures_verdict figures_judge(const struct figures_range *ratio);
const char *figures_verdict_text(enum figures_verdict verdict);

/* A fixed sequence for each seed. */
struct figures_lot {
    uint64_t state;
};
struct figures_lot figures_lot_of(uint64_t seed);
uint64_t figures_draw(struct figures_lot *lot);
void figures_shuffle(struct figures_lot *lot, uint32_t *numbers, uint32_t count);

#endif
