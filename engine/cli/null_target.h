/*
 * Where `penstock backup --to null:` writes its manifests. Its parts go nowhere.
 */
#ifndef PST_ENGINE_CLI_NULL_TARGET_H
#define PST_ENGINE_CLI_NULL_TARGET_H

#include <limits.h>
#include <stdbool.h>

#include "penstock/error.h"

/* Zero: none was made. */
struct cli_null_target {
    char path[PATH_MAX];
};

/* Whether an argument of --to means it. */
bool cli_null_target_is(const char *to);

/* Makes a directory of its own in $TMPDIR, else in memory, or in /tmp. 0 or -errno; path is what
 * was tried. */
PST_MUST_USE int cli_null_target_make(struct cli_null_target *target);

/* Removes it with all that is in it. */
void cli_null_target_remove(struct cli_null_target *target);

#endif
