/* A chunk as those see it who fill it. Called by fragment_scan.c and reference_chunks.c, on the
 * LDM's thread. */
#include <assert.h>

#include "engine/pipeline/buffers.h"

uint32_t chunk_number(const struct chunk *chunk)
{
    return chunk->number;
}

uint32_t chunk_payload_bytes(const struct chunk *chunk)
{
    return chunk->payload_bytes;
}

uint32_t chunk_room(const struct chunk *chunk)
{
    return chunk->pool->config.chunk_bytes - chunk->payload_bytes;
}

void *chunk_end(const struct chunk *chunk)
{
    return (char *)chunk->memory + PST_CHUNK_HEADER_BYTES + chunk->payload_bytes;
}

void chunk_add(struct chunk *chunk, uint32_t bytes)
{
    assert(bytes <= chunk_room(chunk));
    chunk->payload_bytes += bytes;
}

void chunk_align(struct chunk *chunk)
{
    uint32_t end = chunk->payload_bytes + PST_BLOCK_BYTES - 1;
    chunk->payload_bytes = end - end % PST_BLOCK_BYTES;
    assert(chunk->payload_bytes <= chunk->pool->config.chunk_bytes);
}

uint32_t chunk_add_piece(struct chunk *chunk, bool is_rows, uint64_t object, uint64_t object_offset,
                         uint32_t bytes)
{
    const struct pst_chunk_piece piece = {
        .object = object,
        .object_offset = object_offset,
        .payload_offset = chunk->payload_bytes,
        .bytes = bytes,
    };
    int error = pst_chunk_add_piece(chunk->memory, &piece);
    assert(!error); /* chunk_pool_fill() saw to it */
    pst_chunk_note_rows(chunk->memory, is_rows);
    chunk_add(chunk, bytes);
    return pst_chunk_pieces_count(chunk->memory) - 1;
}

void chunk_begin_read(struct chunk *chunk)
{
    chunk->reads++;
}

void chunk_note_run(struct chunk *chunk, uint64_t base_object)
{
    chunk->is_run = true;
    chunk->base_object = base_object;
}
