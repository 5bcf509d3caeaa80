/* Opens what seal.c has sealed. Called by readers of parts, on any thread. */
#include <errno.h>
#include <string.h>

#include "engine/format/block.h"
#include "engine/format/sealed_layout.h"
#include "engine/transform/registry/codec_find.h"

#define FORGED "not what was sealed here"

static const struct pst_chunk_tags *tags_in(const void *header)
{
    return (const struct pst_chunk_tags *)((const uint8_t *)header + PST_CHUNK_TAGS_AT);
}

int pst_part_trailer_open(struct pst_sealed *sealed, const struct pst_part_trailer *trailer,
                          struct pst_damage *damage)
{
    if (pst_sealed_unseal(sealed, trailer->head.chunk, PST_SEALED_TRAILER, format_bound_of(trailer),
                          FORMAT_TRAILER_BOUND_BYTES, NULL, NULL, 0, trailer->tag))
        return 0;
    return format_damage_set(damage, 0, sizeof(*trailer), "trailer: " FORGED, -PST_E_CORRUPT);
}

int pst_chunk_open_header(struct pst_sealed *sealed, const struct pst_chunk_header *header,
                          struct pst_chunk_header *opened, struct pst_damage *damage)
{
    if (!pst_chunk_is_sealed(header))
        return DAMAGED_FIELD(damage, struct pst_chunk_header, cipher, FORGED, -PST_E_CORRUPT);
    if (opened != header)
        memcpy(opened, header, sizeof(*opened));
    if (!pst_sealed_unseal(sealed, header->head.chunk, PST_SEALED_HEADER, format_bound_of(header),
                           FORMAT_HEADER_BOUND_BYTES, header->pieces, opened->pieces,
                           FORMAT_PIECES_BYTES, tags_in(header)->header))
        return format_damage_set(damage, 0, sizeof(*header), "chunk header: " FORGED,
                                 -PST_E_CORRUPT);
    return format_chunk_check_pieces(opened, damage);
}

static int open_payload(struct pst_sealed *sealed, void *buffer, void *out,
                        struct pst_damage *damage)
{
    const struct pst_chunk_header *header = buffer;
    if (pst_sealed_unseal(sealed, header->head.chunk, PST_SEALED_PAYLOAD, NULL, 0,
                          pst_chunk_payload_of(buffer), out, header->stored_bytes,
                          tags_in(header)->payload))
        return 0;
    return format_damage_set(damage, PST_CHUNK_HEADER_BYTES, header->stored_bytes,
                             "payload: " FORGED, -PST_E_CORRUPT);
}

int pst_chunk_open(struct pst_sealed *sealed, void *buffer, void *decoded, uint32_t room,
                   struct pst_damage *damage)
{
    struct pst_chunk_header *header = buffer;
    uint8_t *payload = (uint8_t *)buffer + PST_CHUNK_HEADER_BYTES;
    uint8_t *raw = (uint8_t *)decoded + PST_CHUNK_HEADER_BYTES;
    bool is_encoded = header->codec != PST_CODEC_NONE;
    if (header->raw_bytes > room)
        return DAMAGED_FIELD(damage, struct pst_chunk_header, raw_bytes,
                             "chunk longer than the part's chunk size", -PST_E_CORRUPT);
    int error = pst_chunk_open_header(sealed, header, decoded, damage);
    if (!error)
        error = open_payload(sealed, buffer, is_encoded ? payload : raw, damage);
    if (error || !is_encoded)
        return error;
    const struct pst_transform *codec = pst_codec_find(header->codec, PST_CIPHER_NONE);
    error =
        codec->decode(codec, &header->head, payload, header->stored_bytes, raw, header->raw_bytes);
    if (error)
        return format_damage_set(damage, PST_CHUNK_HEADER_BYTES, header->stored_bytes,
                                 "encoded payload", error);
    return 0;
}

int pst_index_open(struct pst_sealed *sealed, void *buffer, struct pst_damage *damage)
{
    struct pst_chunk_header *header = buffer;
    if (!sealed && !pst_chunk_is_sealed(header))
        return 0;
    if (!sealed)
        return DAMAGED_FIELD(damage, struct pst_chunk_header, cipher, FORGED, -PST_E_CORRUPT);
    int error = pst_chunk_open_header(sealed, header, header, damage);
    return error ? error
                 : open_payload(sealed, buffer, (uint8_t *)buffer + PST_CHUNK_HEADER_BYTES, damage);
}
