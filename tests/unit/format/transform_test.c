/* Chunks through a transform that changes lengths: what comes back, what is refused. */
#include <stdlib.h>
#include <string.h>

#include "engine/format/part.h"
#include "tests/suite.h"
#include "tests/support/run_length.h"
#include "tests/unit/format/sample.h"

#define CHUNK 3u
#define OFFSET (7 * PST_BLOCK_BYTES)
#define RAW_BYTES 20000u

static struct pst_part_identity identity;
static struct pst_damage damage;
static uint8_t *raw, *encoded, *decoded;
static struct pst_chunk_header *header; /* of encoded */

/* Its length; 0: the transform declined. */
static uint64_t encode(void)
{
    struct format_encoding encoding = {.transform = &run_length};
    enum pst_encoded end;
    format_chunk_begin_encoding(&encoding, raw, RAW_BYTES, encoded, PST_CHUNK_BYTES_MIN, &identity,
                                CHUNK);
    do
        end = format_chunk_encode(&encoding);
    while (end == PST_ENCODE_MORE);
    if (end == PST_ENCODE_DECLINED)
        return 0;
    return format_chunk_seal_encoded(&encoding, &identity, CHUNK, OFFSET);
}

static uint64_t seal(void)
{
    const struct pst_chunk_piece pieces[] = {{1, 0, 0, 10000}, {2, 5, 10010, RAW_BYTES - 10010}};
    raw = sample_buffer();
    encoded = sample_buffer();
    decoded = sample_buffer();
    header = (struct pst_chunk_header *)encoded;
    pst_chunk_begin(raw, PST_CHUNK_DATA);
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(pst_chunk_add_piece(raw, &pieces[i]), 0);
    for (uint32_t i = 0; i < RAW_BYTES; i++)
        raw[PST_CHUNK_HEADER_BYTES + i] = (uint8_t)(1 + i / 100);
    return encode();
}

static void release(void)
{
    free(raw);
    free(encoded);
    free(decoded);
}

static int check(uint64_t bytes)
{
    return pst_chunk_check(encoded, bytes, &identity, CHUNK, OFFSET, &damage);
}

static int decode(uint32_t room)
{
    return pst_chunk_decode(encoded, decoded, room, &damage);
}

/* The checksum of a header that was changed. */
static void reseal(void)
{
    memset(&header->head.checksum, 0, sizeof(header->head.checksum));
    header->head.checksum = pst_digest_of(encoded, PST_BLOCK_BYTES, 0);
}

static void a_chunk_comes_back(void)
{
    uint64_t bytes = seal();
    CU_ASSERT_EQUAL(bytes, PST_CHUNK_HEADER_BYTES + PST_BLOCK_BYTES); /* of 20000 */
    CU_ASSERT_EQUAL(check(bytes), 0);
    CU_ASSERT_TRUE(pst_chunk_is_encoded(encoded));
    CU_ASSERT_EQUAL(header->codec, RUN_LENGTH_CODEC);
    CU_ASSERT_EQUAL(header->raw_bytes, RAW_BYTES);
    CU_ASSERT_EQUAL(decode(PST_CHUNK_BYTES_MIN), 0);
    CU_ASSERT_EQUAL(memcmp(decoded, encoded, PST_CHUNK_HEADER_BYTES), 0);
    CU_ASSERT_EQUAL(memcmp(pst_chunk_payload_of(decoded), pst_chunk_payload_of(raw), RAW_BYTES), 0);
    for (uint32_t i = 10000; i < 10010; i++) /* what lay in the gap is not kept */
        CU_ASSERT_EQUAL(decoded[PST_CHUNK_HEADER_BYTES + i], 0);
    for (uint32_t i = header->stored_bytes; i < PST_BLOCK_BYTES; i++)
        CU_ASSERT_EQUAL(encoded[PST_CHUNK_HEADER_BYTES + i], 0);
    release();
}

static void what_does_not_become_shorter_is_declined(void)
{
    seal();
    for (uint32_t i = 0; i < RAW_BYTES; i++)
        raw[PST_CHUNK_HEADER_BYTES + i] = (uint8_t)i;
    CU_ASSERT_EQUAL(encode(), 0);
    uint64_t bytes = format_chunk_seal(raw, &identity, CHUNK, OFFSET, RAW_BYTES);
    CU_ASSERT_EQUAL(pst_chunk_check(raw, bytes, &identity, CHUNK, OFFSET, &damage), 0);
    CU_ASSERT_FALSE(pst_chunk_is_encoded(raw));
    release();
}

