/*
 * Changes who can open backups that are sealed: their files of keys are written anew, and nothing
 * else is touched. For `penstock key`; blocking, one thread for one list.
 *
 * Each file is replaced in one step, and any that is whole opens the backup: a change that is cut
 * off leaves some files as they were, and is completed by making it once more.
 */
#ifndef PST_ENGINE_REPOSITORY_REWRAP_H
#define PST_ENGINE_REPOSITORY_REWRAP_H

#include "engine/key/keys_file.h"
#include "engine/repository/backup.h"

struct pst_rewrap {
    const struct pst_keyring *added; /* NULL: none */
    const uint8_t *removed;          /* PST_KEY_ID_BYTES; NULL: none */
};

/* Of a backup of a list that was read with keys: those open it before and after. 0; -PST_E_NO_KEY:
 * they would not, or do not; -PST_E_BUSY: it is being read or pruned; or why a file could not be
 * written. message (PST_MESSAGE_BYTES) says which. */
PST_MUST_USE int pst_rewrap(const struct pst_backup *backup, const struct pst_rewrap *change,
                            char *message);

/* Calls each for every record of each file of keys that is whole; a record that is in several
 * files of a node comes once for each. 0 or -ENOMEM. */
PST_MUST_USE int pst_rewrap_list(const struct pst_backup *backup,
                                 void (*each)(void *context, uint32_t node,
                                              const struct pst_keys_record *record),
                                 void *context);

/* Whether files of keys lie in a backup, whatever is known of its nodes, or may: it cannot be
 * listed. */
bool pst_rewrap_has_files(const struct pst_backup *backup);

#endif
