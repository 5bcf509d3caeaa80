/*
 * The base of the backup in work, and what its nodes refer to. Private to engine/repository/;
 * the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_BASE_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_BASE_H

#include "engine/repository/archive_state.h"

/* Whether this node looks for bases. */
bool archive_wants_base(const struct pst_archive *archive);

/* Finds the base of the backup that is being defined (base.h), and names it in the manifest. */
PST_MUST_USE int archive_find_base(struct pst_archive *archive);

/* Enters in the manifest what was referred to. -ENOENT, or another error, which is logged: some of
 * it is not there any more. */
PST_MUST_USE int archive_end_base(struct pst_archive *archive);

/* Adds up, in the cluster manifest, the origins of all nodes whose manifests lie in the directory
 * of the backup, which is open; those of others, with directories of their own, are in theirs
 * alone. */
void archive_add_origins(struct pst_archive *archive, int directory);

/* Reports to on_referred what the nodes of the backup in work refer to. */
void archive_report_referred(const struct pst_archive *archive, int directory);

#endif
