/* Digests and their text. */
#include <string.h>

#include "engine/format/digest.h"
#include "tests/suite.h"

static void a_digest_has_one_text(void)
{
    char text[PST_DIGEST_TEXT_BYTES];
    const struct pst_digest digest = pst_digest_of("", 0, 0);
    /* XXH3-128 of nothing, seed 0, as the xxHash specification's test vectors give it */
    CU_ASSERT_STRING_EQUAL(pst_digest_text(&digest, text),
                           "xxh3-128:99aa06d3014798d86001c324468d497f");
    struct pst_digest parsed;
    CU_ASSERT_TRUE(format_digest_parse(text, strlen(text), &parsed));
    CU_ASSERT_TRUE(pst_digest_equal(&parsed, &digest));
}

static void other_bytes_and_seeds_give_other_digests(void)
{
    const struct pst_digest a = pst_digest_of("abc", 3, 0), b = pst_digest_of("abd", 3, 0);
    const struct pst_digest c = pst_digest_of("abc", 3, 1);
    CU_ASSERT_FALSE(pst_digest_equal(&a, &b));
    CU_ASSERT_FALSE(pst_digest_equal(&a, &c));
}

static void only_that_text_is_a_digest(void)
{
    char text[PST_DIGEST_TEXT_BYTES];
    const struct pst_digest digest = pst_digest_of("abc", 3, 0);
    struct pst_digest parsed;
    pst_digest_text(&digest, text);
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        CU_ASSERT_FALSE(format_digest_parse(text, i, &parsed));
        char kept = text[i];
        text[i] = 'G';
        CU_ASSERT_FALSE(format_digest_parse(text, length, &parsed));
        text[i] = '\0';
        CU_ASSERT_FALSE(format_digest_parse(text, length, &parsed));
        text[i] = kept;
    }
    CU_ASSERT_FALSE(format_digest_parse("xxh3-128:99AA06D3014798D86001C324468D497F", 41, &parsed));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a digest has one text", a_digest_has_one_text},
        {"other bytes and seeds give other digests", other_bytes_and_seeds_give_other_digests},
        {"only that text is a digest", only_that_text_is_a_digest},
        CU_TEST_INFO_NULL,
    };
    return suite_run("digest", tests);
}
