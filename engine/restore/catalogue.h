/*
 * The catalogues of a backup's parts: gathered into objects, and checked for what a restore needs
 * of them. What verify and restore both ask. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_CATALOGUE_H
#define PST_ENGINE_RESTORE_CATALOGUE_H

#include "engine/repository/part_map.h"
#include "engine/restore/crew.h"
#include "engine/restore/objects.h"

/* Adds the entries of an intact CATALOGUE chunk that are wanted. Any thread. *count: entries read.
 * -PST_E_…: one is not legal, or differs from another one of the same object; it went to findings,
 * and what follows it was not read. -ENOMEM. */
PST_MUST_USE int catalogue_take(struct objects *objects, const struct pst_part_map *part,
                                const void *chunk, struct pst_findings *findings, uint32_t *count);

/* Once all chunks were taken, lists the objects, in the order of their paths (sort) or in any, and
 * enters these. Where nothing is missing from the catalogues (check), it finds objects of one path,
 * of no source, without the directory that they are in, links to what is not there, and, unless
 * objects->only is set, other numbers of objects than the manifests have. Whatever is wrong goes to
 * findings. -PST_E_CORRUPT: two objects of one path are among it, so no tree can be made of them;
 * -ENOMEM, or what keeps the crew from working. */
PST_MUST_USE int catalogue_finish(struct objects *objects, const struct pst_backup *backup,
                                  struct crew *crew, bool sort, bool check,
                                  struct pst_findings *findings);

#endif
