/*
 * The objects of a backup, found by their paths. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_OBJECT_PATHS_H
#define PST_ENGINE_RESTORE_OBJECT_PATHS_H

#include "engine/restore/crew.h"
#include "engine/restore/objects.h"

/* Enters all that are listed, on the crew's threads. *has_clash: some have one path, of which only
 * one is found. -ENOMEM, or what keeps the crew from working. */
PST_MUST_USE int objects_enter_paths(struct objects *objects, struct crew *crew, bool *has_clash);

/* The object at the first path_bytes of path in the source that `of` is in; NULL: there is none.
 * Any thread, once they are entered. */
const struct object_record *objects_at(const struct objects *objects,
                                       const struct object_record *of, const char *path,
                                       size_t path_bytes);

/* Whether the record is of that object. Any thread, at any time. */
bool object_is_at(const struct object_record *record, const struct object_record *of,
                  const char *path, size_t path_bytes);

#endif
