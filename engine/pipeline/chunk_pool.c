/* Buffers, each in exactly one place, and the part they are sealed into. Called by
 * fragment_scan.c, which fills them, and by pipeline.c, on the LDM's thread. */
#include "engine/pipeline/chunk_pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/pipeline/buffers.h"

/* Buffers beside the depth chunks: the index, its spare while the last one is being written, and
 * the catalogue. */
#define EXTRA_BUFFERS 3u
/* And a small one, which is no fixed buffer of the ring, for the checksums of objects. */
#define SUMS_BYTES PST_CHUNK_BYTES_MIN

/* Where there are bases, a catalogue goes to the file after so many chunks of data, full or not: if
 * the backup is cut off, the data is of no use without the entry (docs/adr/0046). */
#define UNCATALOGUED_MAX 16u
#define WRITES_IN_MEMORY_MAX 1u

static size_t buffer_bytes(uint32_t chunk_bytes)
{
    return PST_CHUNK_HEADER_BYTES + (size_t)chunk_bytes;
}

size_t chunk_pool_memory_bytes(uint32_t chunk_bytes, uint32_t depth)
{
    return PST_BLOCK_BYTES + (depth + EXTRA_BUFFERS) * buffer_bytes(chunk_bytes) +
           buffer_bytes(SUMS_BYTES);
}

static void move(struct chunk *chunk, enum chunk_place from, enum chunk_place to)
{
    assert(chunk->place == from);
    chunk->place = to;
}

static void give_back(struct chunk *chunk, enum chunk_place from)
{
    struct chunk_pool *pool = chunk->pool;
    move(chunk, from, CHUNK_FREE);
    chunk->next = pool->free;
    pool->free = chunk;
    pool->free_count++;
}

static struct chunk *take(struct chunk_pool *pool, enum pst_chunk_type type, enum chunk_place to)
{
    struct chunk *chunk = pool->free;
    if (!chunk)
        return NULL;
    pool->free = chunk->next;
    pool->free_count--;
    move(chunk, CHUNK_FREE, to);
    chunk->next = NULL;
    chunk->type = type;
    chunk->payload_bytes = 0;
    chunk->is_run = false;
    return chunk;
}

static void set_up_buffers(struct chunk_pool *pool)
{
    char *memory = (char *)pool->config.memory + PST_BLOCK_BYTES;
    pool->block = pool->config.memory;
    for (uint32_t i = pool->buffers; i-- > 0;) { /* the first ones are taken first */
        struct chunk *chunk = &pool->chunks[i];
        chunk->pool = pool;
        chunk->memory = memory + i * buffer_bytes(pool->config.chunk_bytes);
        chunk->number = i;
        give_back(chunk, CHUNK_FREE);
    }
    pool->sums = &pool->chunks[pool->buffers];
    *pool->sums = (struct chunk){
        .pool = pool,
        .memory = memory + pool->buffers * buffer_bytes(pool->config.chunk_bytes),
        .number = pool->buffers,
        .type = PST_CHUNK_DATA,
        .place = CHUNK_SUMS,
    };
}

static int register_buffers(struct chunk_pool *pool)
{
    struct iovec *buffers = calloc(pool->buffers, sizeof(*buffers));
    if (!buffers)
        return -ENOMEM;
    for (uint32_t i = 0; i < pool->buffers; i++) {
        buffers[i].iov_base = pool->chunks[i].memory;
        buffers[i].iov_len = buffer_bytes(pool->config.chunk_bytes);
    }
    pst_ring_register_buffers(pool->config.ring, buffers, pool->buffers);
    free(buffers);
    return 0;
}

int chunk_pool_create(const struct chunk_pool_config *config, struct chunk_pool **pool)
{
    int error = -ENOMEM;
    struct chunk_pool *made = calloc(1, sizeof(*made));
    if (!made)
        return error;
    made->config = *config;
    made->buffers = config->depth + EXTRA_BUFFERS;
    made->chunks = calloc(made->buffers + 1, sizeof(*made->chunks));
    if (!made->chunks)
        goto err_after_pool;
    set_up_buffers(made);
    error = register_buffers(made);
    if (!error && config->comparing)
        error = pst_sha_256_create(&made->sha);
    if (error)
        goto err_after_chunks;
    *pool = made;
    return 0;

err_after_chunks:
    free(made->chunks);
err_after_pool:
    free(made);
    return error;
}

