/*
 * The objects that options->paths and options->tables choose, and the chunks that hold their data.
 * Private to engine/restore/; called on the restore's thread, but restore_wants_chunk.
 */
#ifndef PST_ENGINE_RESTORE_RESTORE_SELECT_H
#define PST_ENGINE_RESTORE_RESTORE_SELECT_H

#include "engine/restore/restore_run.h"

/* Reads the catalogues into run->objects: what is chosen, by the names that it gets; and marks its
 * sources in run->filled. -ENOKEY, with its message: the backup has nothing that one of them names,
 * or options->strip leaves nothing of a name. */
PST_MUST_USE int restore_select(struct restore_run *run);

/* From now on, until they are forgotten, only chunks are read that may have data of run->objects,
 * which are listed. -ENOMEM. */
PST_MUST_USE int restore_list_ids(struct restore_run *run);
void restore_forget_ids(struct restore_run *run);

/* As chunk_reading.wants. */
bool restore_wants_chunk(void *context, const struct pst_part_map *part,
                         const struct pst_index_entry *entry);

#endif
