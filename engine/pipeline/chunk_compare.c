/* Hashes the runs of large files and looks for them in a base. Called by chunk_pool.c, on the LDM's
 * thread. */
#include <assert.h>

#include "engine/pipeline/buffers.h"

/* Some 150 us. */
#define STEP_BYTES (256u << 10)

static const struct pst_chunk_piece *piece_of(const struct chunk *chunk)
{
    return &pst_chunk_header_of(chunk->memory)->pieces[0];
}

/* A file that was cut while it was read has less than was asked for. */
static bool is_one_piece(const struct chunk *chunk)
{
    return pst_chunk_pieces_count(chunk->memory) == 1 &&
           piece_of(chunk)->bytes == chunk->payload_bytes;
}

bool chunk_compare_begin(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->encoding;
    assert(!pool->compares);
    if (!pool->sha || !chunk->is_run || !is_one_piece(chunk))
        return false;
    pst_sha_256_begin(pool->sha);
    pool->hashed = 0;
    pool->compares = true;
    return true;
}

static void hash_some(struct chunk_pool *pool, const struct chunk *chunk)
{
    uint32_t left = chunk->payload_bytes - pool->hashed;
    uint32_t bytes = left < STEP_BYTES ? left : STEP_BYTES;
    const uint8_t *payload = pst_chunk_payload_of(chunk->memory);
    pst_sha_256_step(pool->sha, payload + pool->hashed, bytes);
    pool->hashed += bytes;
}

enum chunk_compared chunk_compare_step(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->encoding;
    const struct chunk_comparing *comparing = pool->config.comparing;
    const struct pst_chunk_piece *piece = piece_of(chunk);
    assert(pool->compares);
    if (pool->hashed < chunk->payload_bytes)
        hash_some(pool, chunk);
    if (pool->hashed < chunk->payload_bytes)
        return CHUNK_COMPARES;
    struct chunk_run run = {.object = piece->object,
                            .object_offset = piece->object_offset,
                            .base_object = chunk->base_object,
                            .bytes = piece->bytes};
    pst_sha_256_end(pool->sha, run.hash);
    pool->compares = false;
    if (run.base_object != 0 && comparing->refer(comparing->context, &run))
        return CHUNK_IN_BASE;
    pst_part_note_hash(&pool->part, run.hash, run.object_offset);
    return CHUNK_IS_NEW;
}
