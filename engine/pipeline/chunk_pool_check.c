/* The invariants of a chunk pool. Called between the steps of a pipeline, in all builds, on the
 * LDM's thread. */
#include <assert.h>

#include "engine/pipeline/buffers.h"

static uint32_t length_of(const struct chunk *chunk, enum chunk_place place)
{
    uint32_t length = 0;
    for (; chunk; chunk = chunk->next) {
        assert(chunk->place == place);
        length++;
    }
    return length;
}

static void check_chunk(const struct chunk *chunk)
{
    bool takes_bytes = chunk->place == CHUNK_FILLING || chunk->place == CHUNK_READING;
    assert(chunk->reads == 0 || takes_bytes);
    assert(chunk->place != CHUNK_READING || chunk->reads > 0);
    assert(!takes_bytes || chunk->reads <= pst_chunk_pieces_count(chunk->memory));
    assert(chunk->payload_bytes <= chunk->pool->config.chunk_bytes);
    assert(chunk->place != CHUNK_FILLING || chunk->pool->filling[chunk->type] == chunk);
}

uint32_t chunk_pool_check(const struct chunk_pool *pool)
{
    uint32_t counts[CHUNK_PLACES] = {0}, reads = 0;
    for (uint32_t i = 0; i <= pool->buffers; i++) {
        check_chunk(&pool->chunks[i]);
        counts[pool->chunks[i].place]++;
        reads += pool->chunks[i].reads;
    }
    assert(counts[CHUNK_FREE] == length_of(pool->free, CHUNK_FREE));
    assert(counts[CHUNK_FREE] == pool->free_count);
    assert(counts[CHUNK_READY] == length_of(pool->ready, CHUNK_READY));
    assert(!pool->ready == !pool->ready_last);
    assert(counts[CHUNK_FILLING] == (uint32_t) !!pool->filling[PST_CHUNK_DATA] +
                                        !!pool->filling[PST_CHUNK_CATALOGUE] +
                                        !!pool->filling[PST_CHUNK_REFERENCES]);
    assert(counts[CHUNK_WRITING] == pool->writes);
    assert(counts[CHUNK_INDEX] == (pool->index ? 1 : 0));
    assert(counts[CHUNK_SPARE] == (pool->spare ? 1 : 0));
    assert(counts[CHUNK_SUMS] == (pool->sums->place == CHUNK_SUMS ? 1 : 0));
    assert(counts[CHUNK_OUTPUT] == (pool->output ? 1 : 0));
    assert(counts[CHUNK_ENCODING] == (pool->encoding ? 1 : 0));
    assert(!pool->encoding || pool->compares || pool->output);
    assert(!pool->compares || (pool->encoding && pool->sha));
    assert(counts[CHUNK_LENT] <= 2);
    assert(!pool->drops || (!pool->ready && !pool->encoding));
    return reads;
}
