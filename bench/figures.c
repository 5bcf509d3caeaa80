/* Medians, intervals, ratios and lots of the benches. Any thread. */
#include "bench/figures.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MEDIAN_MIN 6u   /* with fewer, not even the smallest and the largest enclose it at 95 % */
#define UNPAIRED_MIN 4u /* likewise, on each side */
#define Z 1.959964

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The middle of sorted figures, and those that skip from either end. */
static struct figures_range middle(const double *sorted, uint64_t count, uint64_t skip,
                                   bool is_enough)
{
    struct figures_range range = {0};
    if (count == 0)
        return range;
    range.median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
    if (is_enough) {
        range.low = sorted[skip];
        range.high = sorted[count - 1 - skip];
    }
    return range;
}

/* How many of count may be left out at either end: each figure lies below the median with a
 * probability of 1/2, so the tail of a binomial distribution decides. */
static uint32_t skipped(uint32_t count)
{
    double log_choose = 0, tail = 0;
    for (uint32_t i = 0; i < count; i++) {
        tail += exp(log_choose - (double)count * M_LN2);
        if (tail > 0.025)
            return i > 0 ? i - 1 : 0;
        log_choose += log((double)(count - i) / (double)(i + 1));
    }
    return 0;
}

struct figures_range figures_median(const double *figures, uint32_t count)
{
    double sorted[FIGURES_MAX];
    assert(count <= FIGURES_MAX);
    memcpy(sorted, figures, count * sizeof(*figures));
    qsort(sorted, count, sizeof(sorted[0]), compare);
    return middle(sorted, count, skipped(count), count >= MEDIAN_MIN);
}

struct figures_range figures_paired(const double *ours, const double *theirs, uint32_t count)
{
    double ratios[FIGURES_MAX];
    assert(count <= FIGURES_MAX);
    for (uint32_t i = 0; i < count; i++)
        ratios[i] = ours[i] / theirs[i];
    return figures_median(ratios, count);
}

struct figures_range figures_unpaired(const double *ours, uint32_t ours_count, const double *theirs,
                                      uint32_t theirs_count)
{
    static double ratios[FIGURES_UNPAIRED_MAX * FIGURES_UNPAIRED_MAX];
    uint32_t m = ours_count < FIGURES_UNPAIRED_MAX ? ours_count : FIGURES_UNPAIRED_MAX;
    uint32_t n = theirs_count < FIGURES_UNPAIRED_MAX ? theirs_count : FIGURES_UNPAIRED_MAX;
    for (uint32_t i = 0; i < m; i++) {
        for (uint32_t k = 0; k < n; k++)
            ratios[i * n + k] = ours[i] / theirs[k];
    }
    qsort(ratios, (size_t)m * n, sizeof(ratios[0]), compare);
    double pairs = (double)m * n;
    double skip = floor(pairs / 2 - Z * sqrt(pairs * (m + n + 1) / 12));
    return middle(ratios, (uint64_t)m * n, skip > 1 ? (uint64_t)skip - 1 : 0,
                  m >= UNPAIRED_MIN && n >= UNPAIRED_MIN);
}

enum figures_verdict figures_judge(const struct figures_range *ratio)
{
    if (ratio->high > 0 && ratio->high < 1)
        return FIGURES_BETTER;
    return ratio->low > 1 ? FIGURES_WORSE : FIGURES_NOT_RESOLVED;
}

const char *figures_verdict_text(enum figures_verdict verdict)
{
    static const char *const texts[] = {"better", "worse", "not resolved"};
    return texts[verdict];
}

struct figures_lot figures_lot_of(uint64_t seed)
{
    return (struct figures_lot){seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
}

/* xorshift64* */
uint64_t figures_draw(struct figures_lot *lot)
{
    lot->state ^= lot->state >> 12;
    lot->state ^= lot->state << 25;
    lot->state ^= lot->state >> 27;
    return lot->state * UINT64_C(0x2545f4914f6cdd1d);
}

void figures_shuffle(struct figures_lot *lot, uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)(figures_draw(lot) % i), number = numbers[i - 1];
        numbers[i - 1] = numbers[other];
        numbers[other] = number;
    }
}
