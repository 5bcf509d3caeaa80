/*
 * Sources of a backup that are named NODE or NODE/NAME. Private to engine/restore/; one thread.
 */
#ifndef PST_ENGINE_RESTORE_SOURCE_CHOICE_H
#define PST_ENGINE_RESTORE_SOURCE_CHOICE_H

#include "engine/repository/part_map.h"

/* Adds to only, by node index, the bits of the sources that text names. With message
 * (PST_MESSAGE_BYTES): -ENOKEY: there are none; -PST_E_NO_KEY: the node's are sealed; or why the
 * node's manifest could not be had. */
PST_MUST_USE int source_choose(const struct pst_backup *backup, const char *text, uint64_t *only,
                               char *message);

/* Leaves out of a set the parts of nodes of which no source is chosen. */
void source_drop_parts(const uint64_t *only, struct pst_part_set *set);

#endif
