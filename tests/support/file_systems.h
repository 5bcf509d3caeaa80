/* The same tests on disk and on tmpfs: tmpfs takes any alignment and syncs nothing, so it finds
 * other faults than a disk. */
#ifndef PST_TESTS_SUPPORT_FILE_SYSTEMS_H
#define PST_TESTS_SUPPORT_FILE_SYSTEMS_H

#include <CUnit/Basic.h>

/* A main()'s result. start: base is "." or "/dev/shm". Of the log, only errors are written. */
int run_on_disk_and_tmpfs(const char *name, int (*start)(const char *base), int (*stop)(void),
                          CU_TestInfo *tests);

#endif
