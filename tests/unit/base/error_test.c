/* The error list: every code is unique, clear of errno, and has a name and a text. */
#include <errno.h>
#include <string.h>

#include "penstock/error.h"
#include "tests/suite.h"

static const struct {
    int number;
    bool may_retry;
    const char *name;
    const char *text;
} list[] = {
#define X(name, number, retry, text) {number, retry, #name, text},
    PST_ERROR_LIST(X)
#undef X
};

#define LISTED (sizeof(list) / sizeof(list[0]))
#define ERRNO_MAX 4095 /* the kernel's MAX_ERRNO is the ceiling of what it returns */

static void numbers_and_names_are_unique(void)
{
    for (size_t i = 0; i < LISTED; i++) {
        CU_ASSERT_TRUE(list[i].number > 0);
        for (size_t j = 0; j < i; j++) {
            CU_ASSERT_NOT_EQUAL(list[i].number, list[j].number);
            CU_ASSERT_STRING_NOT_EQUAL(list[i].name, list[j].name);
            CU_ASSERT_STRING_NOT_EQUAL(list[i].text, list[j].text);
        }
    }
}

static void no_errno_has_a_number_of_ours(void)
{
    for (size_t i = 0; i < LISTED; i++) {
        CU_ASSERT_PTR_NULL(strerrorname_np(list[i].number));
        CU_ASSERT_PTR_NULL(strerrordesc_np(list[i].number));
    }
}

static void texts_and_names_come_for_either_sign(void)
{
    for (size_t i = 0; i < LISTED; i++) {
        CU_ASSERT_STRING_EQUAL(pst_error_text(list[i].number), list[i].text);
        CU_ASSERT_STRING_EQUAL(pst_error_text(-list[i].number), list[i].text);
        CU_ASSERT_STRING_EQUAL(pst_error_name(list[i].number), list[i].name);
        CU_ASSERT_STRING_EQUAL(pst_error_name(-list[i].number), list[i].name);
        CU_ASSERT_TRUE(strlen(list[i].text) > 0);
    }
    CU_ASSERT_STRING_EQUAL(pst_error_name(-ENOSPC), "ENOSPC");
    CU_ASSERT_STRING_EQUAL(pst_error_text(ENOSPC), strerror(ENOSPC));
}

static void unlisted_numbers_are_unknown(void)
{
    for (int number = 1000; number <= ERRNO_MAX; number++) {
        bool is_listed = false;
        for (size_t i = 0; i < LISTED; i++)
            is_listed |= list[i].number == number;
        if (is_listed)
            continue;
        CU_ASSERT_STRING_EQUAL(pst_error_name(number), "unknown");
        CU_ASSERT_STRING_EQUAL(pst_error_text(number), "unknown error");
        CU_ASSERT_FALSE(pst_error_may_retry(number));
    }
}

static void retry_follows_the_list(void)
{
    for (size_t i = 0; i < LISTED; i++) {
        CU_ASSERT_EQUAL(pst_error_may_retry(list[i].number), list[i].may_retry);
        CU_ASSERT_EQUAL(pst_error_may_retry(-list[i].number), list[i].may_retry);
    }
    CU_ASSERT_TRUE(pst_error_may_retry(-EAGAIN));
    CU_ASSERT_TRUE(pst_error_may_retry(ENOSPC));
    CU_ASSERT_FALSE(pst_error_may_retry(-EIO));
    CU_ASSERT_FALSE(pst_error_may_retry(EACCES));
}

/* Where NDB has a number for the same case, ours is the same. */
static void ndb_numbers_are_kept(void)
{
    CU_ASSERT_EQUAL(PST_E_NO_RESOURCES, 1303);
    CU_ASSERT_EQUAL(PST_E_CLIENT_ABORT, 1321);
    CU_ASSERT_EQUAL(PST_E_BACKUP_FAILURE, 1323);
    CU_ASSERT_EQUAL(PST_E_NODE_FAILED, 1326);
}

static CU_TestInfo tests[] = {
    {"numbers and names are unique", numbers_and_names_are_unique},
    {"no errno has a number of ours", no_errno_has_a_number_of_ours},
    {"texts and names come for either sign", texts_and_names_come_for_either_sign},
    {"unlisted numbers are unknown", unlisted_numbers_are_unknown},
    {"retry follows the list", retry_follows_the_list},
    {"NDB's numbers are kept", ndb_numbers_are_kept},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"base error", NULL, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

int main(void)
{
    return suites_run(suites);
}
