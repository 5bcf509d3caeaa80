/*
 * Chooses what `penstock verify --newer-than-verified` reads. Called by the command, on its thread.
 */
#include "engine/repository/verify_due.h"

#include "engine/repository/retention.h"

/* And is not seen to be damaged, or to lack something, since, without reading it. */
static bool is_known_whole(const struct pst_backup *backup)
{
    const struct pst_verified *verified = &backup->verified;
    return verified->is_known && !verified->is_damaged && verified->covered >= verified->windows &&
           backup->state != PST_BACKUP_DAMAGED && backup->state != PST_BACKUP_SPLIT;
}

static bool is_undecided(const struct pst_backup *backup)
{
    return pst_backup_was_never_completed(backup->state) || backup->state == PST_BACKUP_IN_DOUBT;
}

/* Of which sources one is that nobody has completed may not be known. */
static bool has_newer_whole(const struct pst_backup_list *list, const struct pst_backup *backup)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct pst_backup *other = list->backups[i];
        if (catalog_is_newer(other, backup) && is_known_whole(other) &&
            (pst_backup_was_never_completed(backup->state) ||
             retention_is_one_series(other, backup)) &&
            !retention_was_found_damaged(other))
            return true;
    }
    return false;
}

enum pst_verify_due pst_backup_is_due(const struct pst_backup_list *list,
                                      const struct pst_backup *backup)
{
    bool is_whole = is_known_whole(backup) && !retention_was_found_damaged(backup);
    if (is_whole || has_newer_whole(list, backup))
        return PST_VERIFY_NOT_DUE;
    return is_undecided(backup) ? PST_VERIFY_UNDECIDED : PST_VERIFY_DUE;
}
