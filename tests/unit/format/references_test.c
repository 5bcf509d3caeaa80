/* References: what is written reads back, alone and in a part, and nothing that is wrong passes. */
#include <stdlib.h>
#include <string.h>

#include "engine/format/object.h"
#include "engine/format/part.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

static struct pst_damage damage;
static struct pst_references_view view;
static uint64_t words[PST_CHUNK_BYTES_MIN / 8];
static uint8_t *const payload = (uint8_t *)words;

static struct pst_reference *record(uint32_t i)
{
    return (struct pst_reference *)(payload + 16 + 2 * 32) + i;
}

static struct pst_origin *origin(uint32_t i)
{
    return (struct pst_origin *)(payload + 16) + i;
}

static void references_read_back(void)
{
    uint32_t bytes = sample_references(payload);
    CU_ASSERT_EQUAL(bytes, 16 + 2 * 32 + 3 * 80);
    CU_ASSERT_EQUAL_FATAL(pst_references_read(payload, bytes, &view, &damage), 0);
    CU_ASSERT_EQUAL(view.origins_count, 2);
    CU_ASSERT_EQUAL(view.origins[1].number, 6);
    CU_ASSERT_EQUAL_FATAL(view.records_count, SAMPLE_REFERENCES);
    CU_ASSERT_PTR_EQUAL(view.records, record(0));
    CU_ASSERT_EQUAL(view.records[0].bytes, 5000);
    CU_ASSERT_EQUAL(view.records[0].hash_kind, PST_HASH_OBJECT);
    CU_ASSERT_EQUAL(view.records[0].hash[2], 3);
    CU_ASSERT_EQUAL(view.records[2].object_offset, 12288);
    CU_ASSERT_EQUAL(view.records[2].origin, 1);
    CU_ASSERT_EQUAL(view.records[2].hash[31], 8);
}

static void every_length_but_the_right_one_is_refused(void)
{
    uint32_t bytes = sample_references(payload);
    for (uint32_t length = 0; length <= bytes + 80; length++) {
        if (length == bytes)
            continue;
        CU_ASSERT_EQUAL(pst_references_read(payload, length, &view, &damage), -PST_E_CORRUPT);
    }
}

static void expect(int error)
{
    uint32_t bytes = 16 + 2 * 32 + 3 * 80;
    CU_ASSERT_EQUAL(pst_references_read(payload, bytes, &view, &damage), error);
    sample_references(payload);
}

static void nonsense_in_front_is_refused(void)
{
    uint32_t *counts = (uint32_t *)(payload + 8);
    sample_references(payload);
    payload[0] ^= 1;
    expect(-PST_E_CORRUPT);
    counts[0] = 0; /* origins */
    expect(-PST_E_CORRUPT);
    counts[0] = UINT32_MAX;
    expect(-PST_E_CORRUPT);
    counts[1] = UINT32_MAX; /* records */
    expect(-PST_E_CORRUPT);
    origin(1)->number = 0;
    expect(-PST_E_CORRUPT);
    origin(1)->node = 0;
    expect(-PST_E_CORRUPT);
    origin(1)->node = PST_NODES_MAX + 1;
    expect(-PST_E_CORRUPT);
    CU_ASSERT_EQUAL(damage.offset, PST_CHUNK_HEADER_BYTES + 16 + 32);
    origin(1)->reserved[5] = 1;
    expect(0);
}

static void nonsense_in_a_record_is_refused(void)
{
    sample_references(payload);
    record(0)->object = 0;
    expect(-PST_E_CORRUPT);
    record(1)->origin_object = 0;
    expect(-PST_E_CORRUPT);
    record(2)->bytes = 0;
    expect(-PST_E_CORRUPT);
    record(2)->bytes = UINT64_MAX;
    expect(-PST_E_CORRUPT);
    record(2)->object_offset = INT64_MAX;
    expect(-PST_E_CORRUPT);
    record(0)->origin = 2;
    expect(-PST_E_CORRUPT);
    record(0)->hash_kind = PST_HASH_NONE;
    expect(-PST_E_CORRUPT);
    record(0)->object_offset = 1; /* the whole object is not a part of it */
    expect(-PST_E_CORRUPT);
    record(0)->hash[16] = 1;
    expect(-PST_E_CORRUPT);
    record(1)->hash_kind = PST_HASH_SHA_256 + 1;
    expect(-PST_E_NEWER);
    CU_ASSERT_EQUAL(damage.offset, PST_CHUNK_HEADER_BYTES + 16 + 2 * 32 + 80);
    record(2)->reserved[12] = 1;
    expect(0);
}

