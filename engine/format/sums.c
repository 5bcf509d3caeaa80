/* Chunks of object checksums: gathered by part.c, on an LDM's thread; read by readers of parts, on
 * any. */
#include "engine/format/sums.h"

#include <assert.h>
#include <string.h>

#include "engine/format/block.h"

bool pst_digests_are_of_bytes(const struct pst_chunk_header *header)
{
    return header->pieces_count > 1 && (header->flags & PST_CHUNK_ROWS) == 0;
}

/* Each piece vouches for its own bytes: damage to those of another object costs it nothing. */
static struct pst_digest checksum_of(const struct pst_chunk_header *header, const uint8_t *payload,
                                     uint32_t piece)
{
    if (!pst_digests_are_of_bytes(header))
        return header->payload_checksum;
    return pst_digest_of(payload + header->pieces[piece].payload_offset,
                         header->pieces[piece].bytes, 0);
}

void pst_piece_digest(const struct pst_chunk_header *header, const void *payload, uint32_t piece,
                      uint64_t digest[2])
{
    struct {
        struct pst_chunk_piece piece;
        struct pst_digest checksum;
    } hashed = {header->pieces[piece], checksum_of(header, payload, piece)};
    _Static_assert(sizeof(hashed) == 40, "no padding is hashed");
    struct pst_digest found = pst_digest_of(&hashed, sizeof(hashed), 0);
    memcpy(digest, found.bytes, sizeof(found.bytes));
}

static struct pst_sums_head *head_of(const struct format_sums *sums)
{
    return (struct pst_sums_head *)((uint8_t *)sums->buffer + PST_CHUNK_HEADER_BYTES);
}

static struct pst_object_sum *records_of(const struct format_sums *sums)
{
    return (struct pst_object_sum *)(head_of(sums) + 1);
}

void format_sums_attach(struct format_sums *sums, void *buffer, uint32_t payload_bytes)
{
    assert(!sums->buffer);
    sums->buffer = buffer;
    sums->records_count = 0;
    sums->records_max =
        (payload_bytes - (uint32_t)sizeof(struct pst_sums_head)) / sizeof(struct pst_object_sum);
    pst_chunk_begin(buffer, PST_CHUNK_DATA);
}

bool format_sums_are_full(const struct format_sums *sums)
{
    return sums->buffer && sums->records_max - sums->records_count < PST_CHUNK_PIECES_MAX;
}

/* The record that the object's pieces are added to: the last one, as long as it is the same. */
static struct pst_object_sum *record_of(struct format_sums *sums, uint64_t object)
{
    struct pst_object_sum *records = records_of(sums);
    if (sums->records_count > 0 && records[sums->records_count - 1].object == object)
        return &records[sums->records_count - 1];
    assert(sums->records_count < sums->records_max);
    struct pst_object_sum *record = &records[sums->records_count++];
    *record = (struct pst_object_sum){.object = object};
    return record;
}

void format_sums_add(struct format_sums *sums, const struct pst_chunk_header *header,
                     const void *payload)
{
    assert(sums->buffer);
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        uint64_t digest[2];
        if (header->pieces[i].bytes == 0)
            continue;
        struct pst_object_sum *record = record_of(sums, header->pieces[i].object);
        pst_piece_digest(header, payload, i, digest);
        record->bytes += header->pieces[i].bytes;
        record->sum[0] += digest[0];
        record->sum[1] += digest[1];
    }
}

uint32_t format_sums_end(struct format_sums *sums)
{
    struct pst_sums_head *head = head_of(sums);
    assert(sums->buffer && sums->records_count > 0);
    *head = (struct pst_sums_head){
        .records_count = sums->records_count,
        .record_bytes = sizeof(struct pst_object_sum),
    };
    memcpy(head->magic, PST_SUMS_MAGIC, sizeof(head->magic));
    sums->buffer = NULL;
    sums->sealed += sums->records_count;
    return (uint32_t)(sizeof(*head) + sums->records_count * sizeof(struct pst_object_sum));
}

int pst_sums_read(const void *chunk, const struct pst_object_sum **records, uint32_t *count,
                  struct pst_damage *damage)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const struct pst_sums_head *head = pst_chunk_payload_of(chunk);
    *records = (const struct pst_object_sum *)(head + 1);
    *count = 0;
    assert(header->type == PST_CHUNK_DATA && header->pieces_count == 0);
    if (header->raw_bytes < sizeof(*head) ||
        memcmp(head->magic, PST_SUMS_MAGIC, sizeof(head->magic)) != 0)
        return 0;
    uint32_t room = header->raw_bytes - (uint32_t)sizeof(*head);
    if (head->record_bytes != sizeof(struct pst_object_sum) ||
        room % sizeof(struct pst_object_sum) != 0 ||
        head->records_count != room / sizeof(struct pst_object_sum))
        return format_damage_set(damage, PST_CHUNK_HEADER_BYTES, sizeof(*head),
                                 "checksums of objects: number of records", -PST_E_CORRUPT);
    *count = head->records_count;
    return 0;
}
