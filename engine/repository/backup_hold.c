/* Keeps prune off a backup, and off those that it refers to, while it is read. Whoever verifies,
 * restores or makes a backup with a base. */
#include <errno.h>
#include <stdlib.h>

#include "engine/repository/backup.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/layout.h"

/* Where locks are not to be had, it is read without. */
static int keep_in(const struct pst_backup *backup, uint32_t i, int *handle)
{
    struct pst_repository *repository = &backup->directories->repositories[i];
    *handle = repository_open_backup(repository, backup->stored_as);
    if (*handle < 0)
        return *handle == -ENOENT ? -PST_E_CHANGED : 0; /* reading it will show what is wrong */
    if (repository_lock(repository, *handle, PST_REPOSITORY_SHARED) == -PST_E_BUSY)
        return -PST_E_CHANGED;
    int has = repository_has(repository, repository->root, layout_backup(backup->stored_as).text);
    return has == 0 ? -PST_E_CHANGED : 0;
}

static int keep_one(const struct pst_backup *backup, struct pst_backup_hold *hold)
{
    int error = 0;
    *hold = (struct pst_backup_hold){.directories = backup->directories};
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++)
        hold->handles[i] = -1;
    for (uint32_t i = backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = backup_next_in(backup, i + 1))
        error = keep_in(backup, i, &hold->handles[i]);
    return error;
}

int pst_backup_keep(const struct pst_backup *backup, struct pst_backup_hold *hold)
{
    uint32_t count = backup->has_cluster ? backup->cluster.origins_count : 0;
    int error = keep_one(backup, hold);
    if (!error && count > 0) {
        hold->origins = calloc(count, sizeof(*hold->origins));
        error = hold->origins ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; !error && i < count; i++) {
        const struct pst_manifest_origin *named = &backup->cluster.origins[i];
        const struct pst_backup *origin = pst_backup_origin(backup, named->uid, named->number);
        if (origin) /* reading will show what is missing */
            error = keep_one(origin, &hold->origins[hold->origins_count++]);
    }
    if (error)
        pst_backup_let_go(hold);
    return error;
}

void pst_backup_let_go(struct pst_backup_hold *hold)
{
    for (uint32_t i = 0; i < hold->origins_count; i++)
        pst_backup_let_go(&hold->origins[i]);
    free(hold->origins);
    for (uint32_t i = 0; i < PST_DIRECTORIES_MAX; i++) {
        if (hold->handles[i] >= 0)
            repository_close(&hold->directories->repositories[i], hold->handles[i]);
    }
}
