/* Asserts that what was restored from a backup of made_tree() is what it was made from. */
#ifndef PST_TESTS_UNIT_RESTORE_MADE_TREE_H
#define PST_TESTS_UNIT_RESTORE_MADE_TREE_H

#include "tests/support/make_backup.h"

/* Types, owners, modes, times, contents and links of all that the backup has, below path. */
void expect_made_tree(const struct made_backup *made, const char *path);

/* Of one file of it: its bytes where there is data, zeros elsewhere. */
void expect_made_contents(const struct made_backup *made, const char *path, const char *name,
                          uint64_t object);

#endif
