/*
 * A chunk that has just been written is decoded in steps, to see that its bytes become again what
 * they were before they were encoded: a codec or a cipher that went wrong makes a chunk whose
 * checksums are right. Readers of backups decode at once, by chunk.h and seal.h.
 *
 * Pure, no allocation. One thread at a time.
 */
#ifndef PST_ENGINE_FORMAT_DECODING_H
#define PST_ENGINE_FORMAT_DECODING_H

#include "engine/format/seal.h"

/* Adds a chunk to the digest of all that was encoded, in the order of their numbers: its pieces,
 * which the header shows, and its raw payload. It begins with zeros. */
void pst_raw_digest_add(struct pst_digest *digest, const struct pst_chunk_header *header,
                        const void *payload);

struct pst_chunk_decoding {
    struct pst_sealed *sealed;         /* of which the part's key is set; NULL: it is not sealed */
    const struct pst_transform *codec; /* with decode_step; NULL: the chunk has none */
    struct pst_chunk_header *chunk;
    void *decoded;
    bool is_open; /* its payload is decrypted, or it is not sealed */
    struct pst_decoding payload;
};

/* Whether an encoded chunk is in the digest: one of pieces, entries or references. An index and
 * checksums of objects are not; where they are sealed, their tags alone are checked. */
bool pst_chunk_is_digested(const struct pst_chunk_header *chunk);

/* sealed, codec, chunk and decoded are set; decoded has room for chunk_bytes of payload. Decrypts
 * the pieces. -PST_E_CORRUPT, with *damage, which is relative to the chunk. */
int pst_chunk_begin_decoding(struct pst_chunk_decoding *decoding, uint32_t chunk_bytes,
                             struct pst_damage *damage) PST_MUST_USE;

/* A step, well below a millisecond. chunk's payload is decrypted where it lies. PST_DECODED: the
 * header with its pieces, and the raw payload, are in decoded. */
enum pst_decoded pst_chunk_decode_step(struct pst_chunk_decoding *decoding,
                                       struct pst_damage *damage);

#endif
