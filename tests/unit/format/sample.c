#include "tests/unit/format/sample.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pst_part_identity sample_identity(void)
{
    struct pst_part_identity identity = {
        .number = 7,
        .cluster_id = 3,
        .node = 2,
        .part = 3,
        .parts = 4,
    };
    for (uint8_t i = 0; i < sizeof(identity.uid); i++)
        identity.uid[i] = (uint8_t)(0xA0 + i);
    return identity;
}

#define SOURCE (UINT64_C(5) << PST_OBJECT_SOURCE_SHIFT)

static const struct pst_object objects[SAMPLE_OBJECTS] = {
    {.type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755},
    {.type = PST_OBJECT_DIRECTORY, .path = "d", .mode = 01777, .mtime_sec = -1},
    {.type = PST_OBJECT_FILE,
     .path = "d/file",
     .size = 5000,
     .mode = 0640,
     .mtime_nsec = 999999999},
    {.type = PST_OBJECT_FILE, .path = "..d/...", .size = INT64_MAX, .flags = PST_OBJECT_CHANGED},
    {.type = PST_OBJECT_SYMLINK, .path = "d/link", .link = "../../etc/passwd", .mode = 0777},
    {.type = PST_OBJECT_HARD_LINK, .path = "d/again", .linked_object = SOURCE | 3},
    {.type = PST_OBJECT_TABLE, .path = "rows", .size = 123456, .uid = UINT32_MAX, .gid = 1},
    {.type = PST_OBJECT_ENVIRONMENT, .path = "data.mdb", .size = 4096},
    {.type = PST_OBJECT_BLOCK_DEVICE, .path = "sda", .rdev = UINT64_C(8) << 32, .mode = 0660},
    {.type = PST_OBJECT_FIFO, .path = "fifo\n", .flags = PST_OBJECT_UNREADABLE},
    {.type = PST_OBJECT_SOCKET, .path = "socket \xff"},
    {.type = PST_OBJECT_FILE,
     .path = "with attributes",
     .attributes = "\x01\0\0\0\x03\0\0\0abc\0\0\0\0\0\x02\0\0\0\0\0\0\0",
     .attributes_bytes = 24},
};

struct pst_object sample_object(uint32_t i)
{
    assert(i < SAMPLE_OBJECTS);
    struct pst_object object = objects[i];
    object.id = SOURCE | (i + 1);
    return object;
}

size_t sample_catalogue(void *payload, size_t payload_bytes)
{
    size_t offset = 0;
    for (uint32_t i = 0; i < SAMPLE_OBJECTS; i++) {
        const struct pst_object object = sample_object(i);
        int error = pst_object_encode(&object, payload, payload_bytes, &offset);
        assert(!error);
    }
    return offset;
}

void *sample_buffer(void)
{
    void *buffer = aligned_alloc(PST_BLOCK_BYTES, SAMPLE_BUFFER_BYTES);
    assert(buffer != NULL);
    memset(buffer, 0xEE, SAMPLE_BUFFER_BYTES);
    return buffer;
}

/* Three pieces with gaps; returns the payload's length. */
static uint32_t fill_data(void *buffer)
{
    static const struct pst_chunk_piece pieces[] = {
        {SOURCE | 3, 0, 0, 1000},
        {SOURCE | 3, 4096, 1024, 0},
        {SOURCE | 7, UINT64_C(1) << 40, 1030, 4000},
    };
    uint8_t *payload = (uint8_t *)buffer + PST_BLOCK_BYTES;
    pst_chunk_begin(buffer, PST_CHUNK_DATA);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        int error = pst_chunk_add_piece(buffer, &pieces[i]);
        assert(!error);
        for (uint32_t j = 0; j < pieces[i].bytes; j++)
            payload[pieces[i].payload_offset + j] = (uint8_t)(j * 7 + i);
    }
    return 5030;
}

uint64_t sample_data_chunk(void *buffer, uint64_t chunk, uint64_t file_offset)
{
    const struct pst_part_identity identity = sample_identity();
    uint32_t bytes = fill_data(buffer);
    return format_chunk_seal(buffer, &identity, chunk, file_offset, bytes);
}

uint64_t sample_catalogue_chunk(void *buffer, uint64_t chunk, uint64_t file_offset)
{
    const struct pst_part_identity identity = sample_identity();
    pst_chunk_begin(buffer, PST_CHUNK_CATALOGUE);
    size_t bytes = sample_catalogue((uint8_t *)buffer + PST_BLOCK_BYTES, PST_CHUNK_BYTES_MIN);
    return format_chunk_seal(buffer, &identity, chunk, file_offset, (uint32_t)bytes);
}

