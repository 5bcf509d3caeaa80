/*
 * Part header, chunk and trailer: encode in place, check, on caller memory. docs/format.md is the
 * specification; the structs here lie in memory as on disk.
 *
 *   part file = [part header 4096][chunk]…[index chunk][trailer 4096]
 *   chunk     = [chunk header 4096][payload, zero-padded to a multiple of 4096]
 *
 * Pure: no I/O, no allocation, any thread. Every buffer is the caller's and is not kept. Buffers
 * are aligned to 8 at least (O_DIRECT wants 4096 anyway). The check functions take arbitrary bytes
 * and read only the bytes they are given.
 */
#ifndef PST_ENGINE_FORMAT_CHUNK_H
#define PST_ENGINE_FORMAT_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/limits.h"
#include "engine/format/digest.h"
#include "engine/format/head.h"
#include "engine/transform/transform.h"
#include "penstock/error.h"

#define PST_CHUNK_HEADER_BYTES PST_BLOCK_BYTES
#define PST_CHUNK_PIECES_MAX 165u

enum pst_chunk_type {
    PST_CHUNK_DATA = 1,       /* pieces of objects; without pieces: their checksums, sums.h */
    PST_CHUNK_CATALOGUE = 2,  /* encoded objects: object.h */
    PST_CHUNK_INDEX = 3,      /* where the chunks are: index.h */
    PST_CHUNK_REFERENCES = 4, /* bytes of objects that lie in earlier backups: references.h */
};

enum pst_chunk_flag {
    PST_CHUNK_ROWS = 1, /* all pieces are rows, many and small; sums.h says what that changes */
};

struct pst_part_header {
    struct pst_block_head head; /* magic "PSTKPART" */
    uint32_t chunk_bytes;       /* no chunk has more payload */
    uint32_t ldm;               /* instance of the LDM that wrote it, 1… */
    uint64_t created_unix_ns;
    uint8_t codec;  /* enum pst_codec: of the transform configured; each chunk says its own */
    uint8_t cipher; /* enum pst_cipher: of all chunks */
    uint8_t reserved1[6];
    uint8_t data_key[16]; /* id of the data key, with a cipher */
    uint8_t salt[32];     /* random; the part's key is derived from it too */
    uint8_t reserved[4096 - 152];
};

/* A run of bytes of one object. Pieces of a chunk ascend in payload_offset and do not overlap;
 * what lies between them is zero. */
struct pst_chunk_piece {
    uint64_t object;
    uint64_t object_offset; /* bytes */
    uint32_t payload_offset;
    uint32_t bytes; /* may be 0 */
};

struct pst_chunk_header {
    struct pst_block_head head; /* magic "PSTKCHNK" */
    uint16_t type;              /* enum pst_chunk_type */
    uint8_t codec;
    uint8_t cipher;
    uint16_t pieces_count; /* 0 unless DATA */
    uint16_t flags;        /* enum pst_chunk_flag */
    uint32_t raw_bytes;    /* of the payload before the codec; piece offsets count in these */
    uint32_t stored_bytes; /* of the payload in the file, padding not counted */
    uint64_t file_offset;  /* of this header in the part file */
    struct pst_digest payload_checksum; /* of the padded payload, seeded with the identity */
    uint64_t reserved2;
    struct pst_chunk_piece pieces[PST_CHUNK_PIECES_MAX];
    uint8_t reserved3[8];
};

struct pst_part_sums {
    uint64_t source_bytes; /* in pieces */
    uint64_t stored_bytes; /* of DATA and CATALOGUE payloads, padding not counted */
    uint64_t objects;      /* as the writer counts them: an object in several parts is one's */
    uint64_t chunks;       /* of all types */
    uint64_t unreadable;
};

static inline void pst_part_sums_add(struct pst_part_sums *sums, const struct pst_part_sums *more)
{
    sums->source_bytes += more->source_bytes;
    sums->stored_bytes += more->stored_bytes;
    sums->objects += more->objects;
    sums->chunks += more->chunks;
    sums->unreadable += more->unreadable;
}

/* Where an INDEX chunk lies. */
struct pst_index_link {
    uint64_t file_offset; /* 0: there is none */
    uint64_t chunk;
    struct pst_digest checksum; /* its header's */
    uint32_t file_bytes;        /* header and padded payload */
    uint32_t reserved;
};

