/* Chunks: filled, sealed, encoded, checked, decoded, all in the caller's buffers. Called by part.c
 * for writers, on an LDM's thread, and by readers of parts, on any. */
#include "engine/format/chunk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/format/block.h"
#include "engine/format/seal.h"
#include "engine/transform/registry/codec_find.h"

#define FIELD(field, what, error) DAMAGED_FIELD(damage, struct pst_chunk_header, field, what, error)

static uint32_t padded(uint32_t bytes)
{
    return (bytes + PST_BLOCK_BYTES - 1) / PST_BLOCK_BYTES * PST_BLOCK_BYTES;
}

uint64_t pst_chunk_file_bytes(uint32_t stored_bytes)
{
    assert(stored_bytes <= PST_CHUNK_BYTES_MAX);
    return PST_CHUNK_HEADER_BYTES + padded(stored_bytes);
}

const struct pst_chunk_header *pst_chunk_header_of(const void *buffer)
{
    return buffer;
}

const void *pst_chunk_payload_of(const void *buffer)
{
    return (const uint8_t *)buffer + PST_CHUNK_HEADER_BYTES;
}

void pst_chunk_begin(void *buffer, enum pst_chunk_type type)
{
    struct pst_chunk_header *header = buffer;
    memset(header, 0, sizeof(*header));
    header->type = (uint16_t)type;
}

int pst_chunk_add_piece(void *buffer, const struct pst_chunk_piece *piece)
{
    struct pst_chunk_header *header = buffer;
    assert(header->type == PST_CHUNK_DATA && piece->object);
    if (header->pieces_count == PST_CHUNK_PIECES_MAX)
        return -ENOSPC;
    header->pieces[header->pieces_count++] = *piece;
    return 0;
}

void pst_chunk_note_rows(void *buffer, bool is_rows)
{
    struct pst_chunk_header *header = buffer;
    if (!is_rows)
        header->flags &= (uint16_t)~PST_CHUNK_ROWS;
    else if (header->pieces_count == 1)
        header->flags |= PST_CHUNK_ROWS;
}

struct pst_chunk_piece *pst_chunk_piece_at(void *buffer, uint32_t piece)
{
    struct pst_chunk_header *header = buffer;
    assert(piece < header->pieces_count);
    return &header->pieces[piece];
}

uint32_t pst_chunk_pieces_count(const void *buffer)
{
    return pst_chunk_header_of(buffer)->pieces_count;
}

/* Binds a payload to its place: a payload under another chunk's header is found. */
static uint64_t payload_seed(const struct pst_chunk_header *header)
{
    size_t from = offsetof(struct pst_block_head, identity);
    const struct pst_digest digest =
        pst_digest_of((const uint8_t *)header + from, sizeof(header->head) - from, 0);
    uint64_t seed;
    memcpy(&seed, digest.bytes, sizeof(seed));
    return seed;
}

static struct pst_digest payload_checksum(const struct pst_chunk_header *header)
{
    return pst_digest_of(pst_chunk_payload_of(header), padded(header->stored_bytes),
                         payload_seed(header));
}

/* What the buffer held before must not reach the disk. */
static void zero_gaps(struct pst_chunk_header *header, uint8_t *payload, uint32_t payload_bytes)
{
    uint32_t end = header->pieces_count > 0 ? 0 : payload_bytes;
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &header->pieces[i];
        assert(piece->payload_offset >= end && piece->payload_offset <= payload_bytes);
        assert(piece->bytes <= payload_bytes - piece->payload_offset);
        memset(payload + end, 0, piece->payload_offset - end);
        end = piece->payload_offset + piece->bytes;
    }
    memset(payload + end, 0, padded(payload_bytes) - end);
}

bool pst_chunk_gaps_are_zero(const void *buffer)
{
    const struct pst_chunk_header *header = buffer;
    const uint8_t *payload = pst_chunk_payload_of(buffer);
    uint32_t end = 0;
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &header->pieces[i];
        if (!format_is_zero(payload + end, piece->payload_offset - end))
            return false;
        end = piece->payload_offset + piece->bytes;
    }
    return format_is_zero(payload + end, padded(header->stored_bytes) - end);
}

/* The payload is complete, its gaps and what follows it zero. */
static uint64_t seal(struct pst_sealed *sealed, struct pst_chunk_header *header,
                     const struct pst_part_identity *identity, uint64_t chunk, uint64_t file_offset,
                     uint32_t stored_bytes)
{
    assert(file_offset % PST_BLOCK_BYTES == 0);
    header->head.identity = *identity;
    header->head.chunk = chunk;
    header->stored_bytes = stored_bytes;
    header->file_offset = file_offset;
    header->payload_checksum = payload_checksum(header);
    if (sealed)
        format_seal_header(sealed, header);
    format_block_seal(header, PST_MAGIC_CHUNK, identity, chunk);
    return pst_chunk_file_bytes(stored_bytes);
}

