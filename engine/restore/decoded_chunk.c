/* Decodes a chunk into a buffer that is there only if it is needed. Called by whoever reads chunks:
 * the workers of chunk_reader.c, and row_reading.c. */
#include "engine/restore/decoded_chunk.h"

#include <errno.h>
#include <stdlib.h>

/* Anew, where there is one for smaller chunks: an origin may have larger ones than the backup. */
static int make(struct decoded_chunk *decoded, uint32_t chunk_bytes)
{
    decoded_chunk_release(decoded);
    decoded->buffer = aligned_alloc(PST_BLOCK_BYTES, PST_CHUNK_HEADER_BYTES + (size_t)chunk_bytes);
    if (!decoded->buffer)
        return -ENOMEM;
    decoded->chunk_bytes = chunk_bytes;
    return 0;
}

int decoded_chunk_take(struct decoded_chunk *decoded, struct pst_sealed *sealed,
                       uint32_t chunk_bytes, void *buffer, const void **chunk,
                       struct pst_damage *damage)
{
    *chunk = buffer;
    if (!sealed && !pst_chunk_is_encoded(buffer))
        return 0;
    int error = decoded->chunk_bytes < chunk_bytes ? make(decoded, chunk_bytes) : 0;
    if (error)
        return error;
    *chunk = decoded->buffer;
    if (sealed)
        return pst_chunk_open(sealed, buffer, decoded->buffer, chunk_bytes, damage);
    return pst_chunk_decode(buffer, decoded->buffer, chunk_bytes, damage);
}

void decoded_chunk_release(struct decoded_chunk *decoded)
{
    free(decoded->buffer);
    *decoded = (struct decoded_chunk){0};
}