void chunk_pool_destroy(struct chunk_pool *pool)
{
    if (!pool)
        return;
    assert(chunk_pool_is_idle(pool));
    if (pool->sha)
        pst_sha_256_destroy(pool->sha);
    free(pool->chunks);
    free(pool);
}

uint32_t chunk_pool_chunk_bytes(const struct chunk_pool *pool)
{
    return pool->config.chunk_bytes;
}

uint32_t chunk_pool_buffers(const struct chunk_pool *pool)
{
    return pool->buffers;
}

static void on_written(struct pst_io_op *op, int result);
static void close_filling(struct chunk_pool *pool, enum pst_chunk_type type);

static void write_out(struct chunk_pool *pool, struct chunk *chunk, enum chunk_place from,
                      struct pst_part_place place)
{
    move(chunk, from, CHUNK_WRITING);
    pool->writes++;
    chunk->op.done = on_written;
    int buffer_index = chunk == pool->sums ? -1 : (int)chunk->number;
    pst_io_part_write(pool->config.file, &chunk->op, chunk->memory, (uint32_t)place.bytes,
                      place.file_offset, buffer_index);
}

/* The index gathered so far goes to the file. */
static void write_index(struct chunk_pool *pool)
{
    struct chunk *full = pool->index;
    pool->index = NULL;
    write_out(pool, full, CHUNK_INDEX, pst_part_seal_index(&pool->part));
}

static void begin_index(struct chunk_pool *pool)
{
    pool->index = pool->spare;
    pool->spare = NULL;
    move(pool->index, CHUNK_SPARE, CHUNK_INDEX);
    pst_part_attach_index(&pool->part, pool->index->memory);
}

/* Whether the index has room for another chunk. */
static bool have_index(struct chunk_pool *pool)
{
    if (!pst_part_index_is_full(&pool->part))
        return true;
    if (!pool->spare)
        return false; /* the index before it is still being written */
    write_index(pool);
    begin_index(pool);
    return true;
}

/* The index must have room for it. */
static void write_sums(struct chunk_pool *pool)
{
    write_out(pool, pool->sums, CHUNK_SUMS, pst_part_seal_sums(&pool->part));
}

/* Whether the checksums of another chunk's objects have room. */
static bool have_sums(struct chunk_pool *pool)
{
    if (pool->sums->place == CHUNK_SUMS && pst_part_sums_are_full(&pool->part) && have_index(pool))
        write_sums(pool);
    return pool->sums->place == CHUNK_SUMS && !pst_part_sums_are_full(&pool->part);
}

static struct chunk *take_ready(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->ready;
    pool->ready = chunk->next;
    if (!pool->ready)
        pool->ready_last = NULL;
    return chunk;
}

/* The transform of the next chunk; NULL: it is stored as it is. */
static const struct pst_transform *transform_of(const struct chunk_pool *pool,
                                                const struct chunk *chunk)
{
    const struct pst_chunk_encoder *encoder = pool->config.encoder;
    if (!pool->output)
        return NULL;
    if (!encoder->choose)
        return encoder->transform;
    return encoder->choose(encoder->context, pst_chunk_payload_of(chunk->memory),
                           chunk->payload_bytes);
}

static void seal_as_it_is(struct chunk_pool *pool, struct chunk *chunk, enum chunk_place from)
{
    write_out(pool, chunk, from,
              pst_part_seal_chunk(&pool->part, chunk->memory, chunk->payload_bytes));
}

/* Or begins to encode it. */
static void seal(struct chunk_pool *pool, struct chunk *chunk)
{
    const struct pst_transform *transform = transform_of(pool, chunk);
    if (!transform) {
        pool->encoding = NULL;
        seal_as_it_is(pool, chunk, CHUNK_ENCODING);
        return;
    }
    pst_part_begin_encoding(&pool->part, transform, chunk->memory, chunk->payload_bytes,
                            pool->output->memory);
}

/* Seals what is complete, in order; that gives it its number and its place in the file. What is to
 * be compared or encoded is sealed by the last step of that, and all else waits for it. */
