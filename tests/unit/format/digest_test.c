/* Digests and their text. */
#ifdef __x86_64__
#include <cpuid.h>
#endif
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

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * i + i / 7);
}

/* As xxhsum -H2 has them: whatever code the library chooses. */
static void long_inputs_have_the_digests_that_others_find(void)
{
    static uint8_t bytes[100000];
    char text[PST_DIGEST_TEXT_BYTES];
    fill(bytes, sizeof(bytes));
    struct pst_digest digest = pst_digest_of(bytes, 1000, 0);
    CU_ASSERT_STRING_EQUAL(pst_digest_text(&digest, text),
                           "xxh3-128:fa7080caa2b6abf689c3ff3e32db8527");
    digest = pst_digest_of(bytes, sizeof(bytes), 0);
    CU_ASSERT_STRING_EQUAL(pst_digest_text(&digest, text),
                           "xxh3-128:e28813558cb5af5ad0d057cdc2a27a4c");
}

#ifdef __x86_64__
#define XGETBV_COUNTS_USE 4u /* of leaf 13, sub-leaf 1 */
#define UPPER_HALVES 0x44u   /* of the registers that SSE code uses, too */

__attribute__((target("xsave"))) static uint64_t states_in_use(void)
{
    return (uint64_t)__builtin_ia32_xgetbv(1);
}

static bool can_tell_use(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx") && __get_cpuid_count(13, 1, &a, &b, &c, &d) &&
           (a & XGETBV_COUNTS_USE) != 0;
}

/* Else all SSE code is slow from then on. */
static void a_digest_leaves_no_upper_halves(void)
{
    static uint8_t bytes[5000];
    fill(bytes, sizeof(bytes));
    if (!can_tell_use())
        return;
    for (size_t count = 1; count < sizeof(bytes); count *= 2) {
        struct pst_digest digest = pst_digest_of(bytes, count, 0);
        uint64_t in_use = states_in_use();
        CU_ASSERT_EQUAL(in_use & UPPER_HALVES, 0);
        CU_ASSERT_TRUE(digest.bytes[0] || digest.bytes[1] || digest.bytes[2]);
    }
}
#else
static void a_digest_leaves_no_upper_halves(void)
{
}
#endif

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
        {"long inputs have the digests that others find",
         long_inputs_have_the_digests_that_others_find},
        {"a digest leaves no upper halves", a_digest_leaves_no_upper_halves},
        {"other bytes and seeds give other digests", other_bytes_and_seeds_give_other_digests},
        {"only that text is a digest", only_that_text_is_a_digest},
        CU_TEST_INFO_NULL,
    };
    return suite_run("digest", tests);
}
