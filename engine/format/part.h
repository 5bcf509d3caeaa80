/*
 * The order of a part: gives each chunk its number and file offset, keeps index and sums. Writers
 * seal through here; what they then write, in any order, at the offsets returned, is a whole part.
 *
 *   pst_part_begin          → write 4096 bytes of header at 0
 *   pst_part_seal_chunk …   → write each chunk at its offset
 *   pst_part_index_is_full? → pst_part_seal_index, write it, pst_part_attach_index a free buffer
 *   pst_part_sums_are_full? → pst_part_seal_sums, write it, pst_part_attach_sums a free buffer
 *   at the end: pst_part_seal_sums if there are any, pst_part_seal_index, pst_part_seal_trailer →
 *   write them
 *
 * Pure, no allocation. One thread at a time.
 */
#ifndef PST_ENGINE_FORMAT_PART_H
#define PST_ENGINE_FORMAT_PART_H

#include "engine/format/chunk.h"
#include "engine/format/index.h"
#include "engine/format/references.h"
#include "engine/format/seal.h"
#include "engine/format/sums.h"

struct pst_part {
    struct pst_part_identity identity;
    uint32_t chunk_bytes;
    uint64_t next_chunk;
    uint64_t next_offset;
    uint64_t codec_chunks[PST_CODECS]; /* DATA and CATALOGUE chunks by codec */
    uint64_t references;
    uint64_t referenced_bytes;
    struct pst_part_sums sums; /* objects and unreadable are the caller's to count */
    struct pst_digest header_checksum;
    bool has_hash; /* of the chunk that is sealed next */
    uint8_t hash[PST_REFERENCE_HASH_BYTES];
    uint64_t hash_offset;
    struct pst_index_builder index;
    struct format_sums object_sums;
    bool has_raw_digest;
    struct pst_digest raw_digest;    /* of all that was encoded: decoding.h */
    struct pst_sealed *sealed;       /* NULL: it is not sealed */
    struct format_encoding encoding; /* transform NULL: none is under way */
};

/* Where a sealed block goes: `bytes` bytes from its buffer at file_offset. */
struct pst_part_place {
    uint64_t file_offset;
    uint64_t bytes;
};

/* Begins a part and fills the 4096 bytes of block, which go to offset 0. ldm: instance, 1….
 * chunk_bytes: PST_CHUNK_BYTES_MIN…MAX, a multiple of 4096. */
void pst_part_begin(struct pst_part *part, const struct pst_part_identity *identity,
                    uint32_t chunk_bytes, uint32_t ldm, uint64_t created_unix_ns, void *block);

/* Whether the beginning of a file is that of a part that was never begun: created, perhaps
 * preallocated, but without its header. */
bool pst_part_is_blank(const void *block, uint64_t bytes);

/* Takes up a part that was cut off: block is its header, which has passed its check. Its chunks are
 * then adopted, in their order; what is sealed after that follows them. */
void pst_part_resume(struct pst_part *part, const void *block);

/* Adopts the chunk that lies at next_offset, which has passed its check as number next_chunk; as it
 * was decoded, if it is encoded. pst_part_note_hash, and buffers, as if it were sealed now.
 * -PST_E_CORRUPT: a writer of parts would have written something else there; it ends before. */
PST_MUST_USE int pst_part_adopt(struct pst_part *part, const void *chunk);

/* All that is sealed from now on, of a part that was taken up, is its tail: with the key that is
 * set in sealed, which is not the part's. */
void pst_part_begin_tail(struct pst_part *part, struct pst_sealed *sealed);

/* Names the transform that is configured in the block, which has not been written yet. */
void pst_part_name_transform(struct pst_part *part, const struct pst_transform *transform,
                             void *block);

/* Notes in the block, which has not been written yet, that the part may have REFERENCES chunks;
 * before it is sealed. */
void pst_part_note_base(struct pst_part *part, void *block);

/* Makes it a sealed part: its key is set in sealed, and what the key is derived from stands in the
 * block, which has been named its transform. Then all chunks with pieces are encoded, by the
 * transform of sealed. */
void pst_part_begin_sealing(struct pst_part *part, struct pst_sealed *sealed, void *block);

/* raw_digest is kept from now on; before the first chunk is sealed. */
void pst_part_keep_raw_digest(struct pst_part *part);

/* The buffer (4096 + chunk_bytes) that index entries are gathered in from now on; before the first
 * chunk is sealed, and after each pst_part_seal_index but the last. */
void pst_part_attach_index(struct pst_part *part, void *buffer);

/* Seals a DATA, CATALOGUE or REFERENCES chunk as it is (format_chunk_seal says what that does to
 * the buffer) and enters it in the index, which must not be full. */
struct pst_part_place pst_part_seal_chunk(struct pst_part *part, void *buffer,
                                          uint32_t payload_bytes);

/* The same through a transform, from buffer into encoded, both 4096 + chunk_bytes, all of which
 * stay until it has ended: nothing else is sealed meanwhile. */
void pst_part_begin_encoding(struct pst_part *part, const struct pst_transform *transform,
                             void *buffer, uint32_t payload_bytes, void *encoded);

/* A step of it. PST_ENCODED: *place is where encoded goes, and buffer is free;
 * PST_ENCODE_DECLINED: the chunk is to be sealed as it is. */
enum pst_encoded pst_part_encode(struct pst_part *part, struct pst_part_place *place);

/* Leaves the encoding that is under way: the chunk is not wanted any more. */
void pst_part_leave_encoding(struct pst_part *part);

/* The hash of the only piece of the DATA chunk that is sealed, or begun to be encoded, next, for
 * the index, and where the piece lies in its object. */
void pst_part_note_hash(struct pst_part *part, const uint8_t hash[PST_REFERENCE_HASH_BYTES],
                        uint64_t object_offset);

bool pst_part_index_is_full(const struct pst_part *part);

/* The buffer (4096 + payload_bytes, which is chunk_bytes at most) that the checksums of objects are
 * gathered in; before the first chunk is sealed, and after each pst_part_seal_sums while there is
 * more to come. A part that never gets one has no such checksums. */
void pst_part_attach_sums(struct pst_part *part, void *buffer, uint32_t payload_bytes);

/* Whether they are to be sealed before the next chunk; whether there are any to seal. */
bool pst_part_sums_are_full(const struct pst_part *part);
bool pst_part_has_sums(const struct pst_part *part);

/* Seals the checksums in the attached buffer. The index must not be full. */
struct pst_part_place pst_part_seal_sums(struct pst_part *part);

/* Seals the index in the attached buffer. */
struct pst_part_place pst_part_seal_index(struct pst_part *part);

/* Fills the 4096 bytes of block after the last index was sealed. *digest: the part's, for the node
 * manifest; the file's size is place.file_offset + place.bytes. */
struct pst_part_place pst_part_seal_trailer(struct pst_part *part, uint64_t start_gci,
                                            uint64_t stop_gci, uint64_t finished_unix_ns,
                                            void *block, struct pst_digest *digest);

#endif