uint64_t format_chunk_seal_by(struct pst_sealed *sealed, void *buffer,
                              const struct pst_part_identity *identity, uint64_t chunk,
                              uint64_t file_offset, uint32_t payload_bytes)
{
    struct pst_chunk_header *header = buffer;
    assert(header->type >= PST_CHUNK_DATA && header->type <= PST_CHUNK_REFERENCES);
    assert(payload_bytes >= 1 && payload_bytes <= PST_CHUNK_BYTES_MAX);
    zero_gaps(header, (uint8_t *)buffer + PST_CHUNK_HEADER_BYTES, payload_bytes);
    header->raw_bytes = payload_bytes;
    if (sealed) {
        header->cipher = PST_CIPHER_AES_256_GCM;
        header->stored_bytes = payload_bytes;
        header->head.chunk = chunk;
        format_seal_payload(sealed, header);
    }
    return seal(sealed, header, identity, chunk, file_offset, payload_bytes);
}

uint64_t format_chunk_seal(void *buffer, const struct pst_part_identity *identity, uint64_t chunk,
                           uint64_t file_offset, uint32_t payload_bytes)
{
    return format_chunk_seal_by(NULL, buffer, identity, chunk, file_offset, payload_bytes);
}

void format_chunk_begin_encoding(struct format_encoding *encoding, void *buffer,
                                 uint32_t payload_bytes, void *encoded, uint32_t room,
                                 const struct pst_part_identity *identity, uint64_t chunk)
{
    struct pst_chunk_header *header = encoded;
    uint32_t bound = encoding->transform->bound(encoding->transform, payload_bytes);
    assert(payload_bytes >= 1 && payload_bytes <= PST_CHUNK_BYTES_MAX);
    zero_gaps(buffer, (uint8_t *)buffer + PST_CHUNK_HEADER_BYTES, payload_bytes);
    memcpy(header, buffer, sizeof(*header));
    assert(header->type >= PST_CHUNK_DATA && header->type <= PST_CHUNK_REFERENCES &&
           header->type != PST_CHUNK_INDEX);
    header->head.identity = *identity;
    header->head.chunk = chunk;
    encoding->buffer = buffer;
    encoding->encoded = encoded;
    encoding->payload = (struct pst_encoding){
        .head = &header->head,
        .number = chunk,
        .raw = pst_chunk_payload_of(buffer),
        .stored = (uint8_t *)encoded + PST_CHUNK_HEADER_BYTES,
        .raw_bytes = payload_bytes,
        .room = bound < room ? bound : room,
    };
}

enum pst_encoded format_chunk_encode(struct format_encoding *encoding)
{
    if (encoding->payload.room == 0)
        return PST_ENCODE_DECLINED;
    return encoding->transform->encode(encoding->transform, &encoding->payload);
}

uint64_t format_chunk_seal_encoded(const struct format_encoding *encoding,
                                   const struct pst_part_identity *identity, uint64_t chunk,
                                   uint64_t file_offset)
{
    const struct pst_transform *transform = encoding->transform;
    const struct pst_encoding *payload = &encoding->payload;
    struct pst_chunk_header *header = encoding->encoded;
    uint32_t bytes = payload->stored_bytes;
    assert(bytes >= 1 && bytes <= payload->room);
    assert(encoding->sealed || pst_transform_allows(transform, payload->raw_bytes, bytes));
    memset(payload->stored + bytes, 0, padded(bytes) - bytes);
    header->codec = transform->codec;
    header->cipher = transform->cipher;
    header->raw_bytes = payload->raw_bytes;
    if (encoding->sealed)
        memcpy((uint8_t *)header + PST_CHUNK_TAGS_AT, payload->tag, sizeof(payload->tag));
    return seal(encoding->sealed, header, identity, chunk, file_offset, bytes);
}

bool pst_chunk_is_encoded(const void *buffer)
{
    const struct pst_chunk_header *header = buffer;
    return header->codec != PST_CODEC_NONE || header->cipher != PST_CIPHER_NONE;
}

int pst_chunk_decode(const void *buffer, void *decoded, uint32_t room, struct pst_damage *damage)
{
    const struct pst_chunk_header *header = buffer;
    const struct pst_transform *transform = pst_codec_find(header->codec, header->cipher);
    if (pst_chunk_is_sealed(header))
        return FIELD(cipher, "sealed, in a part that is not", -PST_E_CORRUPT);
    assert(transform && transform->decode);
    if (header->raw_bytes > room)
        return FIELD(raw_bytes, "chunk longer than the part's chunk size", -PST_E_CORRUPT);
    memcpy(decoded, buffer, sizeof(*header));
    int error = transform->decode(transform, &header->head, pst_chunk_payload_of(buffer),
                                  header->stored_bytes, (uint8_t *)decoded + sizeof(*header),
                                  header->raw_bytes);
    if (error)
        return format_damage_set(damage, PST_CHUNK_HEADER_BYTES, header->stored_bytes,
                                 "encoded payload", error);
    return 0;
}

