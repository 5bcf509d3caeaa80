/* INDEX chunks: gathers entries for part.c, on an LDM's thread; checks them, and chunks against
 * them, for readers of parts, on any. */
#include "engine/format/index.h"

#include <assert.h>
#include <string.h>

#include "engine/format/block.h"
#include "engine/format/object.h"
#include "engine/format/references.h"
#include "engine/transform/registry/codec_find.h"

static struct pst_index_head *head_of(void *buffer)
{
    return (struct pst_index_head *)((uint8_t *)buffer + PST_CHUNK_HEADER_BYTES);
}

static struct pst_index_entry *entries_of(void *buffer)
{
    return (struct pst_index_entry *)(head_of(buffer) + 1);
}

void format_index_init(struct pst_index_builder *builder)
{
    *builder = (struct pst_index_builder){0};
}

void format_index_attach(struct pst_index_builder *builder, void *buffer, uint32_t chunk_bytes)
{
    assert(!builder->buffer);
    builder->buffer = buffer;
    builder->entries_count = 0;
    builder->entries_max = PST_INDEX_ENTRIES(chunk_bytes);
    pst_chunk_begin(buffer, PST_CHUNK_INDEX);
}

bool format_index_is_full(const struct pst_index_builder *builder)
{
    return builder->entries_count == builder->entries_max;
}

/* They ascend. */
static void fill_references_range(const void *payload, struct pst_index_entry *entry)
{
    const struct pst_references_head *head = payload;
    const struct pst_reference *records = pst_references_records(payload);
    entry->object_first = records[0].object;
    entry->object_last = records[head->records_count - 1].object;
}

static void fill_object_range(const struct pst_chunk_header *header, const void *payload,
                              struct pst_index_entry *entry)
{
    if (header->type == PST_CHUNK_CATALOGUE) {
        const struct pst_object_range range = format_object_range_of(payload, header->raw_bytes);
        entry->object_first = range.first;
        entry->object_last = range.last;
        return;
    }
    if (header->type == PST_CHUNK_REFERENCES) {
        fill_references_range(payload, entry);
        return;
    }
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        uint64_t object = header->pieces[i].object;
        if (i == 0 || object < entry->object_first)
            entry->object_first = object;
        if (object > entry->object_last)
            entry->object_last = object;
    }
}

void pst_index_entry_fill(struct pst_index_entry *entry, const struct pst_chunk_header *header)
{
    *entry = (struct pst_index_entry){
        .chunk = header->head.chunk,
        .file_offset = header->file_offset,
        .raw_bytes = header->raw_bytes,
        .stored_bytes = header->stored_bytes,
        .type = header->type,
        .codec = header->codec,
        .cipher = header->cipher,
        .pieces_count = header->pieces_count,
        .location = PST_LOCATION_HERE,
        .hash_kind = PST_HASH_NONE,
        .checksum = header->head.checksum,
    };
}

void format_index_add(struct pst_index_builder *builder, const void *chunk, const void *payload)
{
    assert(builder->buffer && !format_index_is_full(builder));
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    assert(header->type != PST_CHUNK_INDEX);
    struct pst_index_entry *entry = &entries_of(builder->buffer)[builder->entries_count++];
    pst_index_entry_fill(entry, header);
    fill_object_range(header, payload, entry);
}

void format_index_note_hash(struct pst_index_builder *builder, const uint8_t hash[32],
                            uint64_t object_offset)
{
    assert(builder->entries_count > 0);
    struct pst_index_entry *entry = &entries_of(builder->buffer)[builder->entries_count - 1];
    assert(entry->type == PST_CHUNK_DATA && entry->pieces_count == 1);
    entry->hash_kind = PST_HASH_SHA_256;
    memcpy(entry->hash, hash, sizeof(entry->hash));
    entry->origin_chunk = object_offset;
}

