/* Sealed parts: what comes back with the key, and that nothing of them can be changed, moved or
 * taken from another part, even by somebody who makes the checksums right again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/part.h"
#include "engine/format/seal.h"
#include "engine/transform/lz4/lz4_codec.h"
#include "tests/suite.h"
#include "tests/unit/format/sample.h"

#define RAW_BYTES 20000u
#define CHUNKS 3u
#define PART_BYTES (1u << 20)

static const uint8_t key[PST_AES_KEY_BYTES] = {1, 2, 3}, other_key[PST_AES_KEY_BYTES] = {1, 2, 4};
static struct pst_part_identity identity;
static struct pst_damage damage;
static const struct pst_transform *lz4;

static const struct pst_transform *choose_lz4(void *context, const void *raw, uint32_t raw_bytes)
{
    (void)context, (void)raw, (void)raw_bytes;
    return lz4;
}

/* A part in memory: chunks of which every other one is compressed, an index, a trailer. */
struct written {
    uint8_t *bytes;
    uint64_t size;
    struct pst_part_place chunks[CHUNKS];
    struct pst_part_place index, trailer;
};

static void put(struct written *written, const void *block, struct pst_part_place place)
{
    assert(place.file_offset + place.bytes <= PART_BYTES);
    memcpy(written->bytes + place.file_offset, block, place.bytes);
    written->size = place.file_offset + place.bytes;
}

static void fill(uint8_t *buffer, uint32_t number)
{
    const struct pst_chunk_piece pieces[] = {{number + 1, 0, 0, 9000}, {77, 5, 9010, 10990}};
    pst_chunk_begin(buffer, PST_CHUNK_DATA);
    for (uint32_t i = 0; i < 2; i++) {
        int error = pst_chunk_add_piece(buffer, &pieces[i]);
        assert(!error);
    }
    for (uint32_t i = 0; i < RAW_BYTES; i++)
        buffer[PST_CHUNK_HEADER_BYTES + i] = (uint8_t)(number + i / 50);
}

static struct written write_part(const uint8_t *part_key)
{
    struct written written = {.bytes = calloc(1, PART_BYTES)};
    uint8_t *block = sample_buffer(), *raw = sample_buffer(), *encoded = sample_buffer(),
            *index = sample_buffer();
    struct pst_sealed sealed;
    struct pst_part part;
    struct pst_digest digest;
    int error = pst_sealed_open(&sealed, lz4, choose_lz4, NULL);
    assert(!error && written.bytes);
    pst_sealed_set_key(&sealed, part_key);
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 1, 1, block);
    pst_part_name_transform(&part, &sealed.named, block);
    pst_part_begin_sealing(&part, &sealed, block);
    put(&written, block, (struct pst_part_place){0, PST_BLOCK_BYTES});
    pst_part_attach_index(&part, index);
    for (uint32_t i = 0; i < CHUNKS; i++) {
        enum pst_encoded end;
        fill(raw, i);
        const struct pst_transform *transform = pst_sealed_choose(&sealed, NULL, RAW_BYTES);
        if (i % 2 == 1)
            sealed.inner = NULL;
        pst_part_begin_encoding(&part, transform, raw, RAW_BYTES, encoded);
        do
            end = pst_part_encode(&part, &written.chunks[i]);
        while (end == PST_ENCODE_MORE);
        CU_ASSERT_EQUAL_FATAL(end, PST_ENCODED);
        put(&written, encoded, written.chunks[i]);
    }
    written.index = pst_part_seal_index(&part);
    put(&written, index, written.index);
    written.trailer = pst_part_seal_trailer(&part, 1, 1, 2, block, &digest);
    put(&written, block, written.trailer);
    pst_sealed_close(&sealed);
    free(block);
    free(raw);
    free(encoded);
    free(index);
    return written;
}

static void *copy_of(const struct written *written, struct pst_part_place place)
{
    uint8_t *copy = sample_buffer();
    memcpy(copy, written->bytes + place.file_offset, place.bytes);
    return copy;
}

