/*
 * The backups in one directory or several: which there are, in what state, and which one an ID
 * names. Nodes that write into directories of their own leave a backup in several: it is the union
 * of what they hold under its uid. Any copy of the cluster manifest will do; of everything else,
 * copies must be the same.
 *
 * Blocking, any thread. Only manifests are read, and the parts' sizes looked at: pst_verify
 * (verify.h) reads the rest. Hostile contents end in a state and a reason, never worse.
 */
#ifndef PST_ENGINE_REPOSITORY_CATALOG_H
#define PST_ENGINE_REPOSITORY_CATALOG_H

#include <stddef.h>

#include "engine/repository/backup.h"

/* Ascending by number, then by when they were started. Stays where it is while it is used. */
struct pst_backup_list {
    struct pst_directories directories;
    struct pst_backup **backups;
    size_t count;
};

/* "complete", "incomplete", "damaged", … Static. */
const char *pst_backup_state_text(enum pst_backup_state state);

/* Reads all backups below count directories; one that is named twice counts once. -errno (-ENOENT,
 * -ENOTDIR, …) if one cannot be read: message (PST_MESSAGE_BYTES) says which; directories without
 * backups are an empty list. The list is the caller's: pst_backup_list_release. */
int pst_backup_list_read(const char *const *paths, uint32_t count, struct pst_backup_list *list,
                         char *message) PST_MUST_USE;
/* The same with keys, which open what is sealed; borrowed for as long as the list. NULL: none. */
int pst_backup_list_read_with(const char *const *paths, uint32_t count,
                              const struct pst_keyring *keyring, struct pst_backup_list *list,
                              char *message) PST_MUST_USE;
void pst_backup_list_release(struct pst_backup_list *list);

/* The second half of it: reads the backups of list->directories, which are open. After an error the
 * list is released. For tests over other storages. */
int catalog_read(struct pst_backup_list *list, char *message) PST_MUST_USE;

/* Whether one was made after the other: two of number, start and GCI say so. A number can be asked
 * for, directories have numbers of their own, and a clock may be set back. Of one that has no
 * cluster manifest the number alone is known. */
bool catalog_is_newer(const struct pst_backup *one, const struct pst_backup *other);

/* Which one is meant where no ID is given. */
enum pst_backup_pick {
    PST_PICK_COMPLETE, /* restore: the newest that is complete, be it partial */
    PST_PICK_DECIDED,  /* verify, show: the same; where there is none, the newest that has a cluster
                          manifest, however damaged */
};

/* The backup in the list that id names: a number, or a prefix of at least 4 digits of a uid, by
 * which alone one that is misnamed is found; NULL: pick. It may be in any state: look. The list
 * keeps it. -PST_E_NO_BACKUP: none, or more than one (directories of two clusters may hold two of
 * one number); message (PST_MESSAGE_BYTES) says which.
 */
int pst_backup_find(const struct pst_backup_list *list, const char *id, enum pst_backup_pick pick,
                    const struct pst_backup **backup, char *message) PST_MUST_USE;

/* Logs which backups were passed over for one that is older, or may be, as the newest that is
 * complete, and why: how many there are. What was never completed is none. */
uint32_t pst_backup_warn_passed_over(const struct pst_backup_list *list,
                                     const struct pst_backup *chosen);

#endif