static void write_ready(struct chunk_pool *pool)
{
    while (pool->ready && !pool->drops && !pool->encoding) {
        if (!have_sums(pool) || !have_index(pool))
            return; /* the end of a write lets it go on */
        struct chunk *chunk = take_ready(pool);
        move(chunk, CHUNK_READY, CHUNK_ENCODING);
        pool->encoding = chunk;
        if (!chunk_compare_begin(pool))
            seal(pool, chunk);
    }
}

/* What has been encoded takes the output's place, and is written in its own. */
static void write_encoded(struct chunk_pool *pool, struct chunk *chunk, struct pst_part_place place)
{
    struct chunk *output = pool->output;
    output->type = chunk->type;
    output->payload_bytes = chunk->payload_bytes;
    pool->output = chunk;
    move(chunk, CHUNK_ENCODING, CHUNK_OUTPUT);
    write_out(pool, output, CHUNK_OUTPUT, place);
}

/* What a base has is given back; all else is sealed. */
static void compare(struct chunk_pool *pool, struct chunk *chunk)
{
    switch (chunk_compare_step(pool)) {
    case CHUNK_COMPARES:
        return;
    case CHUNK_IN_BASE:
        pool->encoding = NULL;
        give_back(chunk, CHUNK_ENCODING);
        if (pool->is_flushed)
            close_filling(pool, PST_CHUNK_REFERENCES);
        break;
    case CHUNK_IS_NEW:
        seal(pool, chunk);
    }
    write_ready(pool);
}

bool chunk_pool_encode(struct chunk_pool *pool)
{
    struct pst_part_place place;
    struct chunk *chunk = pool->encoding;
    if (!chunk)
        return false;
    if (pool->compares) {
        compare(pool, chunk);
        return true;
    }
    enum pst_encoded end = pst_part_encode(&pool->part, &place);
    if (end == PST_ENCODE_MORE)
        return true;
    pool->encoding = NULL;
    if (end == PST_ENCODED)
        write_encoded(pool, chunk, place);
    else
        seal_as_it_is(pool, chunk, CHUNK_ENCODING);
    write_ready(pool);
    return true;
}

static void drop_ready(struct chunk_pool *pool)
{
    pool->drops = true;
    while (pool->ready)
        give_back(take_ready(pool), CHUNK_READY);
    if (!pool->encoding)
        return;
    if (!pool->compares)
        pst_part_leave_encoding(&pool->part);
    pool->compares = false;
    give_back(pool->encoding, CHUNK_ENCODING);
    pool->encoding = NULL;
}

static void note_error(struct chunk_pool *pool, int error, const char *step)
{
    if (!pool->error) {
        pool->error = error;
        pool->failed_step = step;
    }
    drop_ready(pool);
}

static void on_written(struct pst_io_op *op, int result)
{
    struct chunk *chunk = PST_IO_OP_OF(op, struct chunk, op);
    struct chunk_pool *pool = chunk->pool;
    pool->writes--;
    if (chunk == pool->sums) {
        move(chunk, CHUNK_WRITING, CHUNK_SUMS);
        pst_part_attach_sums(&pool->part, chunk->memory, SUMS_BYTES);
    } else if (chunk->type == PST_CHUNK_INDEX && !pool->spare) {
        move(chunk, CHUNK_WRITING, CHUNK_SPARE);
        pool->spare = chunk;
    } else {
        give_back(chunk, CHUNK_WRITING);
    }
    if (result < 0)
        note_error(pool, result, "write");
    write_ready(pool);
}

static void end_filling(struct chunk *chunk, enum chunk_place from)
{
    struct chunk_pool *pool = chunk->pool;
    if (chunk->payload_bytes == 0 || pool->drops) {
        give_back(chunk, from);
        return;
    }
    move(chunk, from, CHUNK_READY);
    chunk->next = NULL;
    if (pool->ready_last)
        pool->ready_last->next = chunk;
    else
        pool->ready = chunk;
    pool->ready_last = chunk;
    write_ready(pool);
}

