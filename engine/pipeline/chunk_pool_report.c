/* What a pool has written, and whether it is done. Called by pipeline.c, on the LDM's thread. */
#include "engine/pipeline/buffers.h"
#include "engine/pipeline/chunk_pool.h"

struct pst_part_sums chunk_pool_sums(const struct chunk_pool *pool)
{
    return pool->part.sums;
}

struct pst_reference_sums chunk_pool_references(const struct chunk_pool *pool)
{
    return (struct pst_reference_sums){pool->part.references, pool->part.referenced_bytes};
}

const uint64_t *chunk_pool_codec_chunks(const struct chunk_pool *pool)
{
    return pool->part.codec_chunks;
}

int chunk_pool_take_error(struct chunk_pool *pool, const char **step)
{
    int error = pool->error;
    pool->error = 0;
    *step = pool->failed_step;
    return error;
}

bool chunk_pool_is_idle(const struct chunk_pool *pool)
{
    for (uint32_t i = 0; i <= pool->buffers; i++) {
        switch (pool->chunks[i].place) {
        case CHUNK_FILLING:
        case CHUNK_READING:
        case CHUNK_READY:
        case CHUNK_ENCODING:
        case CHUNK_WRITING:
            return false;
        default: /* it waits for nothing */
            break;
        }
    }
    return !pool->block_is_written;
}