static void lengths_that_cannot_be_are_refused(void)
{
    uint64_t bytes = seal();
    header->raw_bytes = header->stored_bytes - 1; /* longer than bound() says */
    reseal();
    CU_ASSERT_EQUAL(check(bytes), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(damage.offset, offsetof(struct pst_chunk_header, raw_bytes));
    header->raw_bytes = 0;
    reseal();
    CU_ASSERT_EQUAL(check(bytes), -PST_E_CORRUPT);
    header->raw_bytes = PST_CHUNK_BYTES_MAX + 1;
    reseal();
    CU_ASSERT_EQUAL(check(bytes), -PST_E_CORRUPT);
    header->raw_bytes = RAW_BYTES;
    reseal();
    CU_ASSERT_EQUAL(check(bytes), 0);
    CU_ASSERT_EQUAL(decode(RAW_BYTES - 1), -PST_E_CORRUPT);
    release();
}

static void what_is_unknown_is_newer(void)
{
    uint64_t bytes = seal();
    header->codec = RUN_LENGTH_CODEC - 1;
    reseal();
    CU_ASSERT_EQUAL(check(bytes), -PST_E_NEWER);
    CU_ASSERT_EQUAL(damage.offset, offsetof(struct pst_chunk_header, codec));
    header->codec = 0;
    header->cipher = PST_CIPHERS;
    reseal();
    CU_ASSERT_EQUAL(check(bytes), -PST_E_NEWER);
    CU_ASSERT_EQUAL(damage.offset, offsetof(struct pst_chunk_header, cipher));
    header->codec = RUN_LENGTH_CODEC;
    header->cipher = 0;
    header->type = PST_CHUNK_INDEX; /* always stored as it is */
    reseal();
    CU_ASSERT_EQUAL(check(bytes), -PST_E_NEWER);
    release();
}

/* Intact, but nothing that the transform has made: an error, and no byte out of its place. */
static void a_payload_that_cannot_be_decoded_is_damage(void)
{
    seal();
    header->head.chunk++; /* to which the payload is bound */
    CU_ASSERT_EQUAL(decode(PST_CHUNK_BYTES_MIN), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(damage.offset, PST_CHUNK_HEADER_BYTES);
    CU_ASSERT_EQUAL(damage.bytes, header->stored_bytes);
    header->head.chunk--;
    header->raw_bytes++;
    CU_ASSERT_EQUAL(decode(PST_CHUNK_BYTES_MIN), -PST_E_CORRUPT);
    header->raw_bytes -= 2;
    CU_ASSERT_EQUAL(decode(PST_CHUNK_BYTES_MIN), -PST_E_CORRUPT);
    release();
}

static void a_part_header_names_it(void)
{
    static uint8_t block[PST_BLOCK_BYTES] __attribute__((aligned(8)));
    struct pst_part part;
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 1, 1, block);
    pst_part_name_transform(&part, &run_length, block);
    const struct pst_part_header *of_part = (const struct pst_part_header *)block;
    CU_ASSERT_EQUAL(of_part->codec, RUN_LENGTH_CODEC);
    CU_ASSERT_EQUAL(pst_part_header_check(block, sizeof(block), &identity, &damage), 0);
    CU_ASSERT_TRUE(pst_digest_equal(&part.header_checksum, &of_part->head.checksum));
}

int main(void)
{
    identity = sample_identity();
    CU_TestInfo tests[] = {
        {"a chunk comes back", a_chunk_comes_back},
        {"what does not become shorter is declined", what_does_not_become_shorter_is_declined},
        {"lengths that cannot be are refused", lengths_that_cannot_be_are_refused},
        {"what is unknown is newer", what_is_unknown_is_newer},
        {"a payload that cannot be decoded is damage", a_payload_that_cannot_be_decoded_is_damage},
        {"a part header names it", a_part_header_names_it},
        CU_TEST_INFO_NULL,
    };
    return suite_run("transform", tests);
}
