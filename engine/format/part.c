/* The sequence of a part: chunks numbered and placed one behind the other, then index and trailer.
 * Called by the pipeline's chunk pool, on the LDM's thread. */
#include "engine/format/part.h"

#include <assert.h>
#include <string.h>

#include "engine/format/block.h"
#include "engine/format/decoding.h"
#include "engine/format/directories.h"

void pst_part_begin(struct pst_part *part, const struct pst_part_identity *identity,
                    uint32_t chunk_bytes, uint32_t ldm, uint64_t created_unix_ns, void *block)
{
    *part = (struct pst_part){
        .identity = *identity,
        .chunk_bytes = chunk_bytes,
        .next_offset = PST_BLOCK_BYTES,
    };
    part->header_checksum =
        pst_part_header_seal(block, identity, chunk_bytes, ldm, created_unix_ns);
    format_index_init(&part->index);
}

void pst_part_name_transform(struct pst_part *part, const struct pst_transform *transform,
                             void *block)
{
    assert(part->next_chunk == 0);
    part->header_checksum = format_part_header_name_transform(block, transform);
}

void pst_part_note_base(struct pst_part *part, void *block)
{
    assert(part->next_chunk == 0);
    part->header_checksum = format_part_header_mark(block, PST_FORMAT_REFERS);
}

void pst_part_begin_sealing(struct pst_part *part, struct pst_sealed *sealed, void *block)
{
    assert(part->next_chunk == 0);
    part->sealed = part->index.sealed = sealed;
    part->header_checksum = format_part_header_mark(block, PST_FORMAT_SEALED);
}

void pst_part_begin_tail(struct pst_part *part, struct pst_sealed *sealed)
{
    assert(!part->sealed);
    part->sealed = sealed;
    part->index.sealed = sealed;
}

void pst_part_keep_raw_digest(struct pst_part *part)
{
    assert(part->next_chunk == 0);
    part->has_raw_digest = true;
}

void pst_part_attach_index(struct pst_part *part, void *buffer)
{
    format_index_attach(&part->index, buffer, part->chunk_bytes);
}

static struct pst_part_place take_place(struct pst_part *part, uint64_t bytes)
{
    const struct pst_part_place place = {.file_offset = part->next_offset, .bytes = bytes};
    assert(!part->encoding.transform); /* which has this number */
    part->next_offset += bytes;
    part->next_chunk++;
    part->sums.chunks++;
    return place;
}

static void count_references(struct pst_part *part, const void *payload)
{
    const struct pst_references_head *head = payload;
    const struct pst_reference *records = pst_references_records(payload);
    part->references += head->records_count;
    for (uint32_t i = 0; i < head->records_count; i++)
        part->referenced_bytes += records[i].bytes;
}

void pst_part_note_hash(struct pst_part *part, const uint8_t hash[PST_REFERENCE_HASH_BYTES],
                        uint64_t object_offset)
{
    part->has_hash = true;
    memcpy(part->hash, hash, sizeof(part->hash));
    part->hash_offset = object_offset;
}

/* chunk: sealed, bytes long in the file; payload: its raw one. */
static struct pst_part_place enter(struct pst_part *part, const void *chunk, const void *payload,
                                   uint64_t bytes)
{
    format_index_add(&part->index, chunk, payload);
    if (part->has_hash)
        format_index_note_hash(&part->index, part->hash, part->hash_offset);
    part->has_hash = false;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    for (uint32_t i = 0; i < header->pieces_count; i++)
        part->sums.source_bytes += header->pieces[i].bytes;
    part->sums.stored_bytes += header->stored_bytes;
    if (header->type == PST_CHUNK_REFERENCES)
        count_references(part, payload);
    if (header->codec < PST_CODECS)
        part->codec_chunks[header->codec]++;
    if (header->pieces_count > 0 && part->object_sums.buffer)
        format_sums_add(&part->object_sums, header, payload);
    return take_place(part, bytes);
}

bool pst_part_is_blank(const void *block, uint64_t bytes)
{
    return format_is_zero(block, bytes);
}

void pst_part_resume(struct pst_part *part, const void *block)
{
    const struct pst_part_header *header = block;
    *part = (struct pst_part){
        .identity = header->head.identity,
        .chunk_bytes = header->chunk_bytes,
        .next_offset = PST_BLOCK_BYTES,
        .header_checksum = header->head.checksum,
    };
    format_index_init(&part->index);
}

/* The checksums that were gathered stand in this one. */
static int adopt_sums(struct pst_part *part, const void *chunk)
{
    const struct pst_object_sum *sums;
    struct pst_damage damage;
    uint32_t count;
    int error = pst_sums_read(chunk, &sums, &count, &damage);
    if (error || count != part->object_sums.records_count)
        return -PST_E_CORRUPT;
    part->object_sums.records_count = 0;
    part->object_sums.sealed += count;
    return 0;
}

int pst_part_adopt(struct pst_part *part, const void *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    uint64_t bytes = pst_chunk_file_bytes(header->stored_bytes);
    bool has_pieces = header->pieces_count > 0;
    assert(header->head.chunk == part->next_chunk && header->file_offset == part->next_offset);
    if (header->type == PST_CHUNK_INDEX) {
        int error = format_index_adopt(&part->index, chunk);
        if (!error)
            (void)take_place(part, bytes);
        return error;
    }
    if (pst_part_index_is_full(part) || (has_pieces && pst_part_sums_are_full(part)))
        return -PST_E_CORRUPT;
    int error = header->type == PST_CHUNK_DATA && !has_pieces ? adopt_sums(part, chunk) : 0;
    if (!error)
        (void)enter(part, chunk, pst_chunk_payload_of(chunk), bytes);
    return error;
}

