/*
 * What a thread of the crew reads chunks with: its ring, its buffers, which of them are free, and
 * which chunks it has claimed. Private to chunk_reader.c and chunk_worker.c; that thread's.
 */
#ifndef PST_ENGINE_RESTORE_CHUNK_WORKER_H
#define PST_ENGINE_RESTORE_CHUNK_WORKER_H

#include "engine/restore/chunk_reader.h"
#include "engine/restore/decoded_chunk.h"
#include "numa/place.h"

/* Chunks of one INDEX chunk of one part. */
struct claim {
    uint32_t part;
    uint32_t link;
    uint32_t first;
    uint32_t end;
};

/* By who takes a chunk, of the slot that has it. */
struct chunk_hold {
    struct slot *slot;
    uint32_t count;
    struct decoded_chunk decoded; /* the worker's before, if the chunk is in it */
};

struct slot {
    struct pst_io_op op;
    struct worker *worker;
    const struct pst_index_entry *entry;
    bool is_header; /* that is all that is read of it, so far */
    /* Read a block at a time, because the disk refused all of it at once: */
    uint32_t block;   /* offset of the one that is being read */
    uint32_t refused; /* of the first of those before it that were refused and not yet named */
    int refusal;      /* of the last one, negative; 0: none was refused */
    struct chunk_hold hold;
    void *buffer;
};

/* What a thread of the crew keeps (crew_own), and the reading that it is at. */
struct worker {
    struct chunk_reading *reading;
    uint32_t number;
    uint32_t chunk_bytes; /* that the buffers hold */
    struct pst_reader reader;
    struct claim claim;
    struct pst_file file; /* of claim.part, if file_is_open */
    bool file_is_open;
    bool index_is_read; /* of claim.link */
    void *index_buffer;
    struct pst_index_view view;
    uint32_t next; /* entry of the claim to be started next */
    int error;
    struct decoded_chunk decoded;
    struct pst_chunk_header *header; /* one that was sealed, opened; of the arena */
    struct pst_arena arena;          /* of the buffers */
    /* Starts reads into free slots, while there are chunks to be read: chunk_reader.c's. */
    void (*read_on)(struct worker *worker);
    struct slot *taken; /* whose chunk a taker has */
    bool is_decoded;    /* that chunk lies in decoded, not in the slot */
    uint32_t reads;     /* slots that are being read into */
    uint32_t reads_max;
    struct pst_pace_share pace;
    uint64_t busy_since_ns; /* it has slept for its pace, or said so, until then */
    uint32_t slots_count;
    struct slot slots[PST_DEPTH_MAX];
    struct slot *free_slots[PST_DEPTH_MAX]; /* the one that was used last on top */
    uint32_t free_count;
};

/* What the calling thread of the crew has, or gets now. 0, or an error of this system. */
PST_MUST_USE int chunk_worker_find(struct crew *crew, uint32_t number,
                                   const struct pst_part_set *set, struct worker **found);

/* All its slots are free: at the start, and after a reading that was stopped. */
void chunk_worker_reset(struct worker *worker);

void chunk_slot_free(struct slot *slot);

/* Takes the next chunks; false at the end. */
bool chunk_claim(struct chunk_reading *reading, struct claim *claim);

/* The same, but only of the index that the claim is of. */
bool chunk_claim_more(struct chunk_reading *reading, struct claim *claim);

#endif
