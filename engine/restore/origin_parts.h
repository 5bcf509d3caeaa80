/*
 * From an origin that references name to the parts that hold its bytes. Private to engine/restore/;
 * any thread, but one at a time for one set.
 */
#ifndef PST_ENGINE_RESTORE_ORIGIN_PARTS_H
#define PST_ENGINE_RESTORE_ORIGIN_PARTS_H

#include "engine/format/references.h"
#include "engine/repository/part_map.h"

/* Why what a node wrote of an origin cannot be read: what, PST_MESSAGE_BYTES, names it. 0: it can:
 * *found, in the directories of the backup, and the node's *index there. */
PST_MUST_USE int origin_find(const struct pst_backup *backup, const struct pst_origin *origin,
                             const struct pst_backup **found, uint32_t *index, char *what);

/* Adds the node's parts, which are not mapped, to the set, with this mark as their origin.
 * -ENOMEM. */
PST_MUST_USE int origin_add_parts(struct pst_part_set *set, const struct pst_backup *found,
                                  uint32_t index, uint32_t mark);

#endif