/* Nothing more is added to the chunk that is being filled, if there is one. */
static void close_filling(struct chunk_pool *pool, enum pst_chunk_type type)
{
    struct chunk *chunk = pool->filling[type];
    if (!chunk)
        return;
    if (type == PST_CHUNK_CATALOGUE)
        pool->uncatalogued = 0;
    else if (pool->sha && type == PST_CHUNK_DATA && ++pool->uncatalogued >= UNCATALOGUED_MAX)
        close_filling(pool, PST_CHUNK_CATALOGUE);
    pool->filling[type] = NULL;
    if (chunk->reads > 0)
        move(chunk, CHUNK_FILLING, CHUNK_READING);
    else
        end_filling(chunk, CHUNK_FILLING);
}

void chunk_end_read(struct chunk *chunk, uint32_t piece, uint32_t bytes)
{
    assert(chunk->reads > 0);
    pst_chunk_piece_at(chunk->memory, piece)->bytes = bytes;
    chunk->reads--;
    if (chunk->reads == 0 && chunk->place == CHUNK_READING)
        end_filling(chunk, CHUNK_READING);
}

/* By the pace, the pool is as if it had been made with fewer chunks; where chunks are compared, one
 * is for references, and stays beside these. */
static bool is_deep_enough(const struct chunk_pool *pool)
{
    uint32_t depth = pst_pace_depth(pool->config.pace);
    uint32_t made = pool->config.depth - (pool->sha ? 1 : 0);
    return depth < made && pool->free_count <= made - depth;
}

/* In memory, what waits to be written gains no time but loses its place in the processor's cache.
 */
static bool must_wait_for_writes(const struct chunk_pool *pool)
{
    if (is_deep_enough(pool))
        return true;
    return pool->config.file->in_memory && pool->writes >= WRITES_IN_MEMORY_MAX;
}

/* Where chunks are compared, the last buffer is for references to those that a base has: they come
 * while all others wait for their turn. */
static bool must_wait(const struct chunk_pool *pool, enum pst_chunk_type type)
{
    bool keeps_last = pool->sha && !pool->filling[PST_CHUNK_REFERENCES];
    if (type == PST_CHUNK_REFERENCES)
        return false;
    return must_wait_for_writes(pool) || (keeps_last && pool->free && !pool->free->next);
}

static uint32_t pieces_max(const struct chunk_pool *pool)
{
    return pool->part.sealed ? PST_CHUNK_SEALED_PIECES_MAX : PST_CHUNK_PIECES_MAX;
}

struct chunk *chunk_pool_fill(struct chunk_pool *pool, enum pst_chunk_type type, uint32_t room)
{
    assert(room >= 1 && room <= pool->config.chunk_bytes);
    struct chunk *chunk = pool->filling[type];
    if (chunk &&
        (chunk_room(chunk) < room || pst_chunk_pieces_count(chunk->memory) == pieces_max(pool))) {
        close_filling(pool, type);
        chunk = NULL;
    }
    if (!chunk && !must_wait(pool, type)) {
        chunk = take(pool, type, CHUNK_FILLING);
        if (chunk)
            pst_chunk_begin(chunk->memory, type);
        pool->filling[type] = chunk;
    }
    return chunk;
}

void chunk_pool_close_data(struct chunk_pool *pool)
{
    close_filling(pool, PST_CHUNK_DATA);
}

void chunk_pool_flush(struct chunk_pool *pool)
{
    close_filling(pool, PST_CHUNK_DATA);
    close_filling(pool, PST_CHUNK_CATALOGUE);
    close_filling(pool, PST_CHUNK_REFERENCES);
    pool->is_flushed = true;
}

void chunk_pool_drop(struct chunk_pool *pool)
{
    drop_ready(pool);
    chunk_pool_flush(pool);
}

static void end_block(struct pst_io_op *op, int result, const char *step)
{
    struct chunk_pool *pool = PST_IO_OP_OF(op, struct chunk_pool, block_op);
    assert(pool->block_is_written);
    pool->block_is_written = false;
    if (result < 0)
        note_error(pool, result, step);
}

static void on_header_written(struct pst_io_op *op, int result)
{
    end_block(op, result, "write the header");
}

static void on_trailer_written(struct pst_io_op *op, int result)
{
    end_block(op, result, "write the trailer");
}

