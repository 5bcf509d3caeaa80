/*
 * Prune: removes backups. docs/adr/0019-collected-backups.md has the reasons.
 *
 *     pst_backup_list_read; pst_prune_lock; pst_prune for each; pst_prune_sweep
 *
 * In each directory BACKUP-<number> is first renamed to ".BACKUP-<number>.<uid>.pruned", durably,
 * and so is gone for all, in all directories, before anything of it is removed: whatever is cut
 * off, no half of it looks complete, and pst_prune_sweep ends it another time. Nodes may be at work
 * in the directories. Blocking; one thread.
 */
#ifndef PST_ENGINE_REPOSITORY_PRUNE_H
#define PST_ENGINE_REPOSITORY_PRUNE_H

#include "engine/repository/catalog.h"

/* The directories in which no other process writes backups, as bits: there, what is incomplete is
 * debris, and a mark stale. Locked until the list is released or pst_prune_sweep. -PST_E_BUSY: a
 * backup is being written into one by a process that has it for itself; message says which. */
int pst_prune_lock(struct pst_backup_list *list, uint64_t *idle, char *message) PST_MUST_USE;

/* Removes a backup of the list from sight; only_look: only finds out whether it could. Then the
 * list takes it for pruned. -PST_E_BUSY        a node is at work on it, or may be; it is being read
 *   -PST_E_PINNED      it is pinned (pin.h)
 *   -PST_E_REFERRED    others of the list have data in it, and have not been pruned
 *   -PST_E_INCOMPLETE  it is in doubt
 *   -PST_E_NEWER       only a newer Penstock knows what hangs on it
 *   -ENOTEMPTY         something in its directory is not the backup's
 *   -PST_E_CHANGED     it is not what it was when the list was read
 *   -errno             it could not be renamed somewhere, and was put back elsewhere
 * message (PST_MESSAGE_BYTES) says more. */
int pst_prune(const struct pst_backup *backup, uint64_t idle, bool only_look,
              char *message) PST_MUST_USE;

/* How far a sweep is, in backups. Called after each thing that was removed; on its thread. */
typedef void pst_prune_progress(void *context, uint64_t removed, uint64_t all);

/* Unlocks the directories and removes from the disk what was pruned, now or earlier. on_progress:
 * NULL, or called with context. */
int pst_prune_sweep(struct pst_backup_list *list, pst_prune_progress *on_progress, void *context,
                    char *message) PST_MUST_USE;

#endif
