/* Part header, chunks, trailer: what is sealed passes, whatever is changed is found and placed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/chunk.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

#define CHUNK 5u
#define OFFSET (10u * PST_BLOCK_BYTES)

static struct pst_part_identity identity;
static struct pst_damage damage;

/* The checks of the three blocks, in one shape. */
typedef int check_function(const void *bytes, uint64_t size);

static int check_chunk(const void *bytes, uint64_t size)
{
    return pst_chunk_check(bytes, size, &identity, CHUNK, OFFSET, &damage);
}

static int check_header(const void *bytes, uint64_t size)
{
    return pst_part_header_check(bytes, size, &identity, &damage);
}

static uint64_t trailer_file_bytes;

static int check_trailer(const void *bytes, uint64_t size)
{
    return pst_part_trailer_check(bytes, size, trailer_file_bytes, &identity, &damage);
}

static void make_header(void *buffer)
{
    pst_part_header_seal(buffer, &identity, PST_CHUNK_BYTES_DEFAULT, 1, 1234);
}

static void make_trailer(void *buffer)
{
    const struct sample_part part = sample_part(1, 8);
    memcpy(buffer, part.bytes + part.size - PST_BLOCK_BYTES, PST_BLOCK_BYTES);
    trailer_file_bytes = part.size;
    free(part.bytes);
}

/* A memory of exactly this size, so that the address sanitizer sees each byte beyond it. */
static uint8_t *exact_copy(const void *bytes, size_t size)
{
    uint8_t *copy = aligned_alloc(8, (size + 7) & ~(size_t)7);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, bytes, size);
    return copy;
}

