#include <assert.h>
#include <string.h>

#include "engine/pipeline/pipeline_internal.h"

/* In memory, what waits to be written gains no time but loses its place in the processor's cache.
 */
static bool must_wait(const struct pst_pipeline *pipeline)
{
    return pipeline->part_file.in_memory && pipeline->writes >= WRITES_IN_MEMORY_MAX;
}

struct chunk *chunk_take(struct pst_pipeline *pipeline, enum pst_chunk_type type)
{
    struct chunk *chunk = pipeline->free_chunks;
    if (!chunk || must_wait(pipeline))
        return NULL;
    pipeline->free_chunks = chunk->next;
    chunk->next = NULL;
    chunk->payload_bytes = 0;
    chunk->reads = 0;
    chunk->is_closed = false;
    chunk->is_index = type == PST_CHUNK_INDEX;
    if (type != PST_CHUNK_INDEX)
        pst_chunk_begin(chunk->memory, type);
    return chunk;
}

void chunk_put_back(struct chunk *chunk)
{
    struct pst_pipeline *pipeline = chunk->pipeline;
    chunk->next = pipeline->free_chunks;
    pipeline->free_chunks = chunk;
}

uint32_t chunk_room(const struct chunk *chunk)
{
    return chunk->pipeline->config.chunk_bytes - chunk->payload_bytes;
}

void *chunk_payload(const struct chunk *chunk)
{
    return (char *)chunk->memory + PST_CHUNK_HEADER_BYTES + chunk->payload_bytes;
}

static void queue_if_complete(struct chunk *chunk)
{
    struct pst_pipeline *pipeline = chunk->pipeline;
    if (!chunk->is_closed || chunk->reads > 0)
        return;
    if (chunk->payload_bytes == 0 || pipeline->halted) {
        chunk_put_back(chunk);
        return;
    }
    chunk->next = NULL;
    if (pipeline->ready_last)
        pipeline->ready_last->next = chunk;
    else
        pipeline->ready = chunk;
    pipeline->ready_last = chunk;
    chunk_write_ready(pipeline);
}

/* Nothing more is added: it is written once its reads are done. */
void chunk_close(struct chunk *chunk)
{
    assert(!chunk->is_closed);
    chunk->is_closed = true;
    queue_if_complete(chunk);
}

void chunk_read_done(struct chunk *chunk)
{
    assert(chunk->reads > 0);
    chunk->reads--;
    queue_if_complete(chunk);
}

static void on_written(struct pst_io_op *op, int result)
{
    struct chunk *chunk = PST_IO_OP_OF(op, struct chunk, op);
    struct pst_pipeline *pipeline = chunk->pipeline;
    pipeline->writes--;
    if (result < 0)
        pipeline_fail(pipeline, -result, "write");
    if (chunk->is_index && !pipeline->spare_index)
        pipeline->spare_index = chunk;
    else
        chunk_put_back(chunk);
    pipeline_moved(pipeline);
}

static void write_out(struct pst_pipeline *pipeline, struct chunk *chunk,
                      struct pst_part_place place)
{
    pipeline->writes++;
    chunk->op.done = on_written;
    pst_part_write(&pipeline->part_file, &chunk->op, chunk->memory, (uint32_t)place.bytes,
                   place.file_offset, chunk->buffer_index);
}

/* The index gathered so far goes to the file. */
void chunk_write_index(struct pst_pipeline *pipeline)
{
    struct chunk *full = pipeline->index;
    pipeline->index = NULL;
    write_out(pipeline, full, pst_part_seal_index(&pipeline->part));
}

static void take_spare_index(struct pst_pipeline *pipeline)
{
    pipeline->index = pipeline->spare_index;
    pipeline->spare_index = NULL;
    pst_part_attach_index(&pipeline->part, pipeline->index->memory);
}

/* Seals what is complete, in order; that gives it its number and its place in the file. */
void chunk_write_ready(struct pst_pipeline *pipeline)
{
    while (pipeline->ready) {
        struct chunk *chunk = pipeline->ready;
        if (pst_part_index_is_full(&pipeline->part)) {
            if (!pipeline->spare_index)
                return; /* the index before it is still being written */
            chunk_write_index(pipeline);
            take_spare_index(pipeline);
        }
        pipeline->ready = chunk->next;
        if (!pipeline->ready)
            pipeline->ready_last = NULL;
        if (pipeline->error != 0 || pipeline->halted) {
            chunk_put_back(chunk);
            continue;
        }
        write_out(pipeline, chunk,
                  pst_part_seal_chunk(&pipeline->part, chunk->memory, chunk->payload_bytes));
    }
}
