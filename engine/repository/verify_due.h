/*
 * Which backups of a list nobody has verified yet, nor a newer one in their place. Pure, any
 * thread.
 */
#ifndef PST_ENGINE_REPOSITORY_VERIFY_DUE_H
#define PST_ENGINE_REPOSITORY_VERIFY_DUE_H

#include "engine/repository/catalog.h"

/* Whether a backup of the list was completed, is not known to be whole, and is newer than all that
 * are, of those that surely have the same sources on the same nodes. */
bool pst_backup_is_due(const struct pst_backup_list *list, const struct pst_backup *backup);

#endif