/* Makes the checksums of a chunk right, as anybody can. */
static void mend(uint8_t *chunk)
{
    struct pst_chunk_header *header = (struct pst_chunk_header *)chunk;
    uint32_t padded =
        (header->stored_bytes + PST_BLOCK_BYTES - 1) / PST_BLOCK_BYTES * PST_BLOCK_BYTES;
    size_t from = offsetof(struct pst_block_head, identity);
    struct pst_digest digest = pst_digest_of(chunk + from, sizeof(header->head) - from, 0);
    uint64_t seed;
    memcpy(&seed, digest.bytes, sizeof(seed));
    header->payload_checksum = pst_digest_of(chunk + PST_CHUNK_HEADER_BYTES, padded, seed);
    memset(&header->head.checksum, 0, sizeof(header->head.checksum));
    header->head.checksum = pst_digest_of(chunk, PST_BLOCK_BYTES, 0);
}

static int open_chunk(const uint8_t *part_key, uint8_t *chunk, uint8_t *decoded)
{
    struct pst_sealed sealed;
    int error = pst_sealed_open(&sealed, NULL, NULL, NULL);
    assert(!error);
    pst_sealed_set_key(&sealed, part_key);
    error = pst_chunk_open(&sealed, chunk, decoded, PST_CHUNK_BYTES_MIN, &damage);
    pst_sealed_close(&sealed);
    return error;
}

static void chunks_come_back(void)
{
    struct written written = write_part(key);
    uint8_t *raw = sample_buffer(), *decoded = sample_buffer();
    for (uint32_t i = 0; i < CHUNKS; i++) {
        uint8_t *chunk = copy_of(&written, written.chunks[i]);
        const struct pst_chunk_header *header = (const struct pst_chunk_header *)chunk;
        fill(raw, i);
        CU_ASSERT_EQUAL(pst_chunk_check(chunk, written.chunks[i].bytes, &identity, i,
                                        written.chunks[i].file_offset, &damage),
                        0);
        CU_ASSERT_EQUAL(header->codec, i % 2 == 0 ? PST_CODEC_LZ4 : PST_CODEC_NONE);
        CU_ASSERT_NOT_EQUAL(memcmp(header->pieces, raw + 128, 2 * sizeof(header->pieces[0])), 0);
        CU_ASSERT_EQUAL(open_chunk(key, chunk, decoded), 0);
        CU_ASSERT_EQUAL(memcmp(decoded + 128, raw + 128, 2 * sizeof(header->pieces[0])), 0);
        memset(raw + PST_CHUNK_HEADER_BYTES + 9000, 0, 10);
        CU_ASSERT_EQUAL(
            memcmp(decoded + PST_CHUNK_HEADER_BYTES, raw + PST_CHUNK_HEADER_BYTES, RAW_BYTES), 0);
        free(chunk);
    }
    free(raw);
    free(decoded);
    free(written.bytes);
}

static void index_and_trailer_come_back(void)
{
    struct written written = write_part(key);
    uint8_t *index = copy_of(&written, written.index),
            *trailer = copy_of(&written, written.trailer);
    struct pst_sealed sealed;
    struct pst_index_view view;
    CU_ASSERT_EQUAL_FATAL(pst_sealed_open(&sealed, NULL, NULL, NULL), 0);
    pst_sealed_set_key(&sealed, key);
    CU_ASSERT_EQUAL(pst_chunk_check(index, written.index.bytes, &identity, CHUNKS,
                                    written.index.file_offset, &damage),
                    0);
    CU_ASSERT_EQUAL_FATAL(pst_index_open(&sealed, index, &damage), 0);
    CU_ASSERT_EQUAL_FATAL(pst_index_read(index, &view, &damage), 0);
    CU_ASSERT_EQUAL(view.entries_count, CHUNKS);
    CU_ASSERT_EQUAL(view.entries[1].object_first, 2);
    CU_ASSERT_EQUAL(view.entries[1].object_last, 77);
    CU_ASSERT_EQUAL(
        pst_part_trailer_check(trailer, PST_BLOCK_BYTES, written.size, &identity, &damage), 0);
    CU_ASSERT_EQUAL(pst_part_trailer_open(&sealed, (void *)trailer, &damage), 0);
    trailer[offsetof(struct pst_part_trailer, stop_gci)] ^= 1;
    CU_ASSERT_EQUAL(pst_part_trailer_open(&sealed, (void *)trailer, &damage), -PST_E_CORRUPT);
    pst_sealed_close(&sealed);
    free(index);
    free(trailer);
    free(written.bytes);
}

