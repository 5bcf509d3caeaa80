/*
 * Backups that hold bytes of others: from a backup of a list to its origins, and back to those that
 * hold it, so that it is not pruned. For engine/repository/ and engine/restore/; one thread for one
 * list, but for pst_backup_origin.
 */
#ifndef PST_ENGINE_REPOSITORY_BACKUP_ORIGINS_H
#define PST_ENGINE_REPOSITORY_BACKUP_ORIGINS_H

#include "engine/repository/catalog.h"

/* The one of the backup's list that has this uid and number, the usable one of several; NULL: none.
 */
const struct pst_backup *pst_backup_origin(const struct pst_backup *backup,
                                           const uint8_t uid[PST_UID_BYTES], uint32_t number);

/* Bytes of a backup that lie in others. */
uint64_t pst_backup_shared_bytes(const struct pst_backup *backup);

/* Whether what a backup refers to cannot be known: it is of a newer version, or what would say it
 * cannot be read. */
bool pst_backup_has_unknown_origins(const struct pst_backup *backup);

/* Whether a backup has bytes in the other, or may have, where that cannot be known. */
bool pst_backup_refers_to(const struct pst_backup *backup, const struct pst_backup *origin);

/* Whether verify found all of a backup, and what it refers to, whole after it found damage in
 * another. */
bool backup_is_whole_since(const struct pst_backup *backup, const struct pst_backup *damaged);

/* A backup in which verify found damage, and which has bytes in this one, where the damage may be,
 * for this one was not found whole since; NULL: there is none. */
const struct pst_backup *backup_suspected_by(const struct pst_backup_list *list,
                                             const struct pst_backup *backup);

/* Whether verify found damage in a backup which may lie in the other, that it names. */
bool backup_shares_damage(const struct pst_backup *backup, const struct pst_backup *other);

/* Which backups of the list, that are not pruned, refer to this one: "backup 4", "backups 4, 5 and
 * 3 more", "backup 4, or may, for that cannot be read", "". text is PST_MESSAGE_BYTES; returns it.
 */
const char *backup_holders_text(const struct pst_backup *backup, char *text);

/* Adds what its node manifests say to cluster.origins, and that there may be any: a master that has
 * not all of them in its directory, as where nodes have their own, names only some there. */
void backup_gather_origins(struct pst_backup *backup);

/* Of a backup that is prepared, and has no cluster manifest: sets cluster.origins from the
 * manifests of its nodes that can be read, so that prune leaves these alone. -ENOMEM, -EMFILE,
 * -ENFILE. */
int backup_read_origins(struct pst_backup *backup) PST_MUST_USE;

/* Once a list is read and in order: a backup that is whole itself is split where an origin is not
 * in the directories, and damaged where one is: of what nodes wrote there that refer to it.
 * -ENOMEM. */
int backup_judge_origins(struct pst_backup_list *list) PST_MUST_USE;

#endif
