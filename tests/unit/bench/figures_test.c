/* Medians, intervals and verdicts of the benches. */
#include "bench/figures.h"
#include "tests/suite.h"

static void an_interval_needs_six_figures(void)
{
    static const double figures[] = {3, 1, 2, 6, 5, 4};
    struct figures_range five = figures_median(figures, 5), six = figures_median(figures, 6);
    CU_ASSERT_EQUAL(five.median, 3);
    CU_ASSERT_EQUAL(five.high, 0);
    CU_ASSERT_EQUAL(six.median, 3.5);
    CU_ASSERT_EQUAL(six.low, 1);
    CU_ASSERT_EQUAL(six.high, 6);
    CU_ASSERT_EQUAL(figures_median(figures, 0).median, 0);
}

/* Of 20 the 6th and the 15th: 1 - 2 * P(at most 5 of 20 heads) is 0.959. */
static void an_interval_of_twenty_leaves_out_five_at_either_end(void)
{
    double figures[20];
    for (uint32_t i = 0; i < 20; i++)
        figures[i] = 20 - i;
    struct figures_range range = figures_median(figures, 20);
    CU_ASSERT_EQUAL(range.median, 10.5);
    CU_ASSERT_EQUAL(range.low, 6);
    CU_ASSERT_EQUAL(range.high, 15);
}

/* It has the true median in 95 of 100 cases at least, whatever is drawn. */
static void intervals_hold_the_median_as_often_as_they_say(void)
{
    static const uint32_t counts[] = {6, 7, 10, 25, 100};
    struct figures_lot lot = figures_lot_of(1);
    for (uint32_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
        uint32_t held = 0;
        for (uint32_t trial = 0; trial < 2000; trial++) {
            double figures[100];
            for (uint32_t i = 0; i < counts[k]; i++) {
                double draw = (double)(figures_draw(&lot) >> 11) / (double)(UINT64_C(1) << 53);
                figures[i] = draw * draw; /* its median is 1/4 */
            }
            struct figures_range range = figures_median(figures, counts[k]);
            held += range.low <= 0.25 && 0.25 <= range.high;
        }
        CU_ASSERT_TRUE(held >= 1870); /* 1900 expected at least, 10 are one deviation */
    }
}

static void pairs_cancel_what_both_suffer(void)
{
    double ours[20], theirs[20];
    for (uint32_t i = 0; i < 20; i++) {
        theirs[i] = 1 + i; /* a machine that slows down */
        ours[i] = theirs[i] * 0.9;
    }
    struct figures_range ratio = figures_paired(ours, theirs, 20);
    CU_ASSERT_EQUAL(figures_judge(&ratio), FIGURES_BETTER);
    CU_ASSERT_TRUE(ratio.low > 0.899 && ratio.high < 0.901);
    ratio = figures_unpaired(ours, 20, theirs, 20);
    CU_ASSERT_EQUAL(figures_judge(&ratio), FIGURES_NOT_RESOLVED);
}

static void verdicts_need_enough_and_an_interval_off_one(void)
{
    static const double slow[] = {11, 12, 13, 14, 15}, fast[] = {1, 2, 3, 4, 5};
    struct figures_range ratio = figures_unpaired(slow, 5, fast, 5);
    CU_ASSERT_EQUAL(figures_judge(&ratio), FIGURES_WORSE);
    ratio = figures_unpaired(fast, 5, slow, 5);
    CU_ASSERT_EQUAL(figures_judge(&ratio), FIGURES_BETTER);
    ratio = figures_unpaired(fast, 5, slow, 3);
    CU_ASSERT_EQUAL(figures_judge(&ratio), FIGURES_NOT_RESOLVED);
    ratio = figures_unpaired(fast, 5, fast, 5);
    CU_ASSERT_EQUAL(ratio.median, 1);
    CU_ASSERT_EQUAL(figures_judge(&ratio), FIGURES_NOT_RESOLVED);
}

static void a_seed_is_an_order(void)
{
    uint32_t first[8], second[8], other[8], same = 0;
    for (uint32_t i = 0; i < 8; i++)
        first[i] = second[i] = other[i] = i;
    struct figures_lot lot = figures_lot_of(7);
    figures_shuffle(&lot, first, 8);
    lot = figures_lot_of(7);
    figures_shuffle(&lot, second, 8);
    lot = figures_lot_of(8);
    figures_shuffle(&lot, other, 8);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(first[i], second[i]);
        same += first[i] == other[i];
        seen |= 1u << first[i];
    }
    CU_ASSERT_EQUAL(seen, 0xff);
    CU_ASSERT_TRUE(same < 8);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"an interval needs six figures", an_interval_needs_six_figures},
        {"an interval of twenty leaves out five at either end",
         an_interval_of_twenty_leaves_out_five_at_either_end},
        {"intervals hold the median as often as they say",
         intervals_hold_the_median_as_often_as_they_say},
        {"pairs cancel what both suffer", pairs_cancel_what_both_suffer},
        {"verdicts need enough, and an interval off 1",
         verdicts_need_enough_and_an_interval_off_one},
        {"a seed is an order", a_seed_is_an_order},
        CU_TEST_INFO_NULL,
    };
    return suite_run("figures", tests);
}
