/* Two suites of the same tests, one on disk and one on tmpfs; called by main(). */
#include "tests/support/file_systems.h"

#include <stdio.h>

#include "engine/base/log.h"
#include "tests/suite.h"

static int (*start_in)(const char *base);

static int start_on_disk(void)
{
    return start_in(".");
}

static int start_on_tmpfs(void)
{
    return start_in("/dev/shm");
}

int run_on_disk_and_tmpfs(const char *name, int (*start)(const char *base), int (*stop)(void),
                          CU_TestInfo *tests)
{
    char disk[64], tmpfs[64];
    CU_SuiteInfo suites[] = {
        {.pName = disk, .pInitFunc = start_on_disk, .pCleanupFunc = stop, .pTests = tests},
        {.pName = tmpfs, .pInitFunc = start_on_tmpfs, .pCleanupFunc = stop, .pTests = tests},
        CU_SUITE_INFO_NULL,
    };
    start_in = start;
    snprintf(disk, sizeof(disk), "%s on disk", name);
    snprintf(tmpfs, sizeof(tmpfs), "%s on tmpfs", name);
    pst_log_set_level(PST_LOG_ERROR);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return suites_run(suites);
}
