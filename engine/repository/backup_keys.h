/*
 * The data keys of a backup's nodes, from the files of keys that its directories have. Private to
 * engine/repository; the thread that loads the backup.
 */
#ifndef PST_ENGINE_REPOSITORY_BACKUP_KEYS_H
#define PST_ENGINE_REPOSITORY_BACKUP_KEYS_H

#include "engine/repository/backup.h"

struct backup_keys_look {
    struct pst_backup *backup;
    const int *handles; /* of its directories; -1: not open */
    struct pst_findings *findings;
    uint64_t *files; /* grow by what was read */
    uint64_t *bytes;
};

/* Reads the files of keys of a sealed node, and opens its data key with the keyring of the
 * backup's directories. Sets the node's element of backup->keys, or is_shut and wanted, where
 * nothing that was given opens it; what is wrong with a file goes to findings. 0 or an error of our
 * own. */
PST_MUST_USE int backup_open_keys(const struct backup_keys_look *look, uint32_t node_index);

/* Whether each key of the keyring that was given opens what a node wrote: else a backup that is
 * sealed for all of them must not refer to it. Of one that is not sealed, true; of what could not
 * be looked at, false. */
bool backup_opens_to_all(const struct pst_backup *backup, uint32_t node_index);

/* Once all manifests are read: nodes seal together or not at all, the master among them. Whoever
 * can write there must not get in what is not sealed beside what is, nor a decision that no key
 * vouches for: that goes to findings. */
void backup_check_sealing(const struct pst_backup *backup, struct pst_findings *findings);

#endif
