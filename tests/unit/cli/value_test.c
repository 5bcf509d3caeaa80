#include <errno.h>

#include "engine/cli/suggest.h"
#include "engine/cli/value.h"
#include "tests/suite.h"

struct number_case {
    const char *text;
    uint64_t number;
};

static void test_counts(void)
{
    static const struct number_case good[] = {
        {"0", 0}, {"8", 8}, {"007", 7}, {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"",  "-1", "+1",   " 1", "1 ", "1.5",
                                      "x", "1x", "0x10", "1K", "١",  "99999999999999999999x"};
    uint64_t number;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL(cli_value_count(good[i].text, &number), 0);
        CU_ASSERT_EQUAL(number, good[i].number);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_EQUAL(cli_value_count(bad[i], &number), -EINVAL);
    CU_ASSERT_EQUAL(cli_value_count("18446744073709551616", &number), -ERANGE);
    CU_ASSERT_EQUAL(cli_value_count("99999999999999999999999", &number), -ERANGE);
}

static void test_sizes(void)
{
    static const struct number_case good[] = {
        {"0", 0},           {"4096", 4096},       {"64K", 64 << 10},
        {"64k", 64 << 10},  {"64KiB", 65536},     {"1M", 1 << 20},
        {"1MiB", 1 << 20},  {"2g", 2ull << 30},   {"2GiB", 2ull << 30},
        {"3T", 3ull << 40}, {"3tib", 3ull << 40}, {"16777215T", 16777215ull << 40}};
    static const char *const bad[] = {"",    "K",  "-1K",  "1.5M", "1 M", "1MB", "1kB", "1KK",
                                      "1Ki", "1B", "0x1K", "M1",   "1P",  "1M ", "nan"};
    uint64_t number;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL(cli_value_size(good[i].text, &number), 0);
        CU_ASSERT_EQUAL(number, good[i].number);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_EQUAL(cli_value_size(bad[i], &number), -EINVAL);
    CU_ASSERT_EQUAL(cli_value_size("16777216T", &number), -ERANGE);
    CU_ASSERT_EQUAL(cli_value_size("99999999999999999999K", &number), -ERANGE);
}

static void test_durations(void)
{
    static const struct number_case good[] = {
        {"0", 0},           {"10ns", 10},         {"90us", 90000},       {"500ms", 500000000},
        {"2s", 2000000000}, {"5m", 300000000000}, {"1h", 3600000000000}, {"2d", 172800000000000}};
    static const char *const bad[] = {"",    "5",    "s",  "-1s",  "1.5s",
                                      "1 s", "1sec", "1y", "1ms2", "00"};
    uint64_t number;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL(cli_value_duration(good[i].text, &number), 0);
        CU_ASSERT_EQUAL(number, good[i].number);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_EQUAL(cli_value_duration(bad[i], &number), -EINVAL);
    CU_ASSERT_EQUAL(cli_value_duration("5124096h", &number), -ERANGE);
}

static void test_sizes_for_people(void)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {1023, "1023 B"},
                 {1024, "1.0 KiB"},
                 {1536, "1.5 KiB"},
                 {(1 << 20) - 1, "1.0 MiB"},
                 {3ull << 30, "3.0 GiB"},
                 {UINT64_MAX, "16.0 EiB"}};
    char text[CLI_VALUE_TEXT_BYTES];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_STRING_EQUAL(cli_value_size_text(cases[i].bytes, text), cases[i].text);
}

static void ratios_have_two_digits(void)
{
    char text[CLI_VALUE_TEXT_BYTES];
    CU_ASSERT_STRING_EQUAL(cli_value_ratio_text(231, 100, text), "2.31");
    CU_ASSERT_STRING_EQUAL(cli_value_ratio_text(0, 4096, text), "0.00");
    CU_ASSERT_STRING_EQUAL(cli_value_ratio_text(1, 0, text), "-");
}

static void test_clocks(void)
{
    char text[CLI_VALUE_TEXT_BYTES];
    CU_ASSERT_STRING_EQUAL(cli_value_clock_text(0, text), "0:00");
    CU_ASSERT_STRING_EQUAL(cli_value_clock_text(7, text), "0:07");
    CU_ASSERT_STRING_EQUAL(cli_value_clock_text(754, text), "12:34");
    CU_ASSERT_STRING_EQUAL(cli_value_clock_text(11554, text), "3:12:34");
}

/* What is printed as a limit can be typed in again. */
static void test_exact_texts_are_read_back(void)
{
    static const uint64_t numbers[] = {0,       1,       1000,       1024,       65536,
                                       1 << 20, 3 << 20, 1536 << 10, 1000000000, 90000000000};
    char text[CLI_VALUE_TEXT_BYTES];
    uint64_t number;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        CU_ASSERT_EQUAL(cli_value_size(cli_value_exact_size(numbers[i], text), &number), 0);
        CU_ASSERT_EQUAL(number, numbers[i]);
        CU_ASSERT_EQUAL(cli_value_duration(cli_value_exact_duration(numbers[i], text), &number), 0);
        CU_ASSERT_EQUAL(number, numbers[i]);
    }
    CU_ASSERT_STRING_EQUAL(cli_value_exact_size(65536, text), "64K");
    CU_ASSERT_STRING_EQUAL(cli_value_exact_duration(500000000, text), "500ms");
}

static void test_suggestions(void)
{
    static const char *const names[] = {"backup", "list", "show", "verify", "restore", "topology"};
    size_t count = sizeof(names) / sizeof(names[0]);
    CU_ASSERT_STRING_EQUAL(cli_suggest("bakcup", names, count), "backup");
    CU_ASSERT_STRING_EQUAL(cli_suggest("lst", names, count), "list");
    CU_ASSERT_STRING_EQUAL(cli_suggest("restor", names, count), "restore");
    CU_ASSERT_STRING_EQUAL(cli_suggest("topolgoy", names, count), "topology");
    CU_ASSERT_PTR_NULL(cli_suggest("frobnicate", names, count));
    CU_ASSERT_PTR_NULL(cli_suggest("xyz", names, count));
    CU_ASSERT_PTR_NULL(cli_suggest("", names, count));
    CU_ASSERT_PTR_NULL(cli_suggest("a-name-that-is-longer-than-any-name-here", names, count));
}

static void test_counted_nouns(void)
{
    char text[CLI_VALUE_COUNT_BYTES];
    CU_ASSERT_STRING_EQUAL(cli_value_count_text(0, "object", text), "0 objects");
    CU_ASSERT_STRING_EQUAL(cli_value_count_text(1, "object", text), "1 object");
    CU_ASSERT_STRING_EQUAL(cli_value_count_text(11, "damage", text), "11 damages");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"counted nouns", test_counted_nouns},
        {"counts", test_counts},
        {"sizes", test_sizes},
        {"durations", test_durations},
        {"sizes for people", test_sizes_for_people},
        {"ratios have two digits", ratios_have_two_digits},
        {"clocks", test_clocks},
        {"exact texts are read back", test_exact_texts_are_read_back},
        {"suggestions", test_suggestions},
        CU_TEST_INFO_NULL,
    };
    return suite_run("cli/value", tests);
}
