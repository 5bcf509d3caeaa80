/*
 * The guard of a frozen dir: source: runs the user's commands, one at a time, as it is ordered, and
 * the thaw command by itself when it sees that the backup's process is gone. Private to freeze.c.
 */
#ifndef PST_ENGINE_SOURCE_DIR_FREEZE_GUARD_H
#define PST_ENGINE_SOURCE_DIR_FREEZE_GUARD_H

#include <limits.h>
#include <stdint.h>

#include "engine/base/limits.h"

enum freeze_order {
    FREEZE_FREEZE = 1,
    FREEZE_THAW,
    FREEZE_ADOPT /* it was frozen by a guard that is gone: from now on, this one's */
};

struct freeze_request {
    uint32_t order;          /* enum freeze_order */
    uint64_t limit_ns;       /* FREEZE: for the command */
    uint64_t gci;            /* THAW, ADOPT: as in struct freeze */
    char snapshot[PATH_MAX]; /* likewise */
};

struct freeze_answer {
    int error; /* 0; -PST_E_FREEZE, -PST_E_COMMAND, -errno, and text says why */
    char text[PST_MESSAGE_BYTES];
    int thaw_error; /* of the thaw command that a failed FREEZE is followed by */
    char thaw_text[PST_MESSAGE_BYTES];
    char snapshot[PATH_MAX]; /* FREEZE: what was printed */
};

/* What the guard's process does: context is a struct freeze. Returns its exit status. */
int freeze_guard_run(const void *context, int socket);

#endif
