/*
 * Whether the rows of a backup whose chunks are all whole are streams of rows, and whether all
 * shares of all tables are there. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_VERIFY_ROWS_H
#define PST_ENGINE_RESTORE_VERIFY_ROWS_H

#include "engine/restore/objects.h"
#include "engine/restore/scan.h"

/* objects: at least all ROWS and DATABASE objects, sorted. What is wrong goes to findings. Reads
 * the rows once more, in their order. -ECANCELED, or what else kept it from checking. */
int pst_verify_rows(const struct pst_crew *crew, const struct pst_part_set *set,
                    const struct pst_objects *objects, struct pst_findings *findings) PST_MUST_USE;

#endif
