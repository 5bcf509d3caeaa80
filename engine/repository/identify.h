/*
 * Which backup a directory holds, by whatever of it is whole. Private to engine/repository.
 */
#ifndef PST_ENGINE_REPOSITORY_IDENTIFY_H
#define PST_ENGINE_REPOSITORY_IDENTIFY_H

#include "engine/repository/repository.h"

/* The uid of what the directory of a backup, open as `directory`, holds: by whatever is whole of
 * cluster manifest, node manifest, a part's header. 1; 0: nothing identifies it; or an error: a
 * directory could not be read, or memory or descriptors are out. *is_prepared: no whole cluster
 * manifest is there, but the manifest of a node of several, or one that cannot be read or
 * understood and may be of several. uid: PST_UID_BYTES. */
PST_MUST_USE int identify_backup(struct pst_repository *repository, int directory, uint32_t number,
                                 uint8_t *uid, bool *is_prepared);

#endif
