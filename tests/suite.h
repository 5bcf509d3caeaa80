/* The main of a CUnit program: its exit code is 1 if anything failed, or could not run. */
#ifndef PST_TESTS_SUITE_H
#define PST_TESTS_SUITE_H

#include <CUnit/Basic.h>

static inline int suites_run(CU_SuiteInfo *suites)
{
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS)
        return 1;
    CU_basic_set_mode(CU_BRM_VERBOSE);
    const CU_ErrorCode error = CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return error != CUE_SUCCESS || failures > 0;
}

/* A program with one suite. */
static inline int suite_run(const char *name, CU_TestInfo *tests)
{
    CU_SuiteInfo suites[] = {{name, NULL, NULL, NULL, NULL, tests}, CU_SUITE_INFO_NULL};
    return suites_run(suites);
}

#endif
