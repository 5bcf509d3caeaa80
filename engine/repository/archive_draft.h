/*
 * Drafts: what a node notes of a backup before it writes it, so that, if it is cut off, the next
 * backup can refer to what is whole of it. docs/adr/0046-cut-off-backups.md. Private to
 * engine/repository; the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_DRAFT_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_DRAFT_H

#include "engine/repository/archive_state.h"

/* Writes the draft of the backup in work, durably, into its directory, if it is one whose leftovers
 * could be used. One that is sealed is sealed itself, and its files of keys are there. */
PST_MUST_USE int archive_write_draft(struct pst_archive *archive);

/* Ends the parts of backups of the same series that were cut off, where the one that is defined is
 * to have a base; what is wrong with one is logged, and it stays as it is. An error of our own. */
PST_MUST_USE int archive_gather_drafts(const struct pst_archive *archive);

/* Removes what this node's drafts are of, but for what was gathered. -ENOMEM; what else fails is
 * logged. */
PST_MUST_USE int archive_remove_drafts(const struct pst_archive *archive);

#endif
