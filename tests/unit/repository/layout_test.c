/* Names of files in the backup directory. */
#include "engine/repository/layout.h"
#include "tests/suite.h"

static void names_are_the_documented_ones(void)
{
    CU_ASSERT_STRING_EQUAL(layout_backup(7).text, "BACKUP-7");
    CU_ASSERT_STRING_EQUAL(layout_part_dir(7, 1, 4).text, "BACKUP-7-PART-1-OF-4");
    CU_ASSERT_STRING_EQUAL(layout_part(7, 2, 1, 4).text, "BACKUP-7-PART-1-OF-4/BACKUP-7.2.data");
    CU_ASSERT_STRING_EQUAL(layout_node_manifest(7, 255).text, "BACKUP-7.255.manifest");
    CU_ASSERT_STRING_EQUAL(layout_cluster_manifest(4294967295u).text,
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
        CU_ASSERT_FALSE(layout_parse_backup(others[i], &number));
    CU_ASSERT_EQUAL(number, 42);
    CU_ASSERT_TRUE(layout_parse_backup("BACKUP-4294967295", &number));
    CU_ASSERT_EQUAL(number, 4294967295u);
    CU_ASSERT_TRUE(layout_parse_backup("BACKUP-10", &number));
    CU_ASSERT_EQUAL(number, 10);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"names are the documented ones", names_are_the_documented_ones},
        {"only the exact name is a backup", only_the_exact_name_is_a_backup},
        CU_TEST_INFO_NULL,
    };
    return suite_run("layout", tests);
}
