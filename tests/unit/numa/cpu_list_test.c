/* Lists such as "0-3,8": what is read, what is refused, what is written. */
#include <errno.h>
#include <string.h>

#include "numa/cpu_list.h"
#include "tests/suite.h"

static void check_round_trip(const char *text, uint32_t count, const char *formatted)
{
    struct pst_cpu_list list;
    char written[64];
    CU_ASSERT_EQUAL_FATAL(cpu_list_parse(text, &list), 0);
    CU_ASSERT_EQUAL(list.count, count);
    CU_ASSERT_STRING_EQUAL(pst_cpu_list_format(&list, written, sizeof(written)), formatted);
}

static void test_lists_are_read_and_written(void)
{
    check_round_trip("", 0, "");
    check_round_trip("\n", 0, "");
    check_round_trip("0", 1, "0");
    check_round_trip("0-3,8,10-11\n", 7, "0-3,8,10-11");
    check_round_trip("5-5", 1, "5");
    check_round_trip("8,2,3,1", 4, "8,2-3,1");
    check_round_trip("4095", 1, "4095");
    check_round_trip("0-4095", 4096, "0-4095");
}

static void test_order_of_the_text_is_kept(void)
{
    struct pst_cpu_list list;
    CU_ASSERT_EQUAL_FATAL(cpu_list_parse("8,0-2,5", &list), 0);
    uint16_t expected[] = {8, 0, 1, 2, 5};
    CU_ASSERT_EQUAL_FATAL(list.count, 5);
    CU_ASSERT_EQUAL(memcmp(list.cpu, expected, sizeof(expected)), 0);
    CU_ASSERT_TRUE(pst_cpu_list_has(&list, 5));
    CU_ASSERT_FALSE(pst_cpu_list_has(&list, 3));
}

static void test_garbage_is_refused(void)
{
    static const char *const garbage[] = {"a",    "1,",   ",1",    "1-",     "-1",  "3-1", "1--2",
                                          "1 2",  "0x1",  "1;2",   " 1",     "1 ",  "1,1", "0-3,2",
                                          "1\n2", "\n\n", "1-2-3", "1,2,,3", "1.5", NULL};
    struct pst_cpu_list list;
    for (const char *const *text = garbage; *text; text++)
        CU_ASSERT_EQUAL(cpu_list_parse(*text, &list), -EINVAL);
}

static void test_numbers_out_of_range_are_refused(void)
{
    static const char *const texts[] = {"4096", "0-4096", "99999999999999999999", "1,4294967296",
                                        NULL};
    struct pst_cpu_list list;
    for (const char *const *text = texts; *text; text++)
        CU_ASSERT_EQUAL(cpu_list_parse(*text, &list), -ERANGE);
}

static void test_long_lists_are_cut_when_written(void)
{
    struct pst_cpu_list list;
    char text[12];
    CU_ASSERT_EQUAL_FATAL(cpu_list_parse("1,3,5,7,9,11,13", &list), 0);
    CU_ASSERT_STRING_EQUAL(pst_cpu_list_format(&list, text, sizeof(text)), "1,3,5,7...");
    char small[8];
    CU_ASSERT_STRING_EQUAL(pst_cpu_list_format(&list, small, sizeof(small)), "1,3...");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lists are read and written", test_lists_are_read_and_written},
        {"order of the text is kept", test_order_of_the_text_is_kept},
        {"garbage is refused", test_garbage_is_refused},
        {"numbers out of range are refused", test_numbers_out_of_range_are_refused},
        {"long lists are cut when written", test_long_lists_are_cut_when_written},
        CU_TEST_INFO_NULL,
    };
    return suite_run("numa/cpu_list", tests);
}
