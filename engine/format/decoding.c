/* Chunks decoded in steps, and the digest of what they were before. Called by part.c as they are
 * encoded, and by the pipeline as they are read back, on the LDM's thread. */
#include "engine/format/decoding.h"

#include <string.h>

#include "engine/format/block.h"

/* Joined to the digest of those before. */
struct raw_chunk {
    struct pst_digest before;
    struct pst_digest pieces;
    struct pst_digest payload;
    uint64_t chunk;
    uint32_t raw_bytes;
    uint32_t type;
};

void pst_raw_digest_add(struct pst_digest *digest, const struct pst_chunk_header *header,
                        const void *payload)
{
    struct raw_chunk raw;
    memset(&raw, 0, sizeof(raw));
    raw.before = *digest;
    raw.pieces = pst_digest_of(header->pieces, header->pieces_count * sizeof(*header->pieces), 0);
    raw.payload = pst_digest_of(payload, header->raw_bytes, 0);
    raw.chunk = header->head.chunk;
    raw.raw_bytes = header->raw_bytes;
    raw.type = header->type;
    *digest = pst_digest_of(&raw, sizeof(raw), 0);
}

bool pst_chunk_is_digested(const struct pst_chunk_header *chunk)
{
    return chunk->type == PST_CHUNK_CATALOGUE || chunk->type == PST_CHUNK_REFERENCES ||
           chunk->pieces_count > 0;
}

int pst_chunk_begin_decoding(struct pst_chunk_decoding *decoding, uint32_t chunk_bytes,
                             struct pst_damage *damage)
{
    const struct pst_chunk_header *chunk = decoding->chunk;
    uint8_t *raw = (uint8_t *)decoding->decoded + PST_CHUNK_HEADER_BYTES;
    uint8_t *stored = (uint8_t *)decoding->chunk + PST_CHUNK_HEADER_BYTES;
    if (chunk->raw_bytes > chunk_bytes)
        return DAMAGED_FIELD(damage, struct pst_chunk_header, raw_bytes,
                             "chunk longer than the part's chunk size", -PST_E_CORRUPT);
    if (!!decoding->sealed != pst_chunk_is_sealed(chunk))
        return DAMAGED_FIELD(damage, struct pst_chunk_header, cipher, "cipher", -PST_E_CORRUPT);
    if (!!decoding->codec != (chunk->codec != PST_CODEC_NONE))
        return DAMAGED_FIELD(damage, struct pst_chunk_header, codec, "codec", -PST_E_CORRUPT);
    memcpy(decoding->decoded, chunk, sizeof(*chunk));
    decoding->payload = (struct pst_decoding){.stored = stored,
                                              .raw = raw,
                                              .stored_bytes = chunk->stored_bytes,
                                              .raw_bytes = chunk->raw_bytes};
    decoding->is_open = !decoding->sealed;
    if (decoding->is_open)
        return 0;
    int error = pst_chunk_open_header(decoding->sealed, chunk, decoding->decoded, damage);
    if (!error)
        pst_sealed_begin_unsealing(decoding->sealed, chunk->head.chunk);
    return error;
}

static enum pst_decoded open_step(struct pst_chunk_decoding *decoding)
{
    const struct pst_chunk_header *chunk = decoding->chunk;
    const struct pst_chunk_tags *tags =
        (const struct pst_chunk_tags *)((const uint8_t *)chunk + PST_CHUNK_TAGS_AT);
    struct pst_decoding *payload = &decoding->payload;
    uint8_t *stored = (uint8_t *)decoding->chunk + PST_CHUNK_HEADER_BYTES;
    enum pst_decoded end =
        pst_sealed_unseal_step(decoding->sealed, stored, payload->stored_bytes, tags->payload);
    if (end != PST_DECODED)
        return end;
    decoding->is_open = true;
    if (decoding->codec)
        return PST_DECODE_MORE;
    memcpy(payload->raw, stored, payload->raw_bytes);
    return PST_DECODED;
}

enum pst_decoded pst_chunk_decode_step(struct pst_chunk_decoding *decoding,
                                       struct pst_damage *damage)
{
    enum pst_decoded end = decoding->is_open
                               ? decoding->codec->decode_step(decoding->codec, &decoding->payload)
                               : open_step(decoding);
    if (end == PST_DECODE_CORRUPT)
        (void)format_damage_set(damage, PST_CHUNK_HEADER_BYTES, decoding->payload.stored_bytes,
                                "payload that was encoded wrong, with the right checksum,",
                                -PST_E_CORRUPT);
    return end;
}
