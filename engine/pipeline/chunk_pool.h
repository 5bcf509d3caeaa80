/*
 * The buffers of one LDM and the part that they go into: a chunk is taken, filled, closed, sealed
 * in the order of completion, written, and its buffer given back. Knows the part's file and format,
 * but neither scans nor the pipeline: errors are fetched from it. Nothing is allocated after
 * creation. Private to engine/pipeline/; the LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_CHUNK_POOL_H
#define PST_ENGINE_PIPELINE_CHUNK_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/format/part.h"
#include "engine/pace/pace.h"
#include "engine/pipeline/chunk_encoder.h"
#include "io/part_file.h"

struct chunk_pool;
struct chunk;

/* The bytes of a chunk that is one run of a large file. */
struct chunk_run {
    uint64_t object;
    uint64_t object_offset;
    uint64_t base_object; /* its id in the base */
    uint32_t bytes;
    uint8_t hash[PST_REFERENCE_HASH_BYTES];
};

struct chunk_comparing {
    /* Whether a base has the run, and it was referred to. It may fill REFERENCES chunks. */
    bool (*refer)(void *context, const struct chunk_run *run);
    void *context;
};

/* Borrowed for the life of the pool, with what it points to. */
struct chunk_pool_config {
    struct pst_ring *ring;
    void *memory; /* chunk_pool_memory_bytes(), aligned to PST_BLOCK_BYTES */
    uint32_t chunk_bytes;
    uint32_t depth;             /* chunks in flight */
    struct pst_part_file *file; /* created when a part begins, and until the pool is idle again */
    /* Of DATA and CATALOGUE chunks; NULL: a chunk is written from the buffer that it was read into.
     * Any that encodes keeps one of the depth buffers for its output. */
    const struct pst_chunk_encoder *encoder;
    const struct pst_pace_share *pace; /* how many of depth may be in use; NULL: all */
    /* Runs of large files are hashed, and what a base has of them is not written; NULL: they are
     * not. */
    const struct chunk_comparing *comparing;
};

size_t chunk_pool_memory_bytes(uint32_t chunk_bytes, uint32_t depth);

/* Registers the buffers with the ring. -ENOMEM. */
int chunk_pool_create(const struct chunk_pool_config *config, struct chunk_pool **pool);

/* Asserts that it is idle. NULL is allowed. */
void chunk_pool_destroy(struct chunk_pool *pool);

/* ---- filling ---- */

/* The chunk of this type (DATA, CATALOGUE or REFERENCES) that is being filled, with so much room at
 * least (1…chunk_bytes) and room for a piece; one that has not is closed first. NULL: no buffer is
 * free now. */
struct chunk *chunk_pool_fill(struct chunk_pool *pool, enum pst_chunk_type type, uint32_t room);

/* Buffers, in all; each chunk has a number below that, which is its index in the ring's table. */
uint32_t chunk_pool_buffers(const struct chunk_pool *pool);
uint32_t chunk_pool_chunk_bytes(const struct chunk_pool *pool);
uint32_t chunk_number(const struct chunk *chunk);

uint32_t chunk_payload_bytes(const struct chunk *chunk);

/* Bytes that still fit, and where the next ones go. */
uint32_t chunk_room(const struct chunk *chunk);
void *chunk_end(const struct chunk *chunk);

/* The next bytes go to the next block; there may be no room for any. */
void chunk_align(struct chunk *chunk);

/* Takes in the bytes at chunk_end(), which lie there or will be read to there; as a piece of an
 * object, which is_rows or not, it returns its index. */
void chunk_add(struct chunk *chunk, uint32_t bytes);
uint32_t chunk_add_piece(struct chunk *chunk, bool is_rows, uint64_t object, uint64_t object_offset,
                         uint32_t bytes);

/* The piece that was added is alone in the chunk, a run of a large file, which the base has under
 * this id; 0: has not. */
void chunk_note_run(struct chunk *chunk, uint64_t base_object);

/* Nothing more is added to the DATA chunk that is being filled. */
void chunk_pool_close_data(struct chunk_pool *pool);

/* A read into a piece begins; and ends, with so many bytes of it, after which the chunk may be
 * sealed. */
void chunk_begin_read(struct chunk *chunk);
void chunk_end_read(struct chunk *chunk, uint32_t piece, uint32_t bytes);

/* A step of comparing or encoding, well below a millisecond. false: there is nothing of the kind to
 * be done. */
bool chunk_pool_encode(struct chunk_pool *pool);

/* Closes the chunks that are being filled: each is written once its reads have ended. */
void chunk_pool_flush(struct chunk_pool *pool);

/* Nothing more is written until the next part: what is being filled, or is complete, is given back.
 * A write error has the same effect. */
void chunk_pool_drop(struct chunk_pool *pool);

/* ---- the part ---- */

enum chunk_pool_flags {
    CHUNK_POOL_HAS_BASE = 1, /* the part may have REFERENCES chunks */
    CHUNK_POOL_VERIFIES = 2, /* it is read back: raw payloads are digested, once encoded */
};

/* Begins the part in the file, which must be created: starts to write the header. flags: of these.
 * Idle only. */
void chunk_pool_begin_part(struct chunk_pool *pool, const struct pst_part_identity *identity,
                           uint32_t ldm, uint32_t flags);

struct chunk_pool_end {
    uint64_t start_gci;
    uint64_t stop_gci;
    uint64_t objects;
    uint64_t unreadable;
    struct pst_digest digest;     /* result: of the part */
    struct pst_digest raw_digest; /* result, with CHUNK_POOL_VERIFIES: of what was encoded */
    uint64_t file_bytes;          /* result */
};

/* Ends the part: starts to write the last index and the trailer. After a flush, idle only. */
void chunk_pool_end_part(struct chunk_pool *pool, struct chunk_pool_end *end);

/* A buffer for the part's file to be read back into, or to be decoded into, a block and chunk_bytes
 * long, two at most; after the end of the part, idle only. It is given back before the part is
 * forgotten. */
struct chunk *chunk_pool_lend(struct chunk_pool *pool);
void *chunk_pool_lent_memory(const struct chunk *chunk);
void chunk_pool_take_back(struct chunk *chunk);

/* Forgets the part, sums too. Idle only. */
void chunk_pool_forget_part(struct chunk_pool *pool);

/* What has been sealed since the part began; objects and unreadable are not counted here. */
struct pst_part_sums chunk_pool_sums(const struct chunk_pool *pool);

/* Bytes that it refers to, and references. */
struct pst_reference_sums {
    uint64_t references;
    uint64_t bytes;
};
struct pst_reference_sums chunk_pool_references(const struct chunk_pool *pool);

/* Of these, DATA and CATALOGUE chunks by codec: PST_CODECS of them. */
const uint64_t *chunk_pool_codec_chunks(const struct chunk_pool *pool);

/* The first write error since the part began (negative) and what failed (static text), once; 0 if
 * there is none to fetch. */
int chunk_pool_take_error(struct chunk_pool *pool, const char **step);

/* No chunk is being filled, waits for reads or for its turn, and no write is in flight. */
bool chunk_pool_is_idle(const struct chunk_pool *pool);

/* Asserts that every buffer is in exactly one place. Returns the reads in flight into chunks. */
uint32_t chunk_pool_check(const struct chunk_pool *pool);

#endif
