/* Members of JSON lines. */
#include <stdio.h>
#include <string.h>

#include "bench/line.h"
#include "tests/suite.h"

static void members_are_found_and_their_likes_are_not(void)
{
    static const char line[] =
        "{\"bytes\":12, \"text\":\"a \\\"bytes\\\":99 \\\\\",\"deep\":{\"more\" "
        ": 7},\"list\":[1.5, 2,3e2],\"none\":[],\"key\":\"bytes\"}\n";
    char text[32];
    double figures[8];
    CU_ASSERT_EQUAL(line_number(line, "bytes"), 12);
    CU_ASSERT_EQUAL(line_number(line, "more"), 7);
    CU_ASSERT_EQUAL(line_number(line, "byte"), 0);
    CU_ASSERT_TRUE(line_text(line, "text", text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "a \"bytes\":99 \\");
    CU_ASSERT_FALSE(line_text(line, "text", text, 4));
    CU_ASSERT_FALSE(line_text(line, "bytes", text, sizeof(text)));
    CU_ASSERT_EQUAL(line_figures(line, "list", figures, 8), 3);
    CU_ASSERT_EQUAL(figures[2], 300);
    CU_ASSERT_EQUAL(line_figures(line, "list", figures, 2), 2);
    CU_ASSERT_EQUAL(line_figures(line, "none", figures, 8), 0);
    CU_ASSERT_EQUAL(line_figures(line, "bytes", figures, 8), 0);
    static const char *const no_times[] = {"[nan,4]", "[4,0]",  "[4,inf]", "[1e999]",
                                           "[-1,4]",  "[4,5,6", "[\"4\"]", "[4 5]"};
    for (size_t i = 0; i < sizeof(no_times) / sizeof(no_times[0]); i++) {
        (void)snprintf(text, sizeof(text), "{\"list\":%s}", no_times[i]);
        CU_ASSERT_EQUAL(line_figures(text, "list", figures, 8), 0);
    }
    CU_ASSERT_EQUAL(line_figures("{\"list\":[4,5", "list", figures, 8), 0);
    CU_ASSERT_TRUE(line_texts("{\"p\":[\"a]\",\"b\"],\"q\":1}", "p", text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "\"a]\",\"b\"");
    CU_ASSERT_FALSE(line_texts("{\"p\":[\"a]\",\"b\"]", "p", text, 8));
    CU_ASSERT_FALSE(line_texts("{\"p\":[\"a", "p", text, sizeof(text)));
}

/* Wherever it is cut, nothing is read past its end. */
static void a_line_that_is_cut_ends(void)
{
    static const char whole[] = "{\"key\":\"a\\\"b\",\"list\":[1,2,3],\"n\":5}";
    for (size_t bytes = 0; bytes < sizeof(whole); bytes++) {
        char line[sizeof(whole)], text[32];
        double figures[8];
        memcpy(line, whole, bytes);
        line[bytes] = '\0';
        (void)line_text(line, "key", text, sizeof(text));
        CU_ASSERT_TRUE(line_figures(line, "list", figures, 8) <= 3);
        CU_ASSERT_TRUE(line_number(line, "n") == 5 || bytes < sizeof(whole) - 1);
    }
}

static void the_last_line_is_the_last_that_is_not_empty(void)
{
    CU_ASSERT_STRING_EQUAL(line_last("one\ntwo\n"), "two\n");
    CU_ASSERT_STRING_EQUAL(line_last("one"), "one");
    CU_ASSERT_STRING_EQUAL(line_last(""), "");
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"members are found, and their likes are not", members_are_found_and_their_likes_are_not},
        {"a line that is cut ends", a_line_that_is_cut_ends},
        {"the last line is the last that is not empty",
         the_last_line_is_the_last_that_is_not_empty},
        CU_TEST_INFO_NULL,
    };
    return suite_run("line", tests);
}
