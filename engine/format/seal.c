/* What is encrypted of chunks, indexes and trailers. Called by chunk.c and part.c, on an LDM's
 * thread. */
#include "engine/format/seal.h"

#include <assert.h>

#include "engine/format/sealed_layout.h"

static struct pst_chunk_tags *tags_of(void *header)
{
    return (struct pst_chunk_tags *)((uint8_t *)header + PST_CHUNK_TAGS_AT);
}

void format_seal_payload(struct pst_sealed *sealed, struct pst_chunk_header *header)
{
    pst_sealed_seal(sealed, header->head.chunk, PST_SEALED_PAYLOAD, NULL, 0,
                    (uint8_t *)header + PST_CHUNK_HEADER_BYTES, header->stored_bytes,
                    tags_of(header)->payload);
}

void format_seal_header(struct pst_sealed *sealed, struct pst_chunk_header *header)
{
    assert(header->cipher != PST_CIPHER_NONE);
    assert(header->pieces_count <= PST_CHUNK_SEALED_PIECES_MAX);
    pst_sealed_seal(sealed, header->head.chunk, PST_SEALED_HEADER, format_bound_of(header),
                    FORMAT_HEADER_BOUND_BYTES, header->pieces, FORMAT_PIECES_BYTES,
                    tags_of(header)->header);
}

void format_seal_trailer(struct pst_sealed *sealed, struct pst_part_trailer *trailer)
{
    pst_sealed_seal(sealed, trailer->head.chunk, PST_SEALED_TRAILER, format_bound_of(trailer),
                    FORMAT_TRAILER_BOUND_BYTES, NULL, 0, trailer->tag);
}
