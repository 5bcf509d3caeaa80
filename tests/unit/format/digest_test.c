/* Digests and their text; names of files. */
#include "engine/format/digest.h"
#include "engine/format/names.h"

#include "tests/suite.h"

#include <string.h>

static void a_digest_has_one_text(void)
{
    char text[PST_DIGEST_TEXT_BYTES];
    const struct pst_digest digest = pst_digest_of("", 0, 0);
    /* XXH3-128 of nothing, seed 0, as the xxHash specification's test vectors give it */
    CU_ASSERT_STRING_EQUAL(pst_digest_text(&digest, text),
                           "xxh3-128:99aa06d3014798d86001c324468d497f");
    struct pst_digest parsed;
    CU_ASSERT_TRUE(pst_digest_parse(text, strlen(text), &parsed));
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
    const size_t length = strlen(text);
    for (size_t i = 0; i < length; i++) {
        CU_ASSERT_FALSE(pst_digest_parse(text, i, &parsed));
        const char kept = text[i];
        text[i] = 'G';
        CU_ASSERT_FALSE(pst_digest_parse(text, length, &parsed));
        text[i] = '\0';
        CU_ASSERT_FALSE(pst_digest_parse(text, length, &parsed));
        text[i] = kept;
    }
    CU_ASSERT_FALSE(pst_digest_parse("xxh3-128:99AA06D3014798D86001C324468D497F", 41, &parsed));
}

static void names_are_the_documented_ones(void)
{
    CU_ASSERT_STRING_EQUAL(pst_name_backup(7).text, "BACKUP-7");
    CU_ASSERT_STRING_EQUAL(pst_name_part_dir(7, 1, 4).text, "BACKUP-7-PART-1-OF-4");
    CU_ASSERT_STRING_EQUAL(pst_name_part(7, 2, 1, 4).text, "BACKUP-7-PART-1-OF-4/BACKUP-7.2.data");
    CU_ASSERT_STRING_EQUAL(pst_name_node_manifest(7, 255).text, "BACKUP-7.255.manifest");
    CU_ASSERT_STRING_EQUAL(pst_name_cluster_manifest(4294967295u).text,
                           "BACKUP-4294967295.cluster.manifest");
}

static void only_the_exact_name_is_a_backup(void)
{
    static const char *const others[] = {
        "BACKUP-",
        "BACKUP-0",
        "BACKUP-01",
        "BACKUP-1 ",
        "BACKUP--1",
        "BACKUP-+1",
        "backup-1",
        "BACKUP-4294967296",
        "BACKUP-99999999999999999999",
        "BACKUP-1x",
        "",
        ".BACKUP-1",
    };
    uint32_t number = 42;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CU_ASSERT_FALSE(pst_name_parse_backup(others[i], &number));
    CU_ASSERT_EQUAL(number, 42);
    CU_ASSERT_TRUE(pst_name_parse_backup("BACKUP-4294967295", &number));
    CU_ASSERT_EQUAL(number, 4294967295u);
    CU_ASSERT_TRUE(pst_name_parse_backup("BACKUP-10", &number));
    CU_ASSERT_EQUAL(number, 10);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a digest has one text", a_digest_has_one_text},
        {"other bytes and seeds give other digests", other_bytes_and_seeds_give_other_digests},
        {"only that text is a digest", only_that_text_is_a_digest},
        {"names are the documented ones", names_are_the_documented_ones},
        {"only the exact name is a backup", only_the_exact_name_is_a_backup},
        CU_TEST_INFO_NULL,
    };
    return suite_run("digest and names", tests);
}
