/*
 * References to a base, brought into REFERENCES chunks of a pool. Private to engine/pipeline/; the
 * LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_REFERENCE_CHUNKS_H
#define PST_ENGINE_PIPELINE_REFERENCE_CHUNKS_H

#include "engine/pipeline/chunk_pool.h"
#include "engine/repository/base.h"
#include "penstock/fragment.h"

/* Enters the reference to a run that was compared, and counts it as used, at its place wherever
 * that is in the chunk that has begun: for another chunk there may be no buffer, since the run's
 * own waits, and so do those that are read. false: there is none. */
bool references_put_run(struct chunk_pool *pool, struct pst_base *base,
                        const struct pst_reference *reference);

/* How far a fragment's are entered. */
struct references_done {
    uint32_t files;
    uint64_t references; /* of the file behind these */
};

/* Enters those of all files of a fragment that are in the base, from *done on; a bounded number,
 * which is returned: 0: no buffer is free now, or all are entered (done->files). base: as of the
 * pipeline. */
uint32_t references_put_some(struct chunk_pool *pool, struct pst_base *const *base,
                             const struct pst_fragment_descriptor *fragment,
                             struct references_done *done);

#endif
