/* The two ends of a part: its header and its trailer, sealed and checked. Called by part.c, and by
 * readers of parts, on any thread. */
#include <assert.h>
#include <string.h>

#include "engine/format/block.h"
#include "engine/format/chunk.h"
#include "engine/transform/registry/codec_find.h"

static bool chunk_bytes_is_legal(uint32_t chunk_bytes)
{
    return chunk_bytes >= PST_CHUNK_BYTES_MIN && chunk_bytes <= PST_CHUNK_BYTES_MAX &&
           chunk_bytes % PST_BLOCK_BYTES == 0;
}

struct pst_digest pst_part_header_seal(void *block, const struct pst_part_identity *identity,
                                       uint32_t chunk_bytes, uint32_t ldm, uint64_t created_unix_ns)
{
    assert(chunk_bytes_is_legal(chunk_bytes));
    assert(ldm >= 1 && ldm <= PST_LDMS_MAX);
    struct pst_part_header *header = block;
    memset(header, 0, sizeof(*header));
    header->chunk_bytes = chunk_bytes;
    header->ldm = ldm;
    header->created_unix_ns = created_unix_ns;
    format_block_seal(block, PST_MAGIC_PART, identity, 0);
    return header->head.checksum;
}

struct pst_digest format_part_header_name_transform(void *block,
                                                    const struct pst_transform *transform)
{
    struct pst_part_header *header = block;
    header->codec = transform->codec;
    header->cipher = transform->cipher;
    return format_part_header_mark(block, 0);
}

struct pst_digest format_part_header_mark(void *block, uint32_t incompatible)
{
    struct pst_block_head *head = block;
    head->incompatible |= incompatible;
    memset(&head->checksum, 0, sizeof(head->checksum));
    head->checksum = pst_digest_of(block, PST_BLOCK_BYTES, 0);
    return head->checksum;
}

static void restore_header(void *block, const void *context)
{
    (void)context;
    struct pst_part_header *header = block;
    header->head.incompatible &= PST_FORMAT_REFERS;
    header->head.incompatible |= header->cipher != PST_CIPHER_NONE ? PST_FORMAT_SEALED : 0;
    memset(header->reserved, 0, sizeof(header->reserved));
}

int pst_part_header_check(const void *block, uint64_t bytes,
                          const struct pst_part_identity *identity, struct pst_damage *damage)
{
    uint64_t chunk = 0;
    const struct pst_block_expected expected = {
        .magic = PST_MAGIC_PART,
        .what = "part header",
        .identity = identity,
        .chunk = &chunk,
        .restore = restore_header,
    };
    int error = format_block_check(block, bytes, &expected, damage);
    if (error)
        return error;
    const struct pst_part_header *header = block;
    if (!chunk_bytes_is_legal(header->chunk_bytes))
        return DAMAGED_FIELD(damage, struct pst_part_header, chunk_bytes, "chunk size",
                             -PST_E_CORRUPT);
    if (header->ldm < 1 || header->ldm > PST_LDMS_MAX)
        return DAMAGED_FIELD(damage, struct pst_part_header, ldm, "LDM", -PST_E_CORRUPT);
    bool is_known = pst_codec_find(header->codec, header->cipher);
    if (!is_known && header->codec != PST_CODEC_NONE)
        return DAMAGED_FIELD(damage, struct pst_part_header, codec, "codec", -PST_E_NEWER);
    if (!is_known)
        return DAMAGED_FIELD(damage, struct pst_part_header, cipher, "cipher", -PST_E_NEWER);
    return 0;
}

struct pst_digest format_part_trailer_seal(struct pst_part_trailer *trailer,
                                           const struct pst_part_identity *identity)
{
    format_block_seal(trailer, PST_MAGIC_TRAILER, identity, trailer->sums.chunks);
    return pst_part_digest(trailer);
}

struct pst_digest pst_part_digest(const struct pst_part_trailer *trailer)
{
    return pst_digest_of(trailer, sizeof(*trailer), 0);
}

static void restore_trailer(void *block, const void *context)
{
    struct pst_part_trailer *trailer = block;
    trailer->file_bytes = *(const uint64_t *)context;
    trailer->head.chunk = trailer->sums.chunks;
    trailer->last_index.reserved = 0;
    memset(trailer->reserved, 0, sizeof(trailer->reserved));
}

#define FIELD(field, what, error) DAMAGED_FIELD(damage, struct pst_part_trailer, field, what, error)

/* The last index chunk ends where the trailer begins. */
static int check_last_index(const struct pst_part_trailer *trailer, struct pst_damage *damage)
{
    const struct pst_index_link *link = &trailer->last_index;
    uint64_t trailer_offset = trailer->file_bytes - PST_BLOCK_BYTES;
    if (link->file_offset < PST_BLOCK_BYTES || link->file_offset % PST_BLOCK_BYTES != 0 ||
        link->file_bytes < 2 * PST_BLOCK_BYTES ||
        link->file_bytes > PST_BLOCK_BYTES + PST_CHUNK_BYTES_MAX ||
        link->file_bytes % PST_BLOCK_BYTES != 0 || link->file_offset > trailer_offset ||
        link->file_bytes != trailer_offset - link->file_offset)
        return FIELD(last_index, "place of the last index chunk", -PST_E_CORRUPT);
    if (trailer->head.chunk != trailer->sums.chunks || trailer->sums.chunks == 0 ||
        link->chunk != trailer->sums.chunks - 1 || trailer->index_chunks > trailer->sums.chunks)
        return FIELD(sums.chunks, "number of chunks", -PST_E_CORRUPT);
    return 0;
}

int pst_part_trailer_check(const void *block, uint64_t bytes, uint64_t file_bytes,
                           const struct pst_part_identity *identity, struct pst_damage *damage)
{
    const struct pst_block_expected expected = {
        .magic = PST_MAGIC_TRAILER,
        .what = "trailer",
        .identity = identity,
        .restore = restore_trailer,
        .context = &file_bytes,
    };
    int error = format_block_check(block, bytes, &expected, damage);
    if (error)
        return error == -PST_E_NOT_BACKUP ? -PST_E_CORRUPT : error;
    const struct pst_part_trailer *trailer = block;
    if (trailer->file_bytes > file_bytes)
        return FIELD(file_bytes, "length of the part", -PST_E_TRUNCATED);
    if (trailer->file_bytes != file_bytes || file_bytes % PST_BLOCK_BYTES != 0 ||
        file_bytes < 2 * PST_BLOCK_BYTES)
        return FIELD(file_bytes, "length of the part", -PST_E_CORRUPT);
    return check_last_index(trailer, damage);
}
