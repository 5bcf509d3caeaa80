/*
 * The runs of large files, each in a chunk of its own. Private to engine/pipeline/; the LDM's
 * thread.
 */
#ifndef PST_ENGINE_PIPELINE_SCAN_RUNS_H
#define PST_ENGINE_PIPELINE_SCAN_RUNS_H

#include "engine/pipeline/chunk_pool.h"
#include "engine/pipeline/scans.h"
#include "engine/repository/base.h"

/* Whether an extent is long enough to be cut into runs, which begin at multiples of the chunk size
 * in any backup. */
bool scan_has_runs(const struct scan *scan, const struct pst_fragment_extent *extent);

/* A chunk of its own for the next bytes of an extent that has runs, and how many these are. NULL:
 * no buffer is free. */
struct chunk *scan_fill_run(struct scan *scan, const struct pst_fragment_extent *extent,
                            uint32_t *bytes);

#endif
