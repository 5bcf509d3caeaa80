/*
 * The files that LDMs have written for the backup in work. For the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_PARTS_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_PARTS_H

#include "engine/repository/archive_state.h"

/* Before the node manifest: backup is the directory of the backup. An error is logged: -ENOENT, or
 * -PST_E_READ_BACK, too if a part is not as its LDM has left it, or the keys are gone. */
PST_MUST_USE int archive_sync_parts(const struct pst_archive *archive, int backup);

#endif