uint64_t format_index_seal(struct pst_index_builder *builder,
                           const struct pst_part_identity *identity, uint64_t chunk,
                           uint64_t file_offset)
{
    assert(builder->buffer);
    void *buffer = builder->buffer;
    *head_of(buffer) = (struct pst_index_head){
        .previous = builder->last,
        .entries_count = builder->entries_count,
        .entry_bytes = sizeof(struct pst_index_entry),
    };
    uint32_t payload_bytes = (uint32_t)(sizeof(struct pst_index_head) +
                                        builder->entries_count * sizeof(struct pst_index_entry));
    uint64_t bytes =
        format_chunk_seal_by(builder->sealed, buffer, identity, chunk, file_offset, payload_bytes);
    builder->last = (struct pst_index_link){
        .file_offset = file_offset,
        .chunk = chunk,
        .checksum = pst_chunk_header_of(buffer)->head.checksum,
        .file_bytes = (uint32_t)bytes,
    };
    builder->index_chunks++;
    builder->buffer = NULL;
    return bytes;
}

static bool is_same_chunk(const struct pst_index_entry *one, const struct pst_index_entry *other)
{
    return one->chunk == other->chunk && pst_digest_equal(&one->checksum, &other->checksum);
}

int format_index_adopt(struct pst_index_builder *builder, const void *chunk)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const struct pst_index_entry *entries = entries_of(builder->buffer);
    struct pst_index_view view;
    struct pst_damage damage;
    int error = pst_index_read(chunk, &view, &damage);
    if (error || view.entries_count != builder->entries_count ||
        memcmp(&view.head->previous, &builder->last, sizeof(builder->last)) != 0)
        return -PST_E_CORRUPT;
    for (uint32_t i = 0; i < view.entries_count; i++) {
        if (!is_same_chunk(&view.entries[i], &entries[i]))
            return -PST_E_CORRUPT;
    }
    builder->last = (struct pst_index_link){
        .file_offset = header->file_offset,
        .chunk = header->head.chunk,
        .checksum = header->head.checksum,
        .file_bytes = (uint32_t)pst_chunk_file_bytes(header->stored_bytes),
    };
    builder->entries_count = 0;
    builder->index_chunks++;
    return 0;
}

/* Where the next chunk of a part has to lie. */
struct position {
    uint64_t chunk;
    uint64_t file_offset;
};

static int damaged_entry(struct pst_damage *damage, uint32_t i, const char *what, int error)
{
    return format_damage_set(damage,
                             PST_CHUNK_HEADER_BYTES + sizeof(struct pst_index_head) +
                                 i * sizeof(struct pst_index_entry),
                             sizeof(struct pst_index_entry), what, error);
}

/* All chunks of a part have the cipher of its index. */
static int check_entry(const struct pst_index_entry *entry, uint8_t cipher, uint32_t i,
                       struct position *next, struct pst_damage *damage)
{
    const struct pst_transform *transform = pst_codec_find(entry->codec, entry->cipher);
    if (entry->location != PST_LOCATION_HERE || !transform || entry->type > PST_CHUNK_REFERENCES ||
        entry->hash_kind > PST_HASH_SHA_256)
        return damaged_entry(damage, i, "index entry of an unknown kind", -PST_E_NEWER);
    if (entry->hash_kind == PST_HASH_SHA_256 &&
        (entry->type != PST_CHUNK_DATA || entry->pieces_count != 1))
        return damaged_entry(damage, i, "index entry: hash of no piece", -PST_E_CORRUPT);
    if (entry->type == 0 || entry->type == PST_CHUNK_INDEX)
        return damaged_entry(damage, i, "index entry: chunk type", -PST_E_CORRUPT);
    if (entry->stored_bytes == 0 || entry->stored_bytes > PST_CHUNK_BYTES_MAX ||
        !pst_transform_allows(transform, entry->raw_bytes, entry->stored_bytes) ||
        entry->cipher != cipher || entry->pieces_count > PST_CHUNK_PIECES_MAX ||
        entry->object_first > entry->object_last)
        return damaged_entry(damage, i, "index entry: range", -PST_E_CORRUPT);
    if (entry->chunk != next->chunk || entry->file_offset != next->file_offset)
        return damaged_entry(damage, i, "index entry: chunks do not adjoin", -PST_E_CORRUPT);
    next->chunk++;
    next->file_offset += pst_chunk_file_bytes(entry->stored_bytes);
    return 0;
}

static int damaged_head(struct pst_damage *damage, const char *what)
{
    return format_damage_set(damage, PST_CHUNK_HEADER_BYTES, sizeof(struct pst_index_head), what,
                             -PST_E_CORRUPT);
}

