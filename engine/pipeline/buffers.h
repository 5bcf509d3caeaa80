/*
 * The buffers of a pool, each in exactly one place. Private to chunk_pool.c, which moves them, and
 * chunk_pool_check.c.
 */
#ifndef PST_ENGINE_PIPELINE_BUFFERS_H
#define PST_ENGINE_PIPELINE_BUFFERS_H

#include "engine/pipeline/chunk_pool.h"
#include "engine/transform/aes_gcm/sha_256.h"

enum chunk_place {
    CHUNK_FREE,
    CHUNK_FILLING, /* pool->filling */
    CHUNK_READING, /* closed; its last reads are in flight */
    CHUNK_READY,   /* complete; waits to be sealed and written */
    CHUNK_WRITING,
    CHUNK_INDEX,    /* gathers the entries of the part's index */
    CHUNK_SPARE,    /* is the next index */
    CHUNK_SUMS,     /* gathers the checksums of the part's objects */
    CHUNK_ENCODING, /* is being compared with a base, or encoded into the output */
    CHUNK_OUTPUT,   /* the next chunk is encoded into it */
    CHUNK_LENT,     /* the part is read back into it, or decoded */
    CHUNK_PLACES
};

struct chunk {
    struct pst_io_op op; /* its write */
    struct chunk_pool *pool;
    struct chunk *next; /* free or ready */
    void *memory;       /* header, then payload */
    uint32_t number;
    uint32_t payload_bytes;
    uint32_t reads; /* in flight */
    enum pst_chunk_type type;
    enum chunk_place place;
    bool is_run;          /* of a large file, alone: it is compared with a base */
    uint64_t base_object; /* which there; 0: none */
};

struct chunk_pool {
    struct chunk_pool_config config;
    uint32_t buffers;
    struct chunk *chunks; /* one for each buffer */
    struct chunk *free;
    uint32_t free_count;
    struct chunk *filling[PST_CHUNK_REFERENCES + 1]; /* by type */
    struct chunk *ready;                             /* oldest first */
    struct chunk *ready_last;
    struct chunk *index;
    struct chunk *spare;
    struct chunk *sums;        /* the one behind the buffers */
    struct chunk *output;      /* NULL with the identity */
    struct chunk *encoding;    /* into the output, or it is being compared; NULL: none is */
    bool compares;             /* the latter */
    uint32_t hashed;           /* bytes of it */
    struct pst_sha_256 *sha;   /* NULL: nothing is compared */
    uint32_t uncatalogued;     /* data chunks since a catalogue was closed */
    bool is_flushed;           /* nothing more is filled but with references */
    uint32_t writes;           /* of chunks, in flight */
    struct pst_io_op block_op; /* of header or trailer */
    void *block;               /* PST_BLOCK_BYTES for them */
    bool block_is_written;     /* in flight */
    bool drops;                /* nothing more is written */
    struct pst_part part;
    int error; /* not yet fetched */
    const char *failed_step;
};

/* chunk_compare.c, of pool->encoding. Whether it is to be compared, step by step. */
bool chunk_compare_begin(struct chunk_pool *pool);

enum chunk_compared {
    CHUNK_COMPARES, /* it goes on */
    CHUNK_IS_NEW,
    CHUNK_IN_BASE, /* and is referred to */
};
enum chunk_compared chunk_compare_step(struct chunk_pool *pool);

#endif
