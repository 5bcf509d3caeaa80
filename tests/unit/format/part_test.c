/* Index and the order of a part: chunks tile the file, and the chain from the digest covers it. */
#include <stdlib.h>
#include <string.h>

#include "engine/format/part.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

/* Follows the chain backwards as a reader does; returns the bytes that it has checked. */
static uint64_t walk(const uint8_t *file, uint64_t size, uint64_t *chunks, int *error)
{
    const struct pst_part_identity identity = sample_identity();
    struct pst_damage damage;
    const uint8_t *trailer_block = file + size - PST_BLOCK_BYTES;
    const struct pst_part_trailer *trailer = (const struct pst_part_trailer *)trailer_block;
    *error = pst_part_trailer_check(trailer, PST_BLOCK_BYTES, size, &identity, &damage);
    if (*error)
        return 0;
    uint64_t covered = 2 * PST_BLOCK_BYTES;
    *chunks = 0;
    struct pst_index_link link = trailer->last_index;
    while (link.file_offset != 0) {
        const uint8_t *buffer = file + link.file_offset;
        struct pst_index_view view;
        *error = pst_index_check_link(&link, buffer, link.file_bytes, &identity, &damage);
        if (!*error)
            *error = pst_index_read(buffer, &view, &damage);
        if (*error)
            return 0;
        covered += link.file_bytes;
        *chunks += 1 + view.entries_count;
        for (uint32_t i = 0; i < view.entries_count; i++) {
            const struct pst_index_entry *entry = &view.entries[i];
            uint64_t bytes = pst_chunk_file_bytes(entry->stored_bytes);
            *error =
                pst_index_check_chunk(entry, file + entry->file_offset, bytes, &identity, &damage);
            if (*error)
                return 0;
            covered += bytes;
        }
        link = view.head->previous;
    }
    return covered;
}

static void chunks_tile_the_part(void)
{
    static const uint32_t shapes[][2] = {{0, 8}, {1, 8}, {7, 8}, {8, 8}, {9, 3}, {5, 1}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct sample_part part = sample_part(shapes[i][0], shapes[i][1]);
        uint64_t chunks = 0;
        int error;
        CU_ASSERT_EQUAL(walk(part.bytes, part.size, &chunks, &error), part.size);
        CU_ASSERT_EQUAL(error, 0);
        CU_ASSERT_EQUAL(chunks, part.sums.chunks);
        CU_ASSERT_EQUAL(part.sums.source_bytes, shapes[i][0] * UINT64_C(5000));
        free(part.bytes);
    }
}

static void the_digest_is_that_of_the_trailer(void)
{
    struct sample_part part = sample_part(2, 8);
    const uint8_t *trailer = part.bytes + part.size - PST_BLOCK_BYTES;
    const struct pst_digest digest = pst_part_digest((const struct pst_part_trailer *)trailer);
    CU_ASSERT_TRUE(pst_digest_equal(&digest, &part.digest));
    const struct pst_part_header *header = (const struct pst_part_header *)part.bytes;
    CU_ASSERT_TRUE(pst_digest_equal(&header->head.checksum,
                                    &((const struct pst_part_trailer *)trailer)->header_checksum));
    free(part.bytes);
}

