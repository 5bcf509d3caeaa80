/*
 * What a pipeline encodes its chunks with. The LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_CHUNK_ENCODER_H
#define PST_ENGINE_PIPELINE_CHUNK_ENCODER_H

#include "engine/transform/transform.h"

struct pst_chunk_encoder {
    /* That is configured, which the part's header names. */
    const struct pst_transform *transform;
    /* Chooses one for the next chunk, from its payload; NULL: it is stored as it is. The function
     * may be NULL: it is always the one above. */
    const struct pst_transform *(*choose)(void *context, const void *raw, uint32_t raw_bytes);
    void *context;
};

#endif
