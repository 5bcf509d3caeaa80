/*
 * A directory for one backup that is not kept. Called by cmd_backup.c, on the main thread.
 */
#include "engine/cli/null_target.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"

bool cli_null_target_is(const char *to)
{
    return to && strcmp(to, "null:") == 0;
}

int cli_null_target_make(struct cli_null_target *target)
{
    const char *parent = getenv("TMPDIR");
    if (!parent || !*parent)
        parent = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp"; /* no disk to sync */
    int bytes = snprintf(target->path, sizeof(target->path), "%s/penstock-null-XXXXXX", parent);
    if (bytes >= (int)sizeof(target->path))
        return -ENAMETOOLONG;
    return mkdtemp(target->path) ? 0 : -errno;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

void cli_null_target_remove(struct cli_null_target *target)
{
    if (*target->path && nftw(target->path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT))
        pst_log(PST_LOG_WARNING, "%s: %s", target->path, pst_error_text(-errno));
}
