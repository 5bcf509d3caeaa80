/* Rates over spans of time, from looks a second apart. */
#include <string.h>

#include "engine/node/rates.h"
#include "tests/suite.h"

#define S UINT64_C(1000000000)

static void each_span_has_its_rate(void)
{
    struct rates rates = {0};
    /* 10 a second for 100 s, then 1000 for 5 s: spans see the new rate as far as they reach */
    uint64_t value = 0, now_ns = 7 * S;
    for (int i = 0; i < 1000; i++, now_ns += S / 10)
        rates_note(&rates, now_ns, value = (uint64_t)i);
    CU_ASSERT_EQUAL(rates_over(&rates, now_ns, value + 1, 60 * S), 10);
    for (int i = 0; i < 50; i++, now_ns += S / 10)
        rates_note(&rates, now_ns, value += 100);
    value += 100;
    CU_ASSERT_EQUAL(rates_over(&rates, now_ns, value, S), 1000);
    uint64_t ten = rates_over(&rates, now_ns, value, 10 * S);
    uint64_t sixty = rates_over(&rates, now_ns, value, 60 * S);
    CU_ASSERT_TRUE(ten > 450 && ten < 560);
    CU_ASSERT_TRUE(sixty > 80 && sixty < 110);
}

static void what_is_not_known_is_nothing(void)
{
    struct rates rates = {0};
    CU_ASSERT_EQUAL(rates_over(&rates, 5 * S, 100, S), 0);
    rates_note(&rates, 5 * S, 100);
    CU_ASSERT_EQUAL(rates_over(&rates, 5 * S, 100, S), 0);
    /* half a second is what there is */
    CU_ASSERT_EQUAL(rates_over(&rates, 5 * S + S / 2, 150, 60 * S), 100);
}

/* The next backup begins at 0. */
static void a_number_that_falls_begins_anew(void)
{
    struct rates rates = {0};
    rates_note(&rates, 1 * S, 5000);
    rates_note(&rates, 2 * S, 6000);
    rates_note(&rates, 3 * S, 10);
    CU_ASSERT_EQUAL(rates.count, 1);
    CU_ASSERT_EQUAL(rates_over(&rates, 4 * S, 110, 60 * S), 100);
    CU_ASSERT_EQUAL(rates_over(&rates, 4 * S, 5, S), 0);
}

int main(void)
{
    static CU_TestInfo tests[] = {
        {"each span has its rate", each_span_has_its_rate},
        {"what is not known is nothing", what_is_not_known_is_nothing},
        {"a number that falls begins anew", a_number_that_falls_begins_anew},
        CU_TEST_INFO_NULL,
    };
    return suite_run("rates", tests);
}
