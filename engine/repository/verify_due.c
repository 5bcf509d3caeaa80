/*
 * Chooses what `penstock verify --newer-than-verified` reads. Called by the command, on its thread.
 */
#include "engine/repository/verify_due.h"

#include "engine/repository/retention.h"

static bool is_known_whole(const struct pst_verified *verified)
{
    return verified->is_known && !verified->is_damaged && verified->covered >= verified->windows;
}

bool pst_backup_is_due(const struct pst_backup_list *list, const struct pst_backup *backup)
{
    if (pst_backup_was_never_completed(backup->state) || is_known_whole(&backup->verified))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *other = list->backups[i];
        if (other->number > backup->number && is_known_whole(&other->verified) &&
            retention_is_one_series(other, backup))
            return false;
    }
    return true;
}