/* Before anything of the part is sealed, or written. */
static int seal_part(struct chunk_pool *pool)
{
    const struct pst_chunk_encoder *encoder = pool->config.encoder;
    if (!encoder || !encoder->sealed)
        return 0;
    int error = encoder->seal_part(encoder->seal_context, pool->block, encoder->sealed);
    if (error)
        note_error(pool, error, "seal the part");
    else
        pst_part_begin_sealing(&pool->part, encoder->sealed, pool->block);
    return error;
}

static void write_block(struct chunk_pool *pool, uint64_t offset,
                        void (*done)(struct pst_io_op *op, int result))
{
    assert(!pool->block_is_written);
    pool->block_is_written = true;
    pool->block_op.done = done;
    pst_io_part_write(pool->config.file, &pool->block_op, pool->block, PST_BLOCK_BYTES, offset, -1);
}

void chunk_pool_begin_part(struct chunk_pool *pool, const struct pst_part_identity *identity,
                           uint32_t ldm, uint32_t flags)
{
    assert(chunk_pool_is_idle(pool) && !pool->index && !pool->spare);
    pool->drops = pool->is_flushed = false;
    pool->uncatalogued = 0;
    pst_part_begin(&pool->part, identity, pool->config.chunk_bytes, ldm, pst_unix_ns(),
                   pool->block);
    pool->spare = take(pool, PST_CHUNK_INDEX, CHUNK_SPARE);
    begin_index(pool);
    pool->spare = take(pool, PST_CHUNK_INDEX, CHUNK_SPARE);
    assert(pool->spare);
    pst_part_attach_sums(&pool->part, pool->sums->memory, SUMS_BYTES);
    if (pool->config.encoder && pool->config.encoder->transform->encode) {
        pst_part_name_transform(&pool->part, pool->config.encoder->transform, pool->block);
        pool->output = take(pool, PST_CHUNK_DATA, CHUNK_OUTPUT);
    }
    if (flags & CHUNK_POOL_HAS_BASE)
        pst_part_note_base(&pool->part, pool->block);
    if (flags & CHUNK_POOL_VERIFIES)
        pst_part_keep_raw_digest(&pool->part);
    if (seal_part(pool) == 0)
        write_block(pool, 0, on_header_written);
}

void chunk_pool_end_part(struct chunk_pool *pool, struct chunk_pool_end *end)
{
    assert(chunk_pool_is_idle(pool) && !pool->drops);
    pool->part.sums.objects = end->objects;
    pool->part.sums.unreadable = end->unreadable;
    if (pst_part_has_sums(&pool->part)) {
        bool has_room = have_index(pool);
        assert(has_room);
        write_sums(pool);
    }
    write_index(pool);
    struct pst_part_place place = pst_part_seal_trailer(&pool->part, end->start_gci, end->stop_gci,
                                                        pst_unix_ns(), pool->block, &end->digest);
    end->raw_digest = pool->part.raw_digest;
    end->file_bytes = place.file_offset + place.bytes;
    write_block(pool, place.file_offset, on_trailer_written);
}

struct chunk *chunk_pool_lend(struct chunk_pool *pool)
{
    assert(chunk_pool_is_idle(pool));
    struct chunk *chunk = take(pool, PST_CHUNK_DATA, CHUNK_LENT);
    assert(chunk); /* idle: only indexes and the output are in use */
    return chunk;
}

void *chunk_pool_lent_memory(const struct chunk *chunk)
{
    assert(chunk->place == CHUNK_LENT);
    return chunk->memory;
}

void chunk_pool_take_back(struct chunk *chunk)
{
    give_back(chunk, CHUNK_LENT);
}

void chunk_pool_forget_part(struct chunk_pool *pool)
{
    assert(chunk_pool_is_idle(pool));
    if (pool->index)
        give_back(pool->index, CHUNK_INDEX);
    if (pool->spare)
        give_back(pool->spare, CHUNK_SPARE);
    if (pool->output)
        give_back(pool->output, CHUNK_OUTPUT);
    pool->index = NULL;
    pool->spare = NULL;
    pool->output = NULL;
    pool->error = 0;
    memset(&pool->part, 0, sizeof(pool->part));
}
