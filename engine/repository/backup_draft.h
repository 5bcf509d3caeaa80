/*
 * What is kept of a backup that was cut off, by the drafts of its nodes. Private to
 * engine/repository.
 */
#ifndef PST_ENGINE_REPOSITORY_BACKUP_DRAFT_H
#define PST_ENGINE_REPOSITORY_BACKUP_DRAFT_H

#include "engine/repository/backup.h"

/* Of a backup without a decision: where nodes have gathered what is whole of it
 * (archive_draft.h), it is PST_BACKUP_CUT_OFF, and cluster, nodes and keys are set as if these were
 * all; else it stays as it is. -ENOMEM, -EMFILE, -ENFILE. */
int backup_read_drafts(struct pst_backup *backup) PST_MUST_USE;

#endif