static void the_trailer_knows_the_length_of_the_part(void)
{
    struct sample_part part = sample_part(2, 8);
    const struct pst_part_identity identity = sample_identity();
    const uint8_t *trailer = part.bytes + part.size - PST_BLOCK_BYTES;
    struct pst_damage damage;
    CU_ASSERT_EQUAL(pst_part_trailer_check(trailer, PST_BLOCK_BYTES, part.size, &identity, &damage),
                    0);
    CU_ASSERT_EQUAL(pst_part_trailer_check(trailer, PST_BLOCK_BYTES, part.size + PST_BLOCK_BYTES,
                                           &identity, &damage),
                    -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(pst_part_trailer_check(trailer, PST_BLOCK_BYTES, part.size - PST_BLOCK_BYTES,
                                           &identity, &damage),
                    -PST_E_TRUNCATED);
    free(part.bytes);
}

static void every_flip_of_an_index_is_found(void)
{
    struct sample_part part = sample_part(4, 2);
    const struct pst_part_trailer *trailer =
        (const struct pst_part_trailer *)(part.bytes + part.size - PST_BLOCK_BYTES);
    uint64_t from = trailer->last_index.file_offset;
    uint64_t missed = 0, chunks;
    int error;
    for (uint64_t i = from; i < from + trailer->last_index.file_bytes; i++) {
        part.bytes[i] ^= 1;
        walk(part.bytes, part.size, &chunks, &error);
        missed += error != -PST_E_CORRUPT;
        part.bytes[i] ^= 1;
    }
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT_EQUAL(walk(part.bytes, part.size, &chunks, &error), part.size);
    free(part.bytes);
}

static void the_index_knows_the_objects_of_a_chunk(void)
{
    struct sample_part part = sample_part(1, 8);
    const struct pst_part_trailer *trailer =
        (const struct pst_part_trailer *)(part.bytes + part.size - PST_BLOCK_BYTES);
    struct pst_index_view view;
    struct pst_damage damage;
    CU_ASSERT_EQUAL_FATAL(
        pst_index_read(part.bytes + trailer->last_index.file_offset, &view, &damage), 0);
    CU_ASSERT_EQUAL_FATAL(view.entries_count, 2);
    CU_ASSERT_EQUAL(view.entries[0].type, PST_CHUNK_DATA);
    CU_ASSERT_EQUAL(view.entries[0].object_first, sample_object(2).id);
    CU_ASSERT_EQUAL(view.entries[0].object_last, sample_object(6).id);
    CU_ASSERT_EQUAL(view.entries[1].type, PST_CHUNK_CATALOGUE);
    CU_ASSERT_EQUAL(view.entries[1].object_first, sample_object(0).id);
    CU_ASSERT_EQUAL(view.entries[1].object_last, sample_object(SAMPLE_OBJECTS - 1).id);
    free(part.bytes);
}

/* A chunk that is intact, of the right number and place, but not the one that was written. */
static void an_exchanged_chunk_is_found(void)
{
    struct sample_part part = sample_part(1, 8);
    const struct pst_part_identity identity = sample_identity();
    uint8_t *chunk = part.bytes + PST_BLOCK_BYTES;
    struct pst_damage damage;
    chunk[PST_BLOCK_BYTES] ^= 1;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    format_chunk_seal(chunk, &identity, 0, PST_BLOCK_BYTES, header->stored_bytes);
    CU_ASSERT_EQUAL(
        pst_chunk_check(chunk, 3 * PST_BLOCK_BYTES, &identity, 0, PST_BLOCK_BYTES, &damage), 0);
    uint64_t chunks;
    int error;
    walk(part.bytes, part.size, &chunks, &error);
    CU_ASSERT_EQUAL(error, -PST_E_CORRUPT);
    free(part.bytes);
}

/* Adopts chunks from the beginning, all or max; what it came to. */
static int adopt(struct pst_part *part, const struct sample_part *sample, uint32_t max)
{
    int error = 0;
    for (uint32_t i = 0; !error && i < max && part->next_offset < sample->size - PST_BLOCK_BYTES;
         i++)
        error = pst_part_adopt(part, sample->bytes + part->next_offset);
    return error;
}

/* However many of its chunks are there: what is sealed behind them is what its writer sealed. */
static void a_part_that_was_cut_off_goes_on(void)
{
    struct sample_part sample = sample_part(9, 3);
    uint8_t *index = sample_buffer(), block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_digest digest;
    uint32_t last = (uint32_t)sample.sums.chunks - 1; /* of it the last index is not adopted */
    for (uint32_t chunks = 0; chunks <= last; chunks++) {
        struct pst_part part;
        pst_part_resume(&part, sample.bytes);
        pst_part_attach_index(&part, index);
        CU_ASSERT_EQUAL(adopt(&part, &sample, chunks), 0);
        CU_ASSERT_EQUAL(part.sums.chunks, chunks);
        const struct pst_part_place place = pst_part_seal_index(&part);
        if (chunks < last)
            continue;
        CU_ASSERT_EQUAL(memcmp(index, sample.bytes + place.file_offset, place.bytes), 0);
        (void)pst_part_seal_trailer(&part, 10, 10, 2000, block, &digest);
        CU_ASSERT_TRUE(pst_digest_equal(&digest, &sample.digest));
    }
    free(index);
    free(sample.bytes);
}

static void an_index_of_other_chunks_is_not_adopted(void)
{
    struct sample_part sample = sample_part(2, 2);
    const struct pst_part_identity identity = sample_identity();
    uint8_t *index = sample_buffer(), *chunk = sample.bytes + PST_BLOCK_BYTES;
    struct pst_part part;
    chunk[PST_BLOCK_BYTES] ^= 1;
    format_chunk_seal(chunk, &identity, 0, PST_BLOCK_BYTES,
                      pst_chunk_header_of(chunk)->stored_bytes);
    pst_part_resume(&part, sample.bytes);
    pst_part_attach_index(&part, index);
    CU_ASSERT_EQUAL(adopt(&part, &sample, 2), 0);
    CU_ASSERT_EQUAL(adopt(&part, &sample, 1), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(part.next_chunk, 2);
    free(index);
    free(sample.bytes);
}

static void the_index_buffer_is_filled_to_its_end(void)
{
    uint8_t *index = sample_buffer(), *chunk = sample_buffer();
    struct pst_index_builder builder;
    format_index_init(&builder);
    format_index_attach(&builder, index, PST_CHUNK_BYTES_MIN);
    uint64_t offset = PST_BLOCK_BYTES, number = 0;
    while (!format_index_is_full(&builder)) {
        offset += sample_data_chunk(chunk, number++, offset);
        format_index_add(&builder, chunk, pst_chunk_payload_of(chunk));
    }
    CU_ASSERT_EQUAL(number, PST_INDEX_ENTRIES(PST_CHUNK_BYTES_MIN));
    const struct pst_part_identity identity = sample_identity();
    CU_ASSERT_EQUAL(format_index_seal(&builder, &identity, number, offset), SAMPLE_BUFFER_BYTES);
    struct pst_index_view view;
    struct pst_damage damage;
    CU_ASSERT_EQUAL(pst_index_read(index, &view, &damage), 0);
    CU_ASSERT_EQUAL(view.entries_count, number);
    free(index);
    free(chunk);
}

static void expect_refused(uint8_t *index, int error)
{
    struct pst_index_view view = {.entries_count = 77};
    struct pst_damage damage = {0};
    CU_ASSERT_EQUAL(pst_index_read(index, &view, &damage), error);
    CU_ASSERT_EQUAL(view.entries_count, 77);
    CU_ASSERT_PTR_NOT_NULL(damage.what);
}

#define REFUSED(change, error)                                                                     \
    do {                                                                                           \
        memcpy(index, whole, bytes);                                                               \
        change;                                                                                    \
        expect_refused(index, error);                                                              \
    } while (0)

static void an_intact_index_of_nonsense_is_refused(void)
{
    struct sample_part part = sample_part(4, 2);
    const struct pst_part_trailer *trailer =
        (const struct pst_part_trailer *)(part.bytes + part.size - PST_BLOCK_BYTES);
    uint64_t bytes = trailer->last_index.file_bytes;
    const uint8_t *whole = part.bytes + trailer->last_index.file_offset;
    uint8_t *index = sample_buffer();
    struct pst_chunk_header *header = (struct pst_chunk_header *)index;
    struct pst_index_head *head = (struct pst_index_head *)(index + PST_BLOCK_BYTES);
    struct pst_index_entry *entry = (struct pst_index_entry *)(head + 1);
    REFUSED(header->type = PST_CHUNK_DATA, -PST_E_CORRUPT);
    REFUSED(header->raw_bytes = 63, -PST_E_CORRUPT);
    REFUSED(head->entries_count++, -PST_E_CORRUPT);
    REFUSED(head->entries_count = UINT32_MAX, -PST_E_CORRUPT);
    REFUSED(head->entry_bytes = 0, -PST_E_CORRUPT);
    REFUSED(head->previous.file_offset += PST_BLOCK_BYTES, -PST_E_CORRUPT);
    REFUSED(head->previous.file_offset = header->file_offset, -PST_E_CORRUPT);
    REFUSED(head->previous.file_bytes = 0, -PST_E_CORRUPT);
    REFUSED(head->previous.file_bytes = UINT32_MAX & ~4095u, -PST_E_CORRUPT);
    REFUSED(head->previous.chunk = header->head.chunk, -PST_E_CORRUPT);
    REFUSED(entry->file_offset -= PST_BLOCK_BYTES, -PST_E_CORRUPT);
    REFUSED(entry->chunk++, -PST_E_CORRUPT);
    REFUSED(entry->type = PST_CHUNK_INDEX, -PST_E_CORRUPT);
    REFUSED(entry->type = 9, -PST_E_NEWER);
    REFUSED(entry->location = PST_LOCATION_EARLIER, -PST_E_NEWER);
    REFUSED(entry->codec = PST_CODECS, -PST_E_NEWER);
    REFUSED(entry->stored_bytes = 0, -PST_E_CORRUPT);
    REFUSED(entry->stored_bytes = UINT32_MAX, -PST_E_CORRUPT);
    REFUSED(entry->raw_bytes++, -PST_E_CORRUPT);
    REFUSED(entry->object_first = UINT64_MAX, -PST_E_CORRUPT);
    free(index);
    free(part.bytes);
}

/* What the sums of the objects in a sealed chunk of three pieces are made of. */
static void a_digest_is_of_the_piece_alone(void)
{
    uint64_t before[3][2], digest[2];
    uint8_t *buffer = sample_buffer();
    sample_data_chunk(buffer, 0, PST_BLOCK_BYTES);
    struct pst_chunk_header *header = (struct pst_chunk_header *)buffer;
    uint8_t *payload = buffer + PST_CHUNK_HEADER_BYTES;
    for (uint32_t i = 0; i < 3; i++)
        pst_piece_digest(header, payload, i, before[i]);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t from = header->pieces[i].payload_offset, end = from + header->pieces[i].bytes;
        for (uint32_t at = 0; at < header->raw_bytes; at++) {
            payload[at] ^= 4;
            pst_piece_digest(header, payload, i, digest);
            payload[at] ^= 4;
            CU_ASSERT_EQUAL(memcmp(digest, before[i], sizeof(digest)) != 0, at >= from && at < end);
        }
        header->pieces[i].object_offset++;
        pst_piece_digest(header, payload, i, digest);
        CU_ASSERT_NOT_EQUAL(memcmp(digest, before[i], sizeof(digest)), 0);
    }
    free(buffer);
}

/* Of the only piece of a chunk, which its header alone tells. */
static void the_digest_of_an_only_piece_is_the_payloads(void)
{
    uint64_t digest[2];
    struct pst_chunk_header header = {.pieces_count = 1, .pieces = {{3, 5, 0, 1000}}};
    struct {
        struct pst_chunk_piece piece;
        struct pst_digest checksum;
    } hashed;
    memset(&header.payload_checksum, 0x5A, sizeof(header.payload_checksum));
    hashed.piece = header.pieces[0];
    hashed.checksum = header.payload_checksum;
    const struct pst_digest expected = pst_digest_of(&hashed, sizeof(hashed), 0);
    pst_piece_digest(&header, NULL, 0, digest);
    CU_ASSERT_EQUAL(memcmp(digest, &expected, sizeof(digest)), 0);
}

/* Of rows, and nothing else. */
static void the_digests_of_rows_are_the_payloads(void)
{
    for (uint32_t others = 0; others < 4; others++) { /* none; the first, second, or last piece */
        uint64_t before[2], digest[2];
        uint8_t *buffer = sample_buffer();
        struct pst_chunk_header *header = (struct pst_chunk_header *)buffer;
        pst_chunk_begin(buffer, PST_CHUNK_DATA);
        for (uint32_t i = 1; i <= 3; i++) {
            const struct pst_chunk_piece piece = {i, 0, 100 * i, 100};
            CU_ASSERT_EQUAL(pst_chunk_add_piece(buffer, &piece), 0);
            pst_chunk_note_rows(buffer, i != others);
        }
        CU_ASSERT_EQUAL(header->flags, others ? 0 : PST_CHUNK_ROWS);
        CU_ASSERT_EQUAL(pst_digests_are_of_bytes(header), others != 0);
        pst_piece_digest(header, buffer + PST_CHUNK_HEADER_BYTES, 1, before);
        buffer[PST_CHUNK_HEADER_BYTES + 250] ^= 4;
        pst_piece_digest(header, buffer + PST_CHUNK_HEADER_BYTES, 1, digest);
        CU_ASSERT_EQUAL(memcmp(digest, before, sizeof(digest)) != 0, others != 0);
        free(buffer);
    }
}

/* As a reader finds them in the sealed chunk. */
static void sums_are_of_the_digests(void)
{
    const struct pst_part_identity identity = sample_identity();
    uint8_t *buffer = sample_buffer(), *index = sample_buffer(), *sums = sample_buffer();
    struct pst_part part;
    const struct pst_object_sum *records;
    struct pst_damage damage;
    uint32_t count;
    uint64_t digest[2];
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 3, 1000, buffer);
    pst_part_attach_index(&part, index);
    pst_part_attach_sums(&part, sums, PST_CHUNK_BYTES_MIN);
    sample_data_chunk(buffer, 0, PST_BLOCK_BYTES);
    pst_part_seal_chunk(&part, buffer, 5030);
    pst_part_seal_sums(&part);
    CU_ASSERT_EQUAL(pst_sums_read(sums, &records, &count, &damage), 0);
    CU_ASSERT_EQUAL_FATAL(count, 2);
    pst_piece_digest(pst_chunk_header_of(buffer), pst_chunk_payload_of(buffer), 2, digest);
    CU_ASSERT_EQUAL(records[1].bytes, 4000);
    CU_ASSERT_EQUAL(memcmp(records[1].sum, digest, sizeof(digest)), 0);
    free(sums);
    free(index);
    free(buffer);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"chunks tile the part", chunks_tile_the_part},
        {"the digest is that of the trailer", the_digest_is_that_of_the_trailer},
        {"the trailer knows the length of the part", the_trailer_knows_the_length_of_the_part},
        {"every flip of an index is found", every_flip_of_an_index_is_found},
        {"the index knows the objects of a chunk", the_index_knows_the_objects_of_a_chunk},
        {"an exchanged chunk is found", an_exchanged_chunk_is_found},
        {"a part that was cut off goes on", a_part_that_was_cut_off_goes_on},
        {"an index of other chunks is not adopted", an_index_of_other_chunks_is_not_adopted},
        {"the index buffer is filled to its end", the_index_buffer_is_filled_to_its_end},
        {"an intact index of nonsense is refused", an_intact_index_of_nonsense_is_refused},
        {"a digest is of the piece alone", a_digest_is_of_the_piece_alone},
        {"the digest of an only piece is the payload's",
         the_digest_of_an_only_piece_is_the_payloads},
        {"the digests of rows are the payload's", the_digests_of_rows_are_the_payloads},
        {"sums are of the digests", sums_are_of_the_digests},
        CU_TEST_INFO_NULL,
    };
    return suite_run("part and index", tests);
}