static void every_flip_is_found(check_function *check, uint8_t *bytes, uint64_t size)
{
    uint64_t missed = 0, misplaced = 0;
    for (uint64_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit += 7) {
            bytes[i] ^= (uint8_t)(1 << bit);
            int error = check(bytes, size);
            missed += error != -PST_E_CORRUPT && error != -PST_E_NOT_BACKUP;
            misplaced += !damage.what || i < damage.offset || i >= damage.offset + damage.bytes;
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    CU_ASSERT_EQUAL(missed, 0);
    CU_ASSERT_EQUAL(misplaced, 0);
    CU_ASSERT_EQUAL(check(bytes, size), 0);
}

static void every_flip_of_a_chunk_is_found(void)
{
    uint8_t *buffer = sample_buffer();
    every_flip_is_found(check_chunk, buffer, sample_data_chunk(buffer, CHUNK, OFFSET));
    every_flip_is_found(check_chunk, buffer, sample_catalogue_chunk(buffer, CHUNK, OFFSET));
    free(buffer);
}

static void every_flip_of_a_part_header_is_found(void)
{
    uint8_t *buffer = sample_buffer();
    make_header(buffer);
    every_flip_is_found(check_header, buffer, PST_BLOCK_BYTES);
    free(buffer);
}

static void every_flip_of_a_trailer_is_found(void)
{
    uint8_t *buffer = sample_buffer();
    make_trailer(buffer);
    every_flip_is_found(check_trailer, buffer, PST_BLOCK_BYTES);
    free(buffer);
}

static void a_flip_in_a_known_field_is_placed_exactly(void)
{
    static const uint64_t places[] = {0,  8,  12, 16, 20, 40,           55,   56,   63,  64,
                                      66, 68, 72, 79, 96, 128 + 3 * 24, 4087, 4088, 4095};
    uint8_t *buffer = sample_buffer();
    uint64_t size = sample_data_chunk(buffer, CHUNK, OFFSET);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        buffer[places[i]] ^= 0x10;
        CU_ASSERT_EQUAL(check_chunk(buffer, size), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(damage.offset, places[i]);
        CU_ASSERT_EQUAL(damage.bytes, 1);
        buffer[places[i]] ^= 0x10;
    }
    free(buffer);
}

static void every_truncation_is_found(check_function *check, const uint8_t *bytes, uint64_t size)
{
    for (uint64_t length = 0; length < size; length += length % 512 == 511 ? 1 : 73) {
        uint8_t *copy = exact_copy(bytes, length);
        CU_ASSERT_EQUAL(check(copy, length), -PST_E_TRUNCATED);
        CU_ASSERT_EQUAL(damage.offset, length);
        free(copy);
    }
    uint8_t *copy = exact_copy(bytes, size - 1);
    CU_ASSERT_EQUAL(check(copy, size - 1), -PST_E_TRUNCATED);
    free(copy);
}

static void truncations_are_found(void)
{
    uint8_t *buffer = sample_buffer();
    uint64_t size = sample_data_chunk(buffer, CHUNK, OFFSET);
    CU_ASSERT_EQUAL(size, 3 * PST_BLOCK_BYTES);
    every_truncation_is_found(check_chunk, buffer, size);
    make_header(buffer);
    every_truncation_is_found(check_header, buffer, PST_BLOCK_BYTES);
    make_trailer(buffer);
    every_truncation_is_found(check_trailer, buffer, PST_BLOCK_BYTES);
    free(buffer);
}

static void a_chunk_reads_back(void)
{
    uint8_t *buffer = sample_buffer();
    uint64_t size = sample_data_chunk(buffer, CHUNK, OFFSET);
    CU_ASSERT_EQUAL_FATAL(check_chunk(buffer, size), 0);
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    CU_ASSERT_EQUAL(header->type, PST_CHUNK_DATA);
    CU_ASSERT_EQUAL(header->raw_bytes, 5030);
    CU_ASSERT_EQUAL(header->stored_bytes, 5030);
    CU_ASSERT_EQUAL(header->head.chunk, CHUNK);
    CU_ASSERT_EQUAL(pst_chunk_pieces_count(buffer), 3);
    CU_ASSERT_EQUAL(pst_chunk_piece_at(buffer, 2)->object_offset, UINT64_C(1) << 40);
    const uint8_t *payload = pst_chunk_payload_of(buffer);
    CU_ASSERT_EQUAL(payload[999], (uint8_t)(999 * 7));
    CU_ASSERT_EQUAL(payload[1031], (uint8_t)(7 + 2));
    /* what the buffer held before is in no gap and not in the padding */
    for (uint32_t i = 1000; i < 1030; i++)
        CU_ASSERT_EQUAL(payload[i], 0);
    for (uint32_t i = 5030; i < 8192; i++)
        CU_ASSERT_EQUAL(payload[i], 0);
    free(buffer);
}

static void a_shortened_piece_leaves_no_stale_bytes(void)
{
    uint8_t *buffer = sample_buffer();
    const struct pst_chunk_piece piece = {1, 0, 0, 5000};
    pst_chunk_begin(buffer, PST_CHUNK_DATA);
    CU_ASSERT_EQUAL(pst_chunk_add_piece(buffer, &piece), 0);
    pst_chunk_piece_at(buffer, 0)->bytes = 10;
    uint64_t size = format_chunk_seal(buffer, &identity, CHUNK, OFFSET, 5000);
    CU_ASSERT_EQUAL(check_chunk(buffer, size), 0);
    for (uint32_t i = 10; i < 8192; i++)
        CU_ASSERT_EQUAL(buffer[PST_BLOCK_BYTES + i], 0);
    free(buffer);
}

static void the_piece_table_is_bounded(void)
{
    uint8_t *buffer = sample_buffer();
    pst_chunk_begin(buffer, PST_CHUNK_DATA);
    for (uint32_t i = 0; i < PST_CHUNK_PIECES_MAX; i++) {
        const struct pst_chunk_piece piece = {i + 1, 0, i * 8, 8};
        CU_ASSERT_EQUAL(pst_chunk_add_piece(buffer, &piece), 0);
    }
    const struct pst_chunk_piece one_more = {1, 0, PST_CHUNK_PIECES_MAX * 8, 8};
    CU_ASSERT_EQUAL(pst_chunk_add_piece(buffer, &one_more), -ENOSPC);
    CU_ASSERT_EQUAL(pst_chunk_pieces_count(buffer), PST_CHUNK_PIECES_MAX);
    uint64_t size = format_chunk_seal(buffer, &identity, CHUNK, OFFSET, PST_CHUNK_PIECES_MAX * 8);
    CU_ASSERT_EQUAL(check_chunk(buffer, size), 0);
    free(buffer);
}

static void expect_misplaced(void *buffer, uint64_t size, const struct pst_part_identity *wanted,
                             uint64_t offset)
{
    CU_ASSERT_EQUAL(pst_chunk_check(buffer, size, wanted, CHUNK, OFFSET, &damage),
                    -PST_E_MISPLACED);
    CU_ASSERT_EQUAL(damage.offset, offset);
}

static void a_chunk_in_the_wrong_place_is_found(void)
{
    uint8_t *buffer = sample_buffer();
    uint64_t size = sample_data_chunk(buffer, CHUNK, OFFSET);
    struct pst_part_identity other = identity;
    other.uid[15] ^= 1;
    expect_misplaced(buffer, size, &other, 40);
    other = identity;
    other.number++;
    expect_misplaced(buffer, size, &other, 56);
    other = identity;
    other.cluster_id++;
    expect_misplaced(buffer, size, &other, 56);
    other = identity;
    other.node++;
    expect_misplaced(buffer, size, &other, 64);
    other = identity;
    other.part++;
    expect_misplaced(buffer, size, &other, 66);
    other = identity;
    other.parts++;
    expect_misplaced(buffer, size, &other, 66);
    CU_ASSERT_EQUAL(pst_chunk_check(buffer, size, &identity, CHUNK + 1, OFFSET, &damage),
                    -PST_E_MISPLACED);
    CU_ASSERT_EQUAL(damage.offset, 72);
    CU_ASSERT_EQUAL(pst_chunk_check(buffer, size, &identity, CHUNK, OFFSET + 4096, &damage),
                    -PST_E_MISPLACED);
    CU_ASSERT_EQUAL(damage.offset, 96);
    free(buffer);
}

static void a_payload_under_another_header_is_found(void)
{
    uint8_t *a = sample_buffer(), *b = sample_buffer();
    uint64_t size = sample_data_chunk(a, CHUNK, OFFSET);
    CU_ASSERT_EQUAL(sample_data_chunk(b, CHUNK + 1, OFFSET), size);
    CU_ASSERT_EQUAL(memcmp(a + PST_BLOCK_BYTES, b + PST_BLOCK_BYTES, size - PST_BLOCK_BYTES), 0);
    const struct pst_chunk_header *header_a = pst_chunk_header_of(a);
    const struct pst_chunk_header *header_b = pst_chunk_header_of(b);
    CU_ASSERT_FALSE(pst_digest_equal(&header_a->payload_checksum, &header_b->payload_checksum));
    free(a);
    free(b);
}

static void the_ends_of_another_part_are_found(void)
{
    uint8_t *buffer = sample_buffer();
    struct pst_part_identity other = identity;
    other.part = 1;
    make_header(buffer);
    CU_ASSERT_EQUAL(pst_part_header_check(buffer, PST_BLOCK_BYTES, &other, &damage),
                    -PST_E_MISPLACED);
    CU_ASSERT_EQUAL(pst_part_header_check(buffer, PST_BLOCK_BYTES, NULL, &damage), 0);
    make_trailer(buffer);
    CU_ASSERT_EQUAL(
        pst_part_trailer_check(buffer, PST_BLOCK_BYTES, trailer_file_bytes, &other, &damage),
        -PST_E_MISPLACED);
    CU_ASSERT_EQUAL(pst_part_trailer_check(buffer, PST_BLOCK_BYTES, trailer_file_bytes - 4096,
                                           &identity, &damage),
                    -PST_E_TRUNCATED);
    CU_ASSERT_EQUAL(pst_part_trailer_check(buffer, PST_BLOCK_BYTES, trailer_file_bytes + 4096,
                                           &identity, &damage),
                    -PST_E_CORRUPT);
    free(buffer);
}

/* Changes fields of a sealed block, as another writer might have written them. */
static void reseal(void *block)
{
    struct pst_block_head *head = block;
    memset(&head->checksum, 0, sizeof(head->checksum));
    head->checksum = pst_digest_of(block, PST_BLOCK_BYTES, 0);
}

static void versions_are_respected(check_function *check, void *block, uint64_t size)
{
    struct pst_block_head *head = block;
    head->compatible = UINT32_MAX;
    head->read_only_compatible = UINT32_MAX;
    head->reserved = UINT32_MAX;
    reseal(block);
    CU_ASSERT_EQUAL(check(block, size), 0);
    for (uint32_t bit = 3; bit < 32; bit++) { /* 0 to 2 are known */
        head->incompatible = UINT32_C(1) << bit;
        reseal(block);
        CU_ASSERT_EQUAL(check(block, size), -PST_E_NEWER);
        CU_ASSERT_EQUAL(damage.offset, 16);
    }
}

static void newer_versions_are_told_apart(void)
{
    uint8_t *buffer = sample_buffer();
    uint64_t size = sample_data_chunk(buffer, CHUNK, OFFSET);
    versions_are_respected(check_chunk, buffer, size);
    make_header(buffer);
    versions_are_respected(check_header, buffer, PST_BLOCK_BYTES);
    make_trailer(buffer);
    versions_are_respected(check_trailer, buffer, PST_BLOCK_BYTES);
    free(buffer);
}

static void expect_illegal(uint8_t *buffer, uint64_t size, int error)
{
    reseal(buffer);
    CU_ASSERT_EQUAL(check_chunk(buffer, size), error);
    sample_data_chunk(buffer, CHUNK, OFFSET);
}

static void intact_nonsense_is_refused(void)
{
    uint8_t *buffer = sample_buffer();
    uint64_t size = sample_data_chunk(buffer, CHUNK, OFFSET);
    struct pst_chunk_header *header = (struct pst_chunk_header *)buffer;
    header->type = 0;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->type = 5;
    expect_illegal(buffer, size, -PST_E_NEWER);
    header->codec = PST_CODECS;
    expect_illegal(buffer, size, -PST_E_NEWER);
    header->cipher = PST_CIPHERS;
    expect_illegal(buffer, size, -PST_E_NEWER);
    header->stored_bytes = header->raw_bytes = 0;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->stored_bytes = header->raw_bytes = PST_CHUNK_BYTES_MAX + 1;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->stored_bytes = header->raw_bytes = 8193;
    expect_illegal(buffer, size, -PST_E_TRUNCATED);
    header->raw_bytes++;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->pieces_count = PST_CHUNK_PIECES_MAX + 1;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->type = PST_CHUNK_CATALOGUE;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->pieces[0].object = 0;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->pieces[2].bytes = UINT32_MAX;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->pieces[1].payload_offset = 999;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    header->pieces[2].object_offset = INT64_MAX;
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    memcpy(header->head.magic, "PSTKPART", 8);
    expect_illegal(buffer, size, -PST_E_CORRUPT);
    free(buffer);
}

static void something_else_is_no_part(void)
{
    uint8_t *buffer = sample_buffer();
    memset(buffer, 'x', PST_BLOCK_BYTES);
    CU_ASSERT_EQUAL(check_header(buffer, PST_BLOCK_BYTES), -PST_E_NOT_BACKUP);
    memset(buffer, 0, PST_BLOCK_BYTES);
    CU_ASSERT_EQUAL(check_header(buffer, PST_BLOCK_BYTES), -PST_E_NOT_BACKUP);
    CU_ASSERT_EQUAL(check_chunk(buffer, PST_BLOCK_BYTES), -PST_E_CORRUPT);
    free(buffer);
}

int main(void)
{
    identity = sample_identity();
    CU_TestInfo tests[] = {
        {"a chunk reads back", a_chunk_reads_back},
        {"a shortened piece leaves no stale bytes", a_shortened_piece_leaves_no_stale_bytes},
        {"the piece table is bounded", the_piece_table_is_bounded},
        {"every flip of a chunk is found", every_flip_of_a_chunk_is_found},
        {"every flip of a part header is found", every_flip_of_a_part_header_is_found},
        {"every flip of a trailer is found", every_flip_of_a_trailer_is_found},
        {"a flip in a known field is placed exactly", a_flip_in_a_known_field_is_placed_exactly},
        {"truncations are found", truncations_are_found},
        {"a chunk in the wrong place is found", a_chunk_in_the_wrong_place_is_found},
        {"a payload's checksum binds it to its place", a_payload_under_another_header_is_found},
        {"the ends of another part are found", the_ends_of_another_part_are_found},
        {"newer versions are told apart", newer_versions_are_told_apart},
        {"intact nonsense is refused", intact_nonsense_is_refused},
        {"something else is no part", something_else_is_no_part},
        CU_TEST_INFO_NULL,
    };
    return suite_run("chunk", tests);
}