static void records_ascend_and_do_not_overlap(void)
{
    sample_references(payload);
    record(2)->object_offset--;
    expect(-PST_E_CORRUPT);
    record(2)->object--;
    expect(-PST_E_CORRUPT);
    record(1)->object = record(0)->object; /* which is whole */
    expect(-PST_E_CORRUPT);
    record(2)->object_offset = 0;
    record(2)->hash_kind = PST_HASH_OBJECT;
    expect(-PST_E_CORRUPT);
    record(2)->object++;
    expect(0);
}

/* The writer begins another chunk: for one that goes back, and for one without room. */
static void what_does_not_follow_does_not_fit(void)
{
    uint32_t bytes = sample_references(payload);
    struct pst_reference more = *record(2);
    CU_ASSERT_FALSE(pst_references_add(payload, PST_CHUNK_BYTES_MIN, &more));
    more.object++;
    CU_ASSERT_FALSE(pst_references_add(payload, bytes + sizeof(more) - 1, &more));
    CU_ASSERT_EQUAL(pst_references_bytes(payload), bytes);
    CU_ASSERT_TRUE(pst_references_add(payload, bytes + sizeof(more), &more));
    CU_ASSERT_EQUAL(pst_references_read(payload, bytes + 80, &view, &damage), 0);
}

static struct pst_reference run_of(uint64_t object, uint64_t offset)
{
    return (struct pst_reference){.object = object,
                                  .object_offset = offset,
                                  .bytes = 10,
                                  .origin_object = object,
                                  .hash_kind = PST_HASH_SHA_256};
}

/* Runs are read side by side, and end as they come: each goes to its place, if that is near. */
static void a_record_is_put_in_its_place(void)
{
    uint32_t bytes = sample_references(payload);
    uint64_t object = record(2)->object + 1;
    const struct pst_reference first = run_of(object, 0), second = run_of(object, 10),
                               third = run_of(object, 20), over = run_of(object, 15);
    CU_ASSERT_TRUE(pst_references_add(payload, PST_CHUNK_BYTES_MIN, &third));
    CU_ASSERT_TRUE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &first, 64));
    CU_ASSERT_TRUE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &second, 64));
    CU_ASSERT_FALSE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &over, 64));
    CU_ASSERT_FALSE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &second, 64));
    CU_ASSERT_EQUAL_FATAL(pst_references_bytes(payload), bytes + 3 * sizeof(first));
    CU_ASSERT_EQUAL(pst_references_read(payload, bytes + 240, &view, &damage), 0);
    CU_ASSERT_EQUAL(record(3)->object_offset, 0);
    CU_ASSERT_EQUAL(record(4)->object_offset, 10);
    CU_ASSERT_EQUAL(record(5)->object_offset, 20);
    for (uint64_t i = 3; i < 70; i++) {
        const struct pst_reference next = run_of(object, 100 * i);
        CU_ASSERT_TRUE(pst_references_add(payload, PST_CHUNK_BYTES_MIN, &next));
    }
    const struct pst_reference far = run_of(object, 50), near = run_of(object, 6800);
    CU_ASSERT_FALSE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &far, 64));
    CU_ASSERT_FALSE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &near, 64));
    const struct pst_reference beside = run_of(object, 6790);
    CU_ASSERT_TRUE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &beside, 64));
    bytes = pst_references_bytes(payload);
    CU_ASSERT_FALSE(pst_references_insert(payload, bytes + 79, &far, UINT32_MAX));
    CU_ASSERT_TRUE(pst_references_insert(payload, PST_CHUNK_BYTES_MIN, &far, UINT32_MAX));
    CU_ASSERT_EQUAL(record(6)->object_offset, 50);
    bytes = pst_references_bytes(payload);
    CU_ASSERT_EQUAL(pst_references_read(payload, bytes, &view, &damage), 0);
}