/* One byte in each run of 16 of a chunk, its checksums made right. */
static void no_byte_can_be_changed(void)
{
    struct written written = write_part(key);
    uint8_t *decoded = sample_buffer();
    uint64_t from = offsetof(struct pst_block_head, identity);
    for (uint32_t i = 0; i < 2; i++) {
        const struct pst_chunk_header *header =
            (const struct pst_chunk_header *)(written.bytes + written.chunks[i].file_offset);
        uint64_t end = PST_CHUNK_HEADER_BYTES + header->stored_bytes;
        for (uint64_t at = from; at < end; at += 16) {
            uint8_t *chunk = copy_of(&written, written.chunks[i]);
            chunk[at] ^= 4;
            mend(chunk);
            bool is_changed = memcmp(chunk, header, sizeof(*header)) != 0;
            if (is_changed && pst_chunk_check(chunk, written.chunks[i].bytes, &identity, i,
                                              written.chunks[i].file_offset, &damage) == 0)
                CU_ASSERT_EQUAL(open_chunk(key, chunk, decoded), -PST_E_CORRUPT);
            free(chunk);
        }
    }
    free(decoded);
    free(written.bytes);
}

static void no_chunk_passes_for_another(void)
{
    struct written written = write_part(key), other = write_part(other_key);
    uint8_t *decoded = sample_buffer();
    uint8_t *chunk = copy_of(&written, written.chunks[0]);
    struct pst_chunk_header *header = (struct pst_chunk_header *)chunk;
    header->head.chunk = 2;
    header->file_offset = written.chunks[2].file_offset;
    mend(chunk);
    CU_ASSERT_EQUAL(pst_chunk_check(chunk, written.chunks[0].bytes, &identity, 2,
                                    written.chunks[2].file_offset, &damage),
                    0);
    CU_ASSERT_EQUAL(open_chunk(key, chunk, decoded), -PST_E_CORRUPT);
    free(chunk);
    chunk = copy_of(&other, other.chunks[0]); /* of the same number, in another part */
    CU_ASSERT_EQUAL(open_chunk(other_key, chunk, decoded), 0);
    free(chunk);
    chunk = copy_of(&other, other.chunks[0]);
    CU_ASSERT_EQUAL(open_chunk(key, chunk, decoded), -PST_E_CORRUPT);
    free(chunk);
    free(decoded);
    free(written.bytes);
    free(other.bytes);
}

/* Somebody without the key cannot put a plain chunk in the place of a sealed one. */
static void a_plain_chunk_is_refused(void)
{
    uint8_t *chunk = sample_buffer(), *decoded = sample_buffer();
    fill(chunk, 0);
    (void)format_chunk_seal(chunk, &identity, 0, PST_BLOCK_BYTES, RAW_BYTES);
    CU_ASSERT_EQUAL(open_chunk(key, chunk, decoded), -PST_E_CORRUPT);
    free(chunk);
    free(decoded);
}

