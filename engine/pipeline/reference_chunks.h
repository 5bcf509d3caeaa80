/*
 * References to a base, brought into REFERENCES chunks of a pool. Private to engine/pipeline/; the
 * LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_REFERENCE_CHUNKS_H
#define PST_ENGINE_PIPELINE_REFERENCE_CHUNKS_H

#include "engine/pipeline/chunk_pool.h"
#include "engine/repository/base.h"
#include "penstock/fragment.h"

/* Enters a reference, and counts it as used. false: no buffer is free now. */
bool references_put(struct chunk_pool *pool, struct pst_base *base,
                    const struct pst_reference *reference);

/* The same of all files of a fragment that are in the base, from *done on. base: as of the
 * pipeline.
 */
bool references_put_all(struct chunk_pool *pool, struct pst_base *const *base,
                        const struct pst_fragment_descriptor *fragment, uint32_t *done);

#endif