struct pst_part_trailer {
    struct pst_block_head head; /* magic "PSTKTRLR" */
    uint64_t file_bytes;        /* of the part file, this block included */
    struct pst_index_link last_index;
    struct pst_digest header_checksum; /* the part header's */
    uint64_t start_gci;
    uint64_t stop_gci;
    struct pst_part_sums sums;
    uint64_t index_chunks;
    uint64_t finished_unix_ns;
    uint64_t reserved2;        /* counted checksums of objects by another rule, before 0.1.0 */
    uint64_t object_sums;      /* records in chunks of sums; 0: written without, or no data */
    uint64_t lz4_chunks;       /* chunks of this codec */
    uint64_t zstd_chunks;      /* likewise */
    uint8_t tag[16];           /* with a cipher: seal.h */
    uint64_t references;       /* records in REFERENCES chunks */
    uint64_t referenced_bytes; /* of these */
    uint8_t reserved[4096 - 280];
};

_Static_assert(sizeof(struct pst_part_header) == 4096, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, chunk_bytes) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, ldm) == 84, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, created_unix_ns) == 88, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, codec) == 96, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, cipher) == 97, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, data_key) == 104, "docs/format.md");
_Static_assert(offsetof(struct pst_part_header, salt) == 120, "docs/format.md");
_Static_assert(sizeof(struct pst_chunk_piece) == 24, "docs/format.md");
_Static_assert(sizeof(struct pst_chunk_header) == PST_CHUNK_HEADER_BYTES, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, type) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, codec) == 82, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, cipher) == 83, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, pieces_count) == 84, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, flags) == 86, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, raw_bytes) == 88, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, stored_bytes) == 92, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, file_offset) == 96, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, payload_checksum) == 104, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, pieces) == 128, "docs/format.md");
_Static_assert(sizeof(struct pst_index_link) == 40, "docs/format.md");
_Static_assert(sizeof(struct pst_part_trailer) == 4096, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, file_bytes) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, last_index) == 88, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, header_checksum) == 128, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, start_gci) == 144, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, stop_gci) == 152, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, sums) == 160, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, index_chunks) == 200, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, finished_unix_ns) == 208, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, object_sums) == 224, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, lz4_chunks) == 232, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, zstd_chunks) == 240, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, tag) == 248, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, references) == 264, "docs/format.md");
_Static_assert(offsetof(struct pst_part_trailer, referenced_bytes) == 272, "docs/format.md");

/* Bytes in the file of a chunk with so much payload: header and padded payload. */
uint64_t pst_chunk_file_bytes(uint32_t stored_bytes);

/* Starts a chunk in a buffer of 4096 + chunk_bytes: clears the header block, not the payload. */
void pst_chunk_begin(void *buffer, enum pst_chunk_type type);

/* Notes a piece of a DATA chunk that lies, or will lie, at payload_offset. Pieces are added in
 * ascending order of payload_offset. -ENOSPC: the table is full, seal this chunk and begin another.
 * The piece may be shortened afterwards through pst_chunk_piece_at (a file that has shrunk). */
int pst_chunk_add_piece(void *buffer, const struct pst_chunk_piece *piece) PST_MUST_USE;

/* Notes what the piece added last is: a chunk of nothing but rows gets PST_CHUNK_ROWS. */
void pst_chunk_note_rows(void *buffer, bool is_rows);
struct pst_chunk_piece *pst_chunk_piece_at(void *buffer, uint32_t piece);
uint32_t pst_chunk_pieces_count(const void *buffer);

/* Zeroes what lies between the pieces, if there are any, and after the payload, fills in the
 * header, computes both checksums. payload_bytes: 1… what the buffer holds, at least the end of the
 * last piece. The buffer must extend to the padded end. Returns the bytes to write at file_offset.
 * For writers of parts: use pst_part_seal_chunk (part.h), which knows number and offset. */
uint64_t format_chunk_seal(void *buffer, const struct pst_part_identity *identity, uint64_t chunk,
                           uint64_t file_offset, uint32_t payload_bytes);

/* The same, sealed where it lies; NULL: as it is. Its pieces are not to be seen any more. */
struct pst_sealed;
uint64_t format_chunk_seal_by(struct pst_sealed *sealed, void *buffer,
                              const struct pst_part_identity *identity, uint64_t chunk,
                              uint64_t file_offset, uint32_t payload_bytes);

/* The same of a DATA or CATALOGUE chunk through a transform, in steps, from buffer into encoded,
 * which has room for so many bytes of payload: header and stored payload come to lie there, and are
 * to be written from there. One that is declined is to be sealed as it is. */