/* Nor a sealed one, whose pieces nobody has checked, into a part that is not. */
static void a_sealed_chunk_is_refused_in_a_plain_part(void)
{
    struct written written = write_part(key);
    uint8_t *chunk = copy_of(&written, written.chunks[0]),
            *index = copy_of(&written, written.index);
    uint8_t *decoded = sample_buffer(), *plain = sample_buffer();
    struct pst_index_view view;
    CU_ASSERT_EQUAL(pst_chunk_decode(chunk, decoded, PST_CHUNK_BYTES_MIN, &damage), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(damage.offset, offsetof(struct pst_chunk_header, cipher));
    CU_ASSERT_EQUAL(pst_index_open(NULL, index, &damage), -PST_E_CORRUPT);
    struct pst_part part;
    pst_part_begin(&part, &identity, PST_CHUNK_BYTES_MIN, 1, 1, decoded);
    pst_part_attach_index(&part, plain);
    fill(chunk, 0);
    (void)pst_part_seal_chunk(&part, chunk, RAW_BYTES);
    (void)pst_part_seal_index(&part);
    CU_ASSERT_EQUAL(pst_index_open(NULL, plain, &damage), 0);
    CU_ASSERT_EQUAL_FATAL(pst_index_read(plain, &view, &damage), 0);
    struct pst_index_entry *entry = (struct pst_index_entry *)view.entries;
    CU_ASSERT_EQUAL(pst_index_check_chunk(entry, chunk, SAMPLE_BUFFER_BYTES, &identity, &damage),
                    0);
    entry->cipher = PST_CIPHER_AES_256_GCM;
    CU_ASSERT_EQUAL(pst_index_read(plain, &view, &damage), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(pst_index_check_chunk(entry, chunk, SAMPLE_BUFFER_BYTES, &identity, &damage),
                    -PST_E_CORRUPT);
    free(chunk);
    free(index);
    free(decoded);
    free(plain);
    free(written.bytes);
}

/* The same plain text, number and key give other bytes for each thing that is sealed of a chunk. */
static void nonces_differ(void)
{
    static const uint8_t zeros[64];
    uint8_t texts[5][64] = {{0}}, tag[PST_AES_TAG_BYTES];
    const struct {
        uint64_t chunk;
        enum pst_sealed_what what;
    } uses[5] = {{1, PST_SEALED_PAYLOAD},
                 {1, PST_SEALED_HEADER},
                 {1, PST_SEALED_TRAILER},
                 {2, PST_SEALED_PAYLOAD},
                 {UINT64_C(1) << 63, PST_SEALED_PAYLOAD}};
    struct pst_sealed sealed;
    CU_ASSERT_EQUAL_FATAL(pst_sealed_open(&sealed, NULL, NULL, NULL), 0);
    pst_sealed_set_key(&sealed, key);
    for (uint32_t i = 0; i < 5; i++) {
        pst_sealed_seal(&sealed, uses[i].chunk, uses[i].what, NULL, 0, texts[i], sizeof(texts[i]),
                        tag);
        CU_ASSERT_NOT_EQUAL(memcmp(texts[i], zeros, sizeof(zeros)), 0);
        for (uint32_t j = 0; j < i; j++)
            CU_ASSERT_NOT_EQUAL(memcmp(texts[i], texts[j], sizeof(zeros)), 0);
    }
    pst_sealed_close(&sealed);
}

/* 16 zeros as that payload. */
static void seal_zeros(struct pst_sealed *sealed, uint64_t chunk, uint8_t text[16])
{
    uint8_t tag[PST_AES_TAG_BYTES];
    memset(text, 0, 16);
    pst_sealed_seal(sealed, chunk, PST_SEALED_PAYLOAD, NULL, 0, text, 16, tag);
}

/* From its first chunk on the key of the tail counts, until another part's is set. */
static void a_tail_is_sealed_with_its_own_key(void)
{
    struct pst_sealed both, one;
    uint8_t text[16], wanted[16];
    CU_ASSERT_EQUAL_FATAL(pst_sealed_open(&both, NULL, NULL, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pst_sealed_open(&one, NULL, NULL, NULL), 0);
    pst_sealed_set_key(&both, key);
    CU_ASSERT_EQUAL_FATAL(pst_sealed_set_tail(&both, other_key, 7), 0);
    for (uint64_t chunk = 5; chunk < 10; chunk++) {
        pst_sealed_set_key(&one, chunk < 7 ? key : other_key);
        seal_zeros(&both, chunk, text);
        seal_zeros(&one, chunk, wanted);
        CU_ASSERT_EQUAL(memcmp(text, wanted, sizeof(text)), 0);
    }
    pst_sealed_set_key(&both, key);
    pst_sealed_set_key(&one, key);
    seal_zeros(&both, 8, text);
    seal_zeros(&one, 8, wanted);
    CU_ASSERT_EQUAL(memcmp(text, wanted, sizeof(text)), 0);
    pst_sealed_close(&both);
    pst_sealed_close(&one);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"chunks come back", chunks_come_back},
        {"index and trailer come back", index_and_trailer_come_back},
        {"no byte can be changed", no_byte_can_be_changed},
        {"no chunk passes for another", no_chunk_passes_for_another},
        {"a plain chunk is refused", a_plain_chunk_is_refused},
        {"a sealed chunk is refused in a plain part", a_sealed_chunk_is_refused_in_a_plain_part},
        {"nonces differ", nonces_differ},
        {"a tail is sealed with its own key", a_tail_is_sealed_with_its_own_key},
        CU_TEST_INFO_NULL,
    };
    void *memory = aligned_alloc(64, (pst_lz4_memory_bytes() + 63) / 64 * 64);
    assert(memory);
    lz4 = pst_lz4_init(memory);
    identity = sample_identity();
    int result = suite_run("sealed parts", tests);
    free(memory);
    return result;
}