static int check_previous(const struct pst_chunk_header *header,
                          const struct pst_index_link *previous, struct position *next,
                          struct pst_damage *damage)
{
    *next = (struct position){.chunk = 0, .file_offset = PST_BLOCK_BYTES};
    if (previous->file_offset == 0)
        return 0;
    if (previous->file_offset % PST_BLOCK_BYTES != 0 ||
        previous->file_bytes % PST_BLOCK_BYTES != 0 || previous->file_bytes < 2 * PST_BLOCK_BYTES ||
        previous->file_bytes > PST_BLOCK_BYTES + PST_CHUNK_BYTES_MAX ||
        previous->file_offset >= header->file_offset ||
        previous->file_bytes > header->file_offset - previous->file_offset ||
        previous->chunk >= header->head.chunk)
        return damaged_head(damage, "index: place of the previous one");
    next->chunk = previous->chunk + 1;
    next->file_offset = previous->file_offset + previous->file_bytes;
    return 0;
}

int pst_index_read(const void *buffer, struct pst_index_view *view, struct pst_damage *damage)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    const struct pst_index_head *head = pst_chunk_payload_of(buffer);
    if (header->type != PST_CHUNK_INDEX)
        return DAMAGED_FIELD(damage, struct pst_chunk_header, type, "not an index chunk",
                             -PST_E_CORRUPT);
    if (header->raw_bytes < sizeof(*head) || head->entry_bytes != sizeof(struct pst_index_entry) ||
        head->entries_count != (header->raw_bytes - sizeof(*head)) / head->entry_bytes ||
        (header->raw_bytes - sizeof(*head)) % head->entry_bytes != 0)
        return damaged_head(damage, "index: number of entries");

    struct position next;
    int error = check_previous(header, &head->previous, &next, damage);
    const struct pst_index_entry *entries = (const struct pst_index_entry *)(head + 1);
    for (uint32_t i = 0; !error && i < head->entries_count; i++)
        error = check_entry(&entries[i], header->cipher, i, &next, damage);
    if (error)
        return error;
    if (next.chunk != header->head.chunk || next.file_offset != header->file_offset)
        return damaged_head(damage, "index: does not adjoin its last chunk");
    *view = (struct pst_index_view){head, entries, head->entries_count};
    return 0;
}

static int compare_with_entry(const struct pst_index_entry *entry,
                              const struct pst_chunk_header *header, struct pst_damage *damage)
{
    if (pst_digest_equal(&header->head.checksum, &entry->checksum) && header->type == entry->type &&
        header->stored_bytes == entry->stored_bytes && header->raw_bytes == entry->raw_bytes &&
        header->pieces_count == entry->pieces_count && header->codec == entry->codec &&
        header->cipher == entry->cipher)
        return 0;
    return DAMAGED_FIELD(damage, struct pst_block_head, checksum,
                         "not the chunk that the index names", -PST_E_CORRUPT);
}

int pst_index_check_chunk(const struct pst_index_entry *entry, const void *buffer, uint64_t bytes,
                          const struct pst_part_identity *identity, struct pst_damage *damage)
{
    int error = pst_chunk_check(buffer, bytes, identity, entry->chunk, entry->file_offset, damage);
    return error ? error : compare_with_entry(entry, pst_chunk_header_of(buffer), damage);
}

int pst_index_check_header(const struct pst_index_entry *entry, const void *buffer, uint64_t bytes,
                           const struct pst_part_identity *identity, struct pst_damage *damage)
{
    int error =
        pst_chunk_check_header(buffer, bytes, identity, entry->chunk, entry->file_offset, damage);
    return error ? error : compare_with_entry(entry, pst_chunk_header_of(buffer), damage);
}

int pst_index_check_link(const struct pst_index_link *link, const void *buffer, uint64_t bytes,
                         const struct pst_part_identity *identity, struct pst_damage *damage)
{
    int error = pst_chunk_check(buffer, bytes, identity, link->chunk, link->file_offset, damage);
    if (error)
        return error;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    if (!pst_digest_equal(&header->head.checksum, &link->checksum) ||
        header->type != PST_CHUNK_INDEX ||
        pst_chunk_file_bytes(header->stored_bytes) != link->file_bytes)
        return DAMAGED_FIELD(damage, struct pst_block_head, checksum, "not the index that is named",
                             -PST_E_CORRUPT);
    return 0;
}
