/* A program that knows no codec, as those before there were any: what has one is newer, not
 * damaged, wherever it is met; what has none is read. */
#include <assert.h>
#include <stdlib.h>

#include "engine/format/part.h"
#include "engine/transform/lz4/lz4_codec.h"
#include "engine/transform/registry/codec_table.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

#define RAW_BYTES 60000u

const struct pst_transform *const pst_codec_table[] = {NULL};

static struct pst_part_identity identity;
static struct pst_damage damage;
static const struct pst_transform *lz4;

static void a_part_header_is_newer(void)
{
    uint8_t *block = sample_buffer();
    struct pst_part part;
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 1, 1, block);
    CU_ASSERT_EQUAL(pst_part_header_check(block, PST_BLOCK_BYTES, &identity, &damage), 0);
    pst_part_name_transform(&part, lz4, block);
    CU_ASSERT_EQUAL(pst_part_header_check(block, PST_BLOCK_BYTES, &identity, &damage),
                    -PST_E_NEWER);
    free(block);
}

static void a_chunk_and_its_index_are_newer(void)
{
    uint8_t *block = sample_buffer(), *raw = sample_buffer(), *encoded = sample_buffer(),
            *index = sample_buffer();
    const struct pst_chunk_piece piece = {1, 0, 0, RAW_BYTES};
    struct pst_index_view view;
    struct pst_part_place place, index_place;
    struct pst_part part;
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 1, 1, block);
    pst_part_attach_index(&part, index);
    pst_chunk_begin(raw, PST_CHUNK_DATA);
    CU_ASSERT_EQUAL(pst_chunk_add_piece(raw, &piece), 0);
    for (uint32_t i = 0; i < RAW_BYTES; i++)
        raw[PST_CHUNK_HEADER_BYTES + i] = (uint8_t)(i / 100);
    pst_part_begin_encoding(&part, lz4, raw, RAW_BYTES, encoded);
    CU_ASSERT_EQUAL_FATAL(pst_part_encode(&part, &place), PST_ENCODED);
    CU_ASSERT_EQUAL(pst_chunk_check(encoded, place.bytes, &identity, 0, place.file_offset, &damage),
                    -PST_E_NEWER);
    CU_ASSERT_EQUAL(damage.offset, offsetof(struct pst_chunk_header, codec));
    index_place = pst_part_seal_index(&part);
    CU_ASSERT_EQUAL(
        pst_chunk_check(index, index_place.bytes, &identity, 1, index_place.file_offset, &damage),
        0);
    CU_ASSERT_EQUAL(pst_index_read(index, &view, &damage), -PST_E_NEWER);
    free(block);
    free(raw);
    free(encoded);
    free(index);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"a part header is newer", a_part_header_is_newer},
        {"a chunk and its index are newer", a_chunk_and_its_index_are_newer},
        CU_TEST_INFO_NULL,
    };
    void *memory = aligned_alloc(64, (pst_lz4_memory_bytes() + 63) / 64 * 64);
    assert(memory);
    lz4 = pst_lz4_init(memory);
    identity = sample_identity();
    int result = suite_run("old reader", tests);
    free(memory);
    return result;
}
