/* Which jobs can be a node of a cluster. */
#include <errno.h>
#include <string.h>

#include "engine/service/membership.h"
#include "tests/suite.h"

static struct pst_node_job job;
static struct pst_set expected;
static char message[PST_MESSAGE_BYTES];

static int check(const char *nodes)
{
    static const struct pst_backup_job backup;
    pst_node_job_init(&job);
    memset(&expected, 0, sizeof(expected));
    message[0] = '\0';
    job.node = 3;
    job.cluster = "blue-1";
    job.socket_path = "socket";
    job.backup = &backup;
    job.nodes = nodes;
    return membership_check(&job, &expected, message);
}

static int check_again(void)
{
    return membership_check(&job, &expected, message);
}

static void lists_of_nodes_are_taken(void)
{
    CU_ASSERT_EQUAL(check(NULL), 0);
    CU_ASSERT_EQUAL(pst_set_count(&expected), 0);
    CU_ASSERT_EQUAL(check("3"), 0);
    CU_ASSERT_EQUAL(check("1-3,7,254-255"), 0);
    CU_ASSERT_EQUAL(pst_set_count(&expected), 6);
    CU_ASSERT_TRUE(pst_set_has(&expected, 0) && pst_set_has(&expected, 254));
    CU_ASSERT_FALSE(pst_set_has(&expected, 3));
}

static void other_texts_are_refused(void)
{
    static const char *const bad[] = {"",
                                      ",",
                                      "3,",
                                      "0-3",
                                      "3-2",
                                      "3-256",
                                      "3--4",
                                      "3-+4",
                                      "+3",
                                      " 3",
                                      "3 ",
                                      "3-",
                                      "x",
                                      "-3",
                                      "3- 4",
                                      "3;4",
                                      "3-99999999999999999999",
                                      "1-2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(check(bad[i]), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(message, "--nodes"));
    }
}

/* What the option tables of penstock node see to, a program may get wrong. */
static void what_a_program_leaves_out_is_named(void)
{
    CU_ASSERT_EQUAL(check(NULL), 0);
    job.node = 0;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    job.node = 256;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "256"));
    CU_ASSERT_EQUAL(check(NULL), 0);
    job.cluster = NULL;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    job.cluster = "";
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    job.cluster = "../up";
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    CU_ASSERT_EQUAL(check(NULL), 0);
    job.socket_path = NULL;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "--socket"));
    CU_ASSERT_EQUAL(check(NULL), 0);
    job.backup = NULL;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    CU_ASSERT_EQUAL(check(NULL), 0);
    job.failure_ns = 0;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
}

static void members_need_a_key(void)
{
    static const char *const members[] = {"3=10.0.0.3"};
    CU_ASSERT_EQUAL(check(NULL), 0);
    job.members = members;
    job.members_count = 1;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "--cluster-key"));
    job.cluster_key = "key";
    CU_ASSERT_EQUAL(check_again(), 0);
    job.mtu_bytes = 1279;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    job.mtu_bytes = 1280;
    job.nodes = "3";
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
    job.members_count = 0;
    CU_ASSERT_EQUAL(check_again(), -EINVAL);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lists of nodes are taken", lists_of_nodes_are_taken},
        {"other texts are refused", other_texts_are_refused},
        {"what a program leaves out is named", what_a_program_leaves_out_is_named},
        {"members need a key", members_need_a_key},
        CU_TEST_INFO_NULL,
    };
    return suite_run("membership", tests);
}
