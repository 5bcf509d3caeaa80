/* What a terminal could obey becomes question marks; what it shows stays. */
#include <string.h>

#include "engine/base/printable.h"
#include "tests/suite.h"

static void expect(const char *from, size_t bytes, const char *to)
{
    char text[64];
    CU_ASSERT_FATAL(bytes < sizeof(text));
    memcpy(text, from, bytes + 1);
    pst_make_printable(text, bytes);
    CU_ASSERT_EQUAL(memcmp(text, to, bytes + 1), 0);
}
#define EXPECT(from, to) expect(from, sizeof(from) - 1, to)

static void plain_text_stays(void)
{
    EXPECT("", "");
    EXPECT(" a\\x1b~", " a\\x1b~");
    EXPECT("Gr\303\266\303\237e \342\202\254 \360\237\230\200",
           "Gr\303\266\303\237e \342\202\254 \360\237\230\200");
    EXPECT("\302\240", "\302\240"); /* U+00A0, the first after C1 */
    EXPECT("\355\237\277\356\200\200\364\217\277\277", "\355\237\277\356\200\200\364\217\277\277");
}

static void control_characters_go(void)
{
    EXPECT("a\033]0;x\ab", "a?]0;x?b");
    EXPECT("\r\n\t\b\177", "?????");
    expect("a\0b", 3, "a?b");
    EXPECT("\302\233"
           "31m",
           "??31m");                    /* CSI of C1, as UTF-8 */
    EXPECT("\302\200\302\237", "????"); /* the first and the last of C1 */
    EXPECT("\233"
           "31m\200\377",
           "?31m??"); /* raw */
}

static void what_is_no_utf8_goes(void)
{
    EXPECT("a\303", "a?"); /* cut */
    EXPECT("\342\202", "??");
    EXPECT("\303(", "?(");
    EXPECT("\300\233", "??"); /* longer than need be */
    EXPECT("\340\202\233", "???");
    EXPECT("\360\200\202\233", "????");
    EXPECT("\355\240\200", "???");      /* a surrogate */
    EXPECT("\364\220\200\200", "????"); /* past the last */
    EXPECT("\370\210\200\200\200", "?????");
    EXPECT("\360\237\230x", "???x");
}

static void what_reorders_a_line_goes(void)
{
    EXPECT("a\342\200\256gpj.exe", "a???gpj.exe");
    EXPECT("\342\201\246\342\200\250\357\273\277\342\200\213", "????????????");
    EXPECT("\342\200\246", "\342\200\246"); /* an ellipsis is none of them */
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"plain text stays", plain_text_stays},
        {"control characters go", control_characters_go},
        {"what is no UTF-8 goes", what_is_no_utf8_goes},
        {"what reorders a line goes", what_reorders_a_line_goes},
        CU_TEST_INFO_NULL,
    };
    return suite_run("printable", tests);
}