struct format_encoding {
    const struct pst_transform *transform;
    struct pst_sealed *sealed; /* that the transform is of; NULL: of none */
    void *buffer;
    void *encoded;
    struct pst_encoding payload;
};

void format_chunk_begin_encoding(struct format_encoding *encoding, void *buffer,
                                 uint32_t payload_bytes, void *encoded, uint32_t room,
                                 const struct pst_part_identity *identity, uint64_t chunk);
enum pst_encoded format_chunk_encode(struct format_encoding *encoding);

/* Seals what is encoded; returns the bytes to write. */
uint64_t format_chunk_seal_encoded(const struct format_encoding *encoding,
                                   const struct pst_part_identity *identity, uint64_t chunk,
                                   uint64_t file_offset);

/* Checks the first 4096 bytes of a chunk only: bytes >= 4096.
 *   -PST_E_TRUNCATED  bytes is less than a chunk header
 *   -PST_E_CORRUPT    not what was written
 *   -PST_E_NEWER      intact, but of an incompatible version, or an unknown type, codec, cipher
 *   -PST_E_MISPLACED  intact, but of another backup, node, part, or of another place in this one
 * In all cases *damage says where. */
int pst_chunk_check_header(const void *buffer, uint64_t bytes,
                           const struct pst_part_identity *identity, uint64_t chunk,
                           uint64_t file_offset, struct pst_damage *damage) PST_MUST_USE;

/* The pieces alone, once they can be seen: those of a sealed chunk are not looked at by a check. */
int format_chunk_check_pieces(const struct pst_chunk_header *header,
                              struct pst_damage *damage) PST_MUST_USE;

/* Checks header, pieces and payload. -PST_E_TRUNCATED too where bytes is less than the header says
 * (more is fine). A chunk that passes can be read without further checks of ranges. */
int pst_chunk_check(const void *buffer, uint64_t bytes, const struct pst_part_identity *identity,
                    uint64_t chunk, uint64_t file_offset, struct pst_damage *damage) PST_MUST_USE;

const struct pst_chunk_header *pst_chunk_header_of(const void *buffer);
const void *pst_chunk_payload_of(const void *buffer);

/* Whether the payload of a chunk that has passed a check is not the raw one. */
bool pst_chunk_is_encoded(const void *buffer);

/* Whether what lies between the pieces, and behind the last, is zero, as it was written: of a DATA
 * chunk that is not encoded, whose header is whole and whose file bytes are all there. */
bool pst_chunk_gaps_are_zero(const void *buffer);

/* Copies an encoded chunk that has passed pst_chunk_check, with the raw payload in place of the
 * stored one; the header says what it said. decoded has room for so many bytes of payload.
 * -PST_E_CORRUPT; *damage is relative to buffer. */
int pst_chunk_decode(const void *buffer, void *decoded, uint32_t room,
                     struct pst_damage *damage) PST_MUST_USE;

/* Fills the 4096 bytes of block. codec, cipher: none. Returns the header's checksum. */
struct pst_digest pst_part_header_seal(void *block, const struct pst_part_identity *identity,
                                       uint32_t chunk_bytes, uint32_t ldm,
                                       uint64_t created_unix_ns);

/* Names codec and cipher in a sealed part header. Returns the header's checksum. */
struct pst_digest format_part_header_name_transform(void *block,
                                                    const struct pst_transform *transform);

/* Sets bits of the mask incompatible in a sealed part header, of which fields may have been set
 * since. Returns the header's checksum. */
struct pst_digest format_part_header_mark(void *block, uint32_t incompatible);

/* As pst_chunk_check_header; -PST_E_NOT_BACKUP where the magic is another. identity may be NULL:
 * any that is within its ranges. */
int pst_part_header_check(const void *block, uint64_t bytes,
                          const struct pst_part_identity *identity,
                          struct pst_damage *damage) PST_MUST_USE;

/* Completes the head of *trailer, of which the caller filled in the rest, and its checksum.
 * Returns the digest of the part: XXH3-128 of the trailer's 4096 bytes. */
struct pst_digest format_part_trailer_seal(struct pst_part_trailer *trailer,
                                           const struct pst_part_identity *identity);

/* file_bytes: the size of the file that it came from. Also -PST_E_TRUNCATED where the trailer says
 * that the file is longer. */
int pst_part_trailer_check(const void *block, uint64_t bytes, uint64_t file_bytes,
                           const struct pst_part_identity *identity,
                           struct pst_damage *damage) PST_MUST_USE;

/* Digest of a part, from its trailer block. */
struct pst_digest pst_part_digest(const struct pst_part_trailer *trailer);

#endif
