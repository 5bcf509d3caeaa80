/*
 * Tells what this node has left of a backup from what somebody copies into its directory. The
 * archive's thread, by archive_sweep.c.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_COPIED_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_COPIED_H

#include "engine/repository/archive_files.h"

/* Whether the directory of a backup, that is open, is younger than what this node has written in
 * it. node: this node's manifest there. False where that cannot be known. */
bool archive_is_copied(const struct pst_archive *archive, int backup, uint32_t number,
                       const struct archive_file *node);

#endif
