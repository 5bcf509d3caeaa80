/*
 * Sealed parts: what of a chunk, an index and a trailer is encrypted, and what is vouched for by a
 * tag. docs/format.md. What a function opens has passed its check (chunk.h, index.h), which needs
 * no key; a part's key is set in sealed first.
 *
 * Pure, no allocation; sealed is used by one thread at a time. -PST_E_CORRUPT, with *damage: the
 * bytes are intact, but are not what the holder of the key wrote there.
 */
#ifndef PST_ENGINE_FORMAT_SEAL_H
#define PST_ENGINE_FORMAT_SEAL_H

#include "engine/format/chunk.h"
#include "engine/transform/registry/sealed.h"

/* A sealed chunk has room for one piece less: these lie there, up to the end of the header. */
#define PST_CHUNK_SEALED_PIECES_MAX (PST_CHUNK_PIECES_MAX - 1)
struct pst_chunk_tags {
    uint8_t payload[PST_AES_TAG_BYTES];
    uint8_t header[PST_AES_TAG_BYTES];
};

#define PST_CHUNK_TAGS_AT (PST_CHUNK_HEADER_BYTES - (uint32_t)sizeof(struct pst_chunk_tags))
_Static_assert(sizeof(struct pst_chunk_tags) == 32, "docs/format.md");
_Static_assert(offsetof(struct pst_chunk_header, pieces) +
                       PST_CHUNK_SEALED_PIECES_MAX * sizeof(struct pst_chunk_piece) ==
                   PST_CHUNK_TAGS_AT,
               "docs/format.md");

/* What a part's key is derived from, beside the data key: the part header's fields. */
#define PST_PART_BOUND_AT offsetof(struct pst_block_head, identity)
#define PST_PART_BOUND_BYTES (offsetof(struct pst_part_header, reserved) - PST_PART_BOUND_AT)

/* ---- writing, for part.c and chunk.c ---- */

/* Encrypts the payload where it lies, of which the header has the length. */
void format_seal_payload(struct pst_sealed *sealed, struct pst_chunk_header *header);

/* Encrypts the pieces of a header that is complete but for its checksum. */
void format_seal_header(struct pst_sealed *sealed, struct pst_chunk_header *header);

/* Of a trailer that is complete but for its head's magic and checksum. */
void format_seal_trailer(struct pst_sealed *sealed, struct pst_part_trailer *trailer);

/* ---- reading ---- */

static inline bool pst_chunk_is_sealed(const struct pst_chunk_header *header)
{
    return header->cipher != PST_CIPHER_NONE;
}

/* Copies the header of a sealed chunk, with its pieces as they were; the checksum stays that of the
 * sealed one. opened: PST_CHUNK_HEADER_BYTES, or header itself. */
int pst_chunk_open_header(struct pst_sealed *sealed, const struct pst_chunk_header *header,
                          struct pst_chunk_header *opened, struct pst_damage *damage) PST_MUST_USE;

/* As pst_chunk_decode(), of a sealed chunk; the payload in buffer is decrypted where it lies. */
int pst_chunk_open(struct pst_sealed *sealed, void *buffer, void *decoded, uint32_t room,
                   struct pst_damage *damage) PST_MUST_USE;

/* Decrypts the payload of an INDEX chunk where it lies; sealed NULL: of a part that is not sealed,
 * where there is nothing to decrypt, and none may be. */
int pst_index_open(struct pst_sealed *sealed, void *buffer, struct pst_damage *damage) PST_MUST_USE;

int pst_part_trailer_open(struct pst_sealed *sealed, const struct pst_part_trailer *trailer,
                          struct pst_damage *damage) PST_MUST_USE;

#endif
