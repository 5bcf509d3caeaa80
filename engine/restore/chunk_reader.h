/*
 * Reads the chunks of a set of parts with all threads of a crew, each with its own ring and
 * crew_depth reads in flight, which it keeps until the crew is closed. Private to engine/restore/.
 */
#ifndef PST_ENGINE_RESTORE_CHUNK_READER_H
#define PST_ENGINE_RESTORE_CHUNK_READER_H

#include <stdatomic.h>

#include "engine/repository/part_map.h"
#include "engine/restore/crew.h"
#include "io/ring.h"

/* A kind of chunk beside enum pst_chunk_type: DATA chunks that have no pieces. */
#define CHUNK_SUMS 0u

/* What is read of each chunk. */
enum chunk_extent {
    CHUNK_WHOLE,
    CHUNK_HEADER,  /* its first PST_CHUNK_HEADER_BYTES alone */
    CHUNK_DIGESTS, /* what the digests of its pieces take: all, if they are of bytes (sums.h) */
};

/* Takes an intact chunk, decoded, which is in buffer for the call, or until its holds are released;
 * on any worker. An error ends the reading.
 */
typedef int chunk_taker(void *context, uint32_t worker, const struct pst_part_map *part,
                        const void *buffer);

/* Called for what could not be handed on, on any worker. header: of the chunk, if it is whole;
 * entry: of the chunk in the index; NULL: the part's chunks from here on could not be read. */
typedef void chunk_loser(void *context, const struct pst_part_map *part,
                         const struct pst_index_entry *entry,
                         const struct pst_chunk_header *header);

struct chunk_reading {
    /* The caller's, unchanged while it runs. */
    struct crew *crew;
    const struct pst_part_set *set; /* filled */
    uint32_t types; /* bits 1 << enum pst_chunk_type, or CHUNK_SUMS: those that are read */
    enum chunk_extent extent;
    /* Which of these chunks are read; pure, any worker. NULL: all. */
    bool (*wants)(void *context, const struct pst_part_map *part,
                  const struct pst_index_entry *entry);
    chunk_taker *take;
    /* With CHUNK_HEADER: whether the chunk of this header, which is whole and opened, is read after
     * all, to be taken; of others nothing is taken. Any worker. NULL: headers are taken. */
    bool (*needs)(void *context, const struct pst_part_map *part,
                  const struct pst_chunk_header *header);
    /* Takes a whole chunk that is not encoded and of which the digests of pieces are of bytes,
     * where these prove that it is intact, so that its payload need not be hashed again: 1; 0:
     * where they do not, as far as is known; or an error. The header is whole, what lies between
     * pieces is zero. May be NULL. */
    chunk_taker *take_proven;
    /* Takes a chunk in place of lost, as it was read and not encoded: the header is whole, some of
     * the payload is damaged, and the digests of its pieces are of bytes. May be NULL. */
    chunk_taker *salvage;
    struct pst_findings *findings; /* takes what is damaged */
    bool stop_at_damage;           /* then the reading ends with the damage's error */
    chunk_loser *lost;             /* may be NULL */
    void (*tick)(void *context);   /* may be NULL */
    /* Begins an activity (engine/base/activity.h) for a taker's operation that the worker waits
     * for; may be NULL. */
    void (*watch)(void *context, const struct pst_io_op *op);
    void *context;

    atomic_uint_least64_t bytes_done; /* read and whole */
    atomic_uint_least64_t chunks_done;
    atomic_uint_least64_t index_bytes; /* of INDEX chunks that were read for it */

    /* From here on the reading's own. */
    pthread_mutex_t mutex;
    uint32_t next_part;
    uint32_t next_link;
    uint32_t next_entry;
    atomic_bool stop;
};

/* Maps the chunks of the parts of a set (part_map.h), in their order; *bytes counts what was read.
 * 0: all were looked at, though findings may have grown; with stop_at_damage the first damage is
 * the error; -ECANCELED; or an error of this system. */
PST_MUST_USE int chunk_map_parts(struct crew *crew, struct pst_part_set *set,
                                 struct pst_findings *findings, uint64_t *bytes,
                                 bool stop_at_damage);

/* What the calling thread of the crew, with this number, reads with: made now, or kept since; and
 * room for a chunk. For chunk_map.c. */
PST_MUST_USE int chunk_worker_make(struct crew *crew, uint32_t number,
                                   const struct pst_part_set *set, struct pst_reader **reader,
                                   void **buffer);

/* 0: all was read, though findings may have grown; -ECANCELED; or an error of a taker, of a damage,
 * or of this system. All holds are released then. */
PST_MUST_USE int chunk_reading_run(struct chunk_reading *reading);

/* For what a taker does with a chunk on the ring of its worker, on whose thread these are called.
 * Each hold keeps the bytes of the chunk that is being taken beyond the call, until it is released
 * by a completion on the ring; error: as of a taker. */
struct chunk_hold;
struct pst_ring *chunk_ring(struct crew *crew, uint32_t worker);
struct chunk_hold *chunk_hold(struct crew *crew, uint32_t worker);
void chunk_release(struct chunk_hold *hold, int error);

#endif
