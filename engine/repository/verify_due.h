/*
 * Which backups of a list nobody has verified yet, nor a newer one in their place. Pure, any
 * thread.
 */
#ifndef PST_ENGINE_REPOSITORY_VERIFY_DUE_H
#define PST_ENGINE_REPOSITORY_VERIFY_DUE_H

#include "engine/repository/catalog.h"

enum pst_verify_due {
    PST_VERIFY_NOT_DUE,
    PST_VERIFY_DUE,
    /* It would be, but is no backup, or not known to be one: it is being written, was cut off, or
     * is in doubt. There is nothing to be found out by reading it. */
    PST_VERIFY_UNDECIDED,
};

/* Whether a backup of the list is not known to be whole, and is newer than all that are, of those
 * that surely have the same sources on the same nodes. One that was found whole and is damaged as
 * far as the list shows is not whole. */
enum pst_verify_due pst_backup_is_due(const struct pst_backup_list *list,
                                      const struct pst_backup *backup);

#endif
