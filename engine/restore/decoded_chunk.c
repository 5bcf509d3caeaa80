/* Decodes a chunk into a buffer that is there only if it is needed. Called by whoever reads chunks:
 * the workers of chunk_reader.c, and row_reading.c. */
#include "engine/restore/decoded_chunk.h"

#include <errno.h>
#include <stdlib.h>

int decoded_chunk_take(struct decoded_chunk *decoded, struct pst_sealed *sealed,
                       uint32_t chunk_bytes, void *buffer, const void **chunk,
                       struct pst_damage *damage)
{
    *chunk = buffer;
    if (!sealed && !pst_chunk_is_encoded(buffer))
        return 0;
    if (!decoded->buffer)
        decoded->buffer =
            aligned_alloc(PST_BLOCK_BYTES, PST_CHUNK_HEADER_BYTES + (size_t)chunk_bytes);
    if (!decoded->buffer)
        return -ENOMEM;
    *chunk = decoded->buffer;
    if (sealed)
        return pst_chunk_open(sealed, buffer, decoded->buffer, chunk_bytes, damage);
    return pst_chunk_decode(buffer, decoded->buffer, chunk_bytes, damage);
}

void decoded_chunk_release(struct decoded_chunk *decoded)
{
    free(decoded->buffer);
    decoded->buffer = NULL;
}