static void restore_chunk_header(void *block, const void *context)
{
    struct pst_chunk_header *header = block;
    header->file_offset = *(const uint64_t *)context;
    header->flags &= PST_CHUNK_ROWS;
    header->reserved2 = 0;
    if (pst_chunk_is_sealed(header))
        return;
    memset(header->reserved3, 0, sizeof(header->reserved3));
    if (header->type == PST_CHUNK_CATALOGUE)
        return; /* a filter lies there: directories.h */
    for (uint32_t i = header->pieces_count; i < PST_CHUNK_PIECES_MAX; i++)
        memset(&header->pieces[i], 0, sizeof(header->pieces[i]));
}

static int check_pieces_count(const struct pst_chunk_header *header, struct pst_damage *damage)
{
    uint32_t most =
        pst_chunk_is_sealed(header) ? PST_CHUNK_SEALED_PIECES_MAX : PST_CHUNK_PIECES_MAX;
    if (header->pieces_count > (header->type == PST_CHUNK_DATA ? most : 0))
        return FIELD(pieces_count, "number of pieces", -PST_E_CORRUPT);
    return 0;
}

int format_chunk_check_pieces(const struct pst_chunk_header *header, struct pst_damage *damage)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &header->pieces[i];
        uint64_t piece_end = (uint64_t)piece->payload_offset + piece->bytes;
        if (piece->object == 0 || piece->payload_offset < end || piece_end > header->raw_bytes ||
            piece->object_offset > (uint64_t)INT64_MAX - piece->bytes)
            return format_damage_set(damage,
                                     offsetof(struct pst_chunk_header, pieces) + i * sizeof(*piece),
                                     sizeof(*piece), "piece out of its range", -PST_E_CORRUPT);
        end = piece_end;
    }
    return 0;
}

static int check_fields(const struct pst_chunk_header *header, struct pst_damage *damage)
{
    if (header->type == 0)
        return FIELD(type, "chunk type", -PST_E_CORRUPT);
    if (header->type > PST_CHUNK_REFERENCES)
        return FIELD(type, "chunk type", -PST_E_NEWER);
    const struct pst_transform *transform = pst_codec_find(header->codec, header->cipher);
    if (header->type == PST_CHUNK_INDEX && header->codec != PST_CODEC_NONE)
        transform = NULL; /* so far no index has one */
    if (!transform && header->codec != PST_CODEC_NONE)
        return FIELD(codec, "codec", -PST_E_NEWER);
    if (!transform)
        return FIELD(cipher, "cipher", -PST_E_NEWER);
    if (header->stored_bytes == 0 || header->stored_bytes > PST_CHUNK_BYTES_MAX)
        return FIELD(stored_bytes, "stored length", -PST_E_CORRUPT);
    if (!pst_transform_allows(transform, header->raw_bytes, header->stored_bytes))
        return FIELD(raw_bytes, "raw length", -PST_E_CORRUPT);
    int error = check_pieces_count(header, damage);
    return error || pst_chunk_is_sealed(header) ? error : format_chunk_check_pieces(header, damage);
}

int pst_chunk_check_header(const void *buffer, uint64_t bytes,
                           const struct pst_part_identity *identity, uint64_t chunk,
                           uint64_t file_offset, struct pst_damage *damage)
{
    const struct pst_block_expected expected = {
        .magic = PST_MAGIC_CHUNK,
        .what = "chunk header",
        .identity = identity,
        .chunk = &chunk,
        .restore = restore_chunk_header,
        .context = &file_offset,
    };
    int error = format_block_check(buffer, bytes, &expected, damage);
    if (error)
        return error == -PST_E_NOT_BACKUP ? -PST_E_CORRUPT : error;
    const struct pst_chunk_header *header = buffer;
    if (header->file_offset != file_offset)
        return FIELD(file_offset, "chunk of another offset", -PST_E_MISPLACED);
    return check_fields(header, damage);
}

static int damaged_payload(const struct pst_chunk_header *header, struct pst_damage *damage)
{
    const uint8_t *payload = pst_chunk_payload_of(header);
    format_damage_set(damage, PST_CHUNK_HEADER_BYTES, padded(header->stored_bytes), "payload", 0);
    for (uint32_t i = header->stored_bytes; i < padded(header->stored_bytes); i++) {
        if (payload[i] != 0)
            return format_damage_set(damage, PST_CHUNK_HEADER_BYTES + i, 1, "padding",
                                     -PST_E_CORRUPT);
    }
    return -PST_E_CORRUPT;
}

int pst_chunk_check(const void *buffer, uint64_t bytes, const struct pst_part_identity *identity,
                    uint64_t chunk, uint64_t file_offset, struct pst_damage *damage)
{
    int error = pst_chunk_check_header(buffer, bytes, identity, chunk, file_offset, damage);
    if (error)
        return error;
    const struct pst_chunk_header *header = buffer;
    uint64_t file_bytes = pst_chunk_file_bytes(header->stored_bytes);
    if (bytes < file_bytes)
        return format_damage_set(damage, bytes, file_bytes - bytes, "payload", -PST_E_TRUNCATED);
    const struct pst_digest checksum = payload_checksum(header);
    if (!pst_digest_equal(&checksum, &header->payload_checksum))
        return damaged_payload(header, damage);
    return 0;
}
