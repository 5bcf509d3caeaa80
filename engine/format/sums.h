/*
 * Checksums of objects: for each object of which a part holds data, the sum of the digests of its
 * pieces. Sums of several parts are added, in any order, so parts written side by side need not
 * know of each other. They lie in DATA chunks without pieces (docs/format.md).
 *
 * Pure, no allocation, any thread. Writers of parts: use part.h, which drives the builder.
 */
#ifndef PST_ENGINE_FORMAT_SUMS_H
#define PST_ENGINE_FORMAT_SUMS_H

#include <stdbool.h>

#include "engine/format/chunk.h"

/* Begins the payload of a chunk of sums; the records follow. */
struct pst_sums_head {
    uint8_t magic[8]; /* PST_SUMS_MAGIC */
    uint32_t records_count;
    uint32_t record_bytes; /* sizeof(struct pst_object_sum) */
};

#define PST_SUMS_MAGIC "PSTKSUM2"

/* What a run of chunks holds of one object. */
struct pst_object_sum {
    uint64_t object;
    uint64_t bytes;  /* in pieces */
    uint64_t sum[2]; /* of the pieces' digests, each half modulo 2^64 */
};

_Static_assert(sizeof(struct pst_sums_head) == 16, "docs/format.md");
_Static_assert(sizeof(struct pst_object_sum) == 32, "docs/format.md");

/* Whether the digests of the chunk's pieces are of their own bytes. Else they are of the payload's
 * checksum, which the header has: an only piece vouches for itself by that as well, and rows, which
 * no one reads past damage, are not hashed once more. */
bool pst_digests_are_of_bytes(const struct pst_chunk_header *header);

/* The digest of a piece of a chunk, of which at least the header is whole: XXH3-128 of the piece's
 * 24 bytes in the table and of a checksum. payload: the raw one, as read; not looked at unless
 * pst_digests_are_of_bytes(). */
void pst_piece_digest(const struct pst_chunk_header *header, const void *payload, uint32_t piece,
                      uint64_t digest[2]);

struct format_sums {
    void *buffer; /* the caller's: header and payload; NULL: none is attached */
    uint32_t records_count;
    uint32_t records_max;
    uint64_t sealed; /* records in chunks sealed so far */
};

/* Gives the builder a buffer for the next chunk of sums, until the next format_sums_end. */
void format_sums_attach(struct format_sums *sums, void *buffer, uint32_t payload_bytes);

/* Whether there may be no room for the pieces of another chunk. */
bool format_sums_are_full(const struct format_sums *sums);

/* Adds the pieces of a sealed DATA chunk, whose raw payload lies there. They must not be full. */
void format_sums_add(struct format_sums *sums, const struct pst_chunk_header *header,
                     const void *payload);

/* Completes the payload in the buffer and detaches it; returns its length. */
uint32_t format_sums_end(struct format_sums *sums);

/* The records in a decoded DATA chunk without pieces that has passed its check. *count 0: it has
 * none. -PST_E_CORRUPT, with *damage. */
int pst_sums_read(const void *chunk, const struct pst_object_sum **records, uint32_t *count,
                  struct pst_damage *damage) PST_MUST_USE;

#endif
