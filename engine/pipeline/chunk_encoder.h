/*
 * What a pipeline encodes its chunks with. The LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_CHUNK_ENCODER_H
#define PST_ENGINE_PIPELINE_CHUNK_ENCODER_H

#include "engine/format/seal.h"

struct pst_chunk_encoder {
    /* That is configured, which the part's header names. */
    const struct pst_transform *transform;
    /* Chooses one for the next chunk, from its payload; NULL: it is stored as it is. The function
     * may be NULL: it is always the one above. */
    const struct pst_transform *(*choose)(void *context, const void *raw, uint32_t raw_bytes);
    void *context;
    /* By codec, those that decode in steps what it has made; NULL: it makes nothing of that. */
    const struct pst_transform *decoders[PST_CODECS];
    /* By which parts are sealed: the transforms are its own then, and choose is set. NULL: they
     * are not. */
    struct pst_sealed *sealed;
    /* A part begins: sets its key in sealed, and what that comes from in the header. 0 or an
     * error, with which the part fails. */
    int (*seal_part)(void *context, struct pst_part_header *header, struct pst_sealed *sealed);
    void *seal_context;
};

#endif
