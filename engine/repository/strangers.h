/*
 * Files in the directories of a backup that are no part of it. For engine/restore/.
 */
#ifndef PST_ENGINE_REPOSITORY_STRANGERS_H
#define PST_ENGINE_REPOSITORY_STRANGERS_H

#include "engine/repository/part_map.h"

/* Adds a warning for each file that lies in a directory of the backup and that no manifest names.
 * set: its parts; its manifests are loaded. Blocking. An error: a directory cannot be read. */
PST_MUST_USE int pst_backup_find_strangers(const struct pst_backup *backup,
                                           const struct pst_part_set *set,
                                           struct pst_findings *findings);

#endif