uint32_t sample_references(void *payload)
{
    const struct pst_part_identity identity = sample_identity();
    struct pst_origin origins[] = {{.number = 5, .node = 1}, {.number = 6, .node = 2}};
    const struct pst_reference records[SAMPLE_REFERENCES] = {
        {SOURCE | 3, 0, 5000, SOURCE | 2, 1, PST_HASH_OBJECT, {0}, {1, 2, 3}},
        {SOURCE | 4, 8192, 4096, SOURCE | 9, 0, PST_HASH_SHA_256, {0}, {[31] = 7}},
        {SOURCE | 4, 12288, 1, SOURCE | 9, 1, PST_HASH_SHA_256, {0}, {[31] = 8}},
    };
    memcpy(origins[0].uid, identity.uid, sizeof(identity.uid));
    pst_references_begin(payload, origins, 2);
    for (uint32_t i = 0; i < SAMPLE_REFERENCES; i++) {
        bool fits = pst_references_add(payload, PST_CHUNK_BYTES_MIN, &records[i]);
        assert(fits);
    }
    return pst_references_bytes(payload);
}

static void put(struct sample_part *sample, const void *buffer, struct pst_part_place place)
{
    assert(place.file_offset == sample->size);
    sample->bytes = realloc(sample->bytes, sample->size + place.bytes);
    assert(sample->bytes != NULL);
    memcpy(sample->bytes + sample->size, buffer, place.bytes);
    sample->size += place.bytes;
}

static void put_index(struct sample_part *sample, struct pst_part *part, const void *index)
{
    const struct pst_part_place place = pst_part_seal_index(part);
    put(sample, index, place);
}

struct sample_part sample_part(uint32_t data_chunks, uint32_t per_index)
{
    const struct pst_part_identity identity = sample_identity();
    struct sample_part sample = {0};
    struct pst_part part;
    uint8_t *buffer = sample_buffer(), *index = sample_buffer();
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 3, 1000, buffer);
    put(&sample, buffer, (struct pst_part_place){0, PST_BLOCK_BYTES});
    pst_part_attach_index(&part, index);
    for (uint32_t i = 0; i <= data_chunks; i++) {
        uint32_t bytes;
        if (i < data_chunks) {
            bytes = fill_data(buffer);
        } else {
            pst_chunk_begin(buffer, PST_CHUNK_CATALOGUE);
            bytes = (uint32_t)sample_catalogue(buffer + PST_BLOCK_BYTES, PST_CHUNK_BYTES_MIN);
        }
        const struct pst_part_place place = pst_part_seal_chunk(&part, buffer, bytes);
        put(&sample, buffer, place);
        if ((i + 1) % per_index == 0 && i < data_chunks) {
            put_index(&sample, &part, index);
            pst_part_attach_index(&part, index);
        }
    }
    put_index(&sample, &part, index);
    const struct pst_part_place place =
        pst_part_seal_trailer(&part, 10, 10, 2000, buffer, &sample.digest);
    put(&sample, buffer, place);
    sample.sums = part.sums;
    free(buffer);
    free(index);
    return sample;
}

static struct pst_manifest_common sample_common(void)
{
    struct pst_manifest_common common = {
        .version = {.incompatible = PST_FORMAT_REFERS},
        .number = 7,
        .cluster_id = 3,
        .start_gci = 10,
        .stop_gci = 12,
        .started_unix_ns = UINT64_C(1700000000000000001),
        .finished_unix_ns = UINT64_C(1700000000000000002),
        .sums = {5, 4, 3, 2, 1},
    };
    const struct pst_part_identity identity = sample_identity();
    memcpy(common.uid, identity.uid, sizeof(common.uid));
    return common;
}

const struct pst_node_manifest *sample_node_manifest(void)
{
    static struct pst_node_manifest manifest;
    manifest = (struct pst_node_manifest){
        .common = sample_common(),
        .node = 2,
        .chunk_bytes = PST_CHUNK_BYTES_DEFAULT,
        .single_threaded = 1,
        .master_node = 1,
        .participants_count = 3,
        .participants = {1, 2, 255},
        .sources_count = 2,
        .parts_count = 2,
        .unreadable_names_count = 2,
        .sources = {{"data", "dir:data", 0, NULL, "/srv/d\xffta", "--exclude=*.o"},
                    {"r", "synthetic:rows=10", 1}},
        .parts = {{1, 2, 8192, {{1}}, {1, 2, 3, 4, 5}, 6, 7}, {2, 1, INT64_MAX, {{2}}, {0}, 0, 0}},
        .base = {{0x0b, 1}, 5},
        .origins_count = 2,
        .origins = {{{0x0b, 1}, 6, 900, 90}, {{0x0c, 1}, 5, 800, 8}},
        .unreadable_names = {"data/a \"quoted\" \xc3\xa4", "data/b\xff\\\n"},
        .host = "h\033st",
        .writer = "penstock 1.2.3",
    };
    return &manifest;
}

const struct pst_cluster_manifest *sample_cluster_manifest(void)
{
    static struct pst_cluster_manifest manifest;
    manifest = (struct pst_cluster_manifest){
        .common = sample_common(),
        .master_node = 1,
        .nodes_count = 2,
        .nodes = {{1, 1000, {{7}}, {0}}, {2, 2000, {{8}}, {5, 4, 3, 2, 1}}},
        .copies = 2,
        .members_count = 3,
        .members = {1, 2, 9},
        .origins_count = 1,
        .origins = {{{0x0b, 1}, 6, 900, 90}},
        .label = "before the \xc3\xbcpgrade",
    };
    return &manifest;
}
