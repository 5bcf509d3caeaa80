/*
 * The order of the objects of a backup: by node, source and path, a directory before what is in it.
 * Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_OBJECT_ORDER_H
#define PST_ENGINE_RESTORE_OBJECT_ORDER_H

#include "engine/restore/objects.h"

/* Sorts objects->listed by node, source and path: a directory before what is in it. Does nothing
 * where that was done before. -PST_E_CORRUPT: two objects of one path; *clash is one of them;
 * -ENOMEM, and no clash. */
PST_MUST_USE int objects_sort(struct objects *objects, const struct object_record **clash);

#endif
