/* Bytes as hexadecimal text. */
#include <string.h>

#include "engine/base/hex.h"
#include "tests/suite.h"

static void test_encode(void)
{
    const uint8_t bytes[] = {0x00, 0x1f, 0xa0, 0xff};
    char text[2 * sizeof(bytes) + 1];
    CU_ASSERT_PTR_EQUAL(pst_hex_encode(bytes, sizeof(bytes), text), text);
    CU_ASSERT_STRING_EQUAL(text, "001fa0ff");
    pst_hex_encode(bytes, 0, text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

static void test_decode(void)
{
    uint8_t bytes[2] = {7, 7};
    CU_ASSERT_TRUE(pst_hex_decode("1fa0", 4, bytes, 2));
    CU_ASSERT_TRUE(bytes[0] == 0x1f && bytes[1] == 0xa0);
}

static void test_refuses(void)
{
    static const char *const texts[] = {"1fa", "1fa00", "1FA0", "1fg0", "1f a", ""};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint8_t bytes[2] = {7, 7};
        CU_ASSERT_FALSE(pst_hex_decode(texts[i], strlen(texts[i]), bytes, 2));
        CU_ASSERT_TRUE(bytes[0] == 7 && bytes[1] == 7);
    }
    uint8_t bytes[2] = {7, 7};
    CU_ASSERT_FALSE(pst_hex_decode("1f\0000", 4, bytes, 2));
}

int main(void)
{
    CU_TestInfo tests[] = {{"bytes become lower-case digits", test_encode},
                           {"digits become bytes", test_decode},
                           {"anything but the right number of digits is refused", test_refuses},
                           CU_TEST_INFO_NULL};
    return suite_run("hex", tests);
}