static void note_directories(void *buffer, uint32_t payload_bytes)
{
    if (pst_chunk_header_of(buffer)->type == PST_CHUNK_CATALOGUE)
        format_directories_note(buffer, payload_bytes);
}

struct pst_part_place pst_part_seal_chunk(struct pst_part *part, void *buffer,
                                          uint32_t payload_bytes)
{
    assert(payload_bytes <= part->chunk_bytes);
    assert(!part->sealed || pst_chunk_pieces_count(buffer) == 0);
    note_directories(buffer, payload_bytes);
    uint64_t bytes = format_chunk_seal_by(part->sealed, buffer, &part->identity, part->next_chunk,
                                          part->next_offset, payload_bytes);
    return enter(part, buffer, pst_chunk_payload_of(buffer), bytes);
}

void pst_part_begin_encoding(struct pst_part *part, const struct pst_transform *transform,
                             void *buffer, uint32_t payload_bytes, void *encoded)
{
    assert(!part->encoding.transform && payload_bytes <= part->chunk_bytes);
    note_directories(buffer, payload_bytes);
    part->encoding.transform = transform;
    part->encoding.sealed = part->sealed;
    format_chunk_begin_encoding(&part->encoding, buffer, payload_bytes, encoded, part->chunk_bytes,
                                &part->identity, part->next_chunk);
}

enum pst_encoded pst_part_encode(struct pst_part *part, struct pst_part_place *place)
{
    struct format_encoding encoding;
    enum pst_encoded end = format_chunk_encode(&part->encoding);
    if (end == PST_ENCODE_MORE)
        return end;
    encoding = part->encoding;
    part->encoding.transform = NULL;
    if (end == PST_ENCODED) {
        uint64_t bytes = format_chunk_seal_encoded(&encoding, &part->identity, part->next_chunk,
                                                   part->next_offset);
        /* the pieces can be seen in the buffer alone, if it is sealed */
        memcpy(encoding.buffer, encoding.encoded, offsetof(struct pst_chunk_header, pieces));
        if (part->has_raw_digest)
            pst_raw_digest_add(&part->raw_digest, encoding.buffer, encoding.payload.raw);
        *place = enter(part, encoding.buffer, encoding.payload.raw, bytes);
    }
    return end;
}

void pst_part_leave_encoding(struct pst_part *part)
{
    part->encoding.transform = NULL;
}

bool pst_part_index_is_full(const struct pst_part *part)
{
    return format_index_is_full(&part->index);
}

void pst_part_attach_sums(struct pst_part *part, void *buffer, uint32_t payload_bytes)
{
    assert(payload_bytes <= part->chunk_bytes);
    format_sums_attach(&part->object_sums, buffer, payload_bytes);
}

bool pst_part_sums_are_full(const struct pst_part *part)
{
    return format_sums_are_full(&part->object_sums);
}

bool pst_part_has_sums(const struct pst_part *part)
{
    return part->object_sums.buffer && part->object_sums.records_count > 0;
}

struct pst_part_place pst_part_seal_sums(struct pst_part *part)
{
    void *buffer = part->object_sums.buffer;
    uint32_t payload_bytes = format_sums_end(&part->object_sums);
    return pst_part_seal_chunk(part, buffer, payload_bytes);
}

struct pst_part_place pst_part_seal_index(struct pst_part *part)
{
    uint64_t bytes =
        format_index_seal(&part->index, &part->identity, part->next_chunk, part->next_offset);
    return take_place(part, bytes);
}

struct pst_part_place pst_part_seal_trailer(struct pst_part *part, uint64_t start_gci,
                                            uint64_t stop_gci, uint64_t finished_unix_ns,
                                            void *block, struct pst_digest *digest)
{
    assert(!part->index.buffer && part->index.index_chunks >= 1);
    const struct pst_part_place place = {part->next_offset, PST_BLOCK_BYTES};
    struct pst_part_trailer *trailer = block;
    memset(trailer, 0, sizeof(*trailer));
    trailer->file_bytes = place.file_offset + place.bytes;
    trailer->last_index = part->index.last;
    trailer->header_checksum = part->header_checksum;
    trailer->start_gci = start_gci;
    trailer->stop_gci = stop_gci;
    trailer->sums = part->sums;
    trailer->index_chunks = part->index.index_chunks;
    trailer->finished_unix_ns = finished_unix_ns;
    trailer->object_sums = part->object_sums.sealed;
    trailer->lz4_chunks = part->codec_chunks[PST_CODEC_LZ4];
    trailer->zstd_chunks = part->codec_chunks[PST_CODEC_ZSTD];
    trailer->references = part->references;
    trailer->referenced_bytes = part->referenced_bytes;
    if (part->sealed) {
        trailer->head.identity = part->identity;
        trailer->head.chunk = trailer->sums.chunks;
        format_seal_trailer(part->sealed, trailer);
    }
    *digest = format_part_trailer_seal(trailer, &part->identity);
    return place;
}