/* Index and trailer say of a part what it refers to. */
static void a_part_has_references(void)
{
    const struct pst_part_identity identity = sample_identity();
    uint8_t *block = sample_buffer(), *chunk = sample_buffer(), *index = sample_buffer();
    struct pst_index_view entries;
    struct pst_digest digest;
    struct pst_part part;
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 1, 1, block);
    pst_part_note_base(&part, block);
    const struct pst_part_header *header = (const struct pst_part_header *)block;
    CU_ASSERT_EQUAL(header->head.incompatible, PST_FORMAT_REFERS);
    CU_ASSERT_EQUAL(pst_part_header_check(block, PST_BLOCK_BYTES, &identity, &damage), 0);
    pst_part_attach_index(&part, index);
    pst_chunk_begin(chunk, PST_CHUNK_REFERENCES);
    uint32_t bytes = sample_references(chunk + PST_CHUNK_HEADER_BYTES);
    const struct pst_part_place place = pst_part_seal_chunk(&part, chunk, bytes);
    CU_ASSERT_EQUAL(pst_chunk_check(chunk, place.bytes, &identity, 0, place.file_offset, &damage),
                    0);
    pst_part_seal_index(&part);
    CU_ASSERT_EQUAL_FATAL(pst_index_read(index, &entries, &damage), 0);
    CU_ASSERT_EQUAL(entries.entries[0].type, PST_CHUNK_REFERENCES);
    CU_ASSERT_EQUAL(entries.entries[0].object_first, record(0)->object);
    CU_ASSERT_EQUAL(entries.entries[0].object_last, record(2)->object);
    CU_ASSERT_EQUAL(
        pst_index_check_chunk(&entries.entries[0], chunk, place.bytes, &identity, &damage), 0);
    pst_part_seal_trailer(&part, 1, 1, 2, block, &digest);
    const struct pst_part_trailer *trailer = (const struct pst_part_trailer *)block;
    CU_ASSERT_EQUAL(trailer->references, SAMPLE_REFERENCES);
    CU_ASSERT_EQUAL(trailer->referenced_bytes, 5000 + 4096 + 1);
    CU_ASSERT_EQUAL(trailer->sums.source_bytes, 0);
    free(block);
    free(chunk);
    free(index);
}

/* By which a later backup knows a file again. */
static void an_identity_reads_back(void)
{
    const struct pst_object_identity identity = {
        .device = 1, .inode = 2, .ctime_sec = -3, .ctime_nsec = 999999999};
    uint8_t attributes[2 * PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES];
    struct pst_object object = sample_object(2), found;
    struct pst_object_identity read;
    size_t offset = 0;
    CU_ASSERT_FALSE(pst_object_identity(&object, &read));
    object.attributes = attributes;
    object.attributes_bytes = pst_object_identity_encode(&identity, attributes);
    CU_ASSERT_EQUAL(object.attributes_bytes, PST_OBJECT_IDENTITY_ATTRIBUTE_BYTES);
    CU_ASSERT_EQUAL_FATAL(pst_object_encode(&object, payload, sizeof(words), &offset), 0);
    size_t bytes = offset;
    offset = 0;
    CU_ASSERT_EQUAL_FATAL(pst_object_decode(payload, bytes, &offset, &found), 0);
    CU_ASSERT_TRUE(pst_object_identity(&found, &read));
    CU_ASSERT_EQUAL(memcmp(&read, &identity, sizeof(read)), 0);
    object.attributes_bytes +=
        pst_object_identity_encode(&identity, attributes + object.attributes_bytes);
    CU_ASSERT_NOT_EQUAL(pst_object_encode(&object, payload, sizeof(words), &offset), 0);
    const struct pst_object_identity late = {.ctime_nsec = 1000000000};
    object.attributes_bytes = pst_object_identity_encode(&late, attributes);
    CU_ASSERT_NOT_EQUAL(pst_object_encode(&object, payload, sizeof(words), &offset), 0);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"references read back", references_read_back},
        {"every length but the right one is refused", every_length_but_the_right_one_is_refused},
        {"nonsense in front is refused", nonsense_in_front_is_refused},
        {"nonsense in a record is refused", nonsense_in_a_record_is_refused},
        {"records ascend and do not overlap", records_ascend_and_do_not_overlap},
        {"what does not follow does not fit", what_does_not_follow_does_not_fit},
        {"a record is put in its place", a_record_is_put_in_its_place},
        {"a part has references", a_part_has_references},
        {"an identity reads back", an_identity_reads_back},
        CU_TEST_INFO_NULL,
    };
    return suite_run("references", tests);
}
