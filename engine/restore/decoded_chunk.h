/*
 * A chunk as it was before a codec or cipher encoded it. Private to engine/restore/; one thread.
 */
#ifndef PST_ENGINE_RESTORE_DECODED_CHUNK_H
#define PST_ENGINE_RESTORE_DECODED_CHUNK_H

#include <stdint.h>

#include "engine/format/seal.h"

/* All zeros at the start; released in the end. */
struct decoded_chunk {
    void *buffer;         /* NULL until the first chunk that is encoded */
    uint32_t chunk_bytes; /* of payload that it has room for */
};

/* Sets *chunk to the chunk with its raw payload: buffer itself if that is what it holds, else a
 * copy that lasts until the next call; then buffer is used up. sealed: of its part
 * (part_opener.h); NULL: that is not sealed. buffer: a chunk that has passed pst_chunk_check, of a
 * part with at most this chunk_bytes. -PST_E_CORRUPT, with *damage; -ENOMEM. */
int decoded_chunk_take(struct decoded_chunk *decoded, struct pst_sealed *sealed,
                       uint32_t chunk_bytes, void *buffer, const void **chunk,
                       struct pst_damage *damage) PST_MUST_USE;

void decoded_chunk_release(struct decoded_chunk *decoded);

#endif
