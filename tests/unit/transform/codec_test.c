/* lz4 and zstd: what is encoded comes back, never takes more blocks than before, and is made in
 * short steps; what cannot have been encoded is refused, and nothing is written out of its place.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/base/limits.h"
#include "engine/transform/lz4/lz4_codec.h"
#include "engine/transform/registry/codec_find.h"
#include "engine/transform/zstd/zstd_codec.h"
#include "penstock/error.h"
#include "tests/suite.h"
#include "tests/unit/transform/payloads.h"

#define STEP_BYTES_MAX (128u << 10)

/* Allocations of the process, its libraries' too; a sanitizer has an allocator of its own. */
static unsigned allocations;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS true
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    allocations++;
    return __libc_realloc(old, bytes);
}
#else
#define COUNTS_ALLOCATIONS false
#endif

static uint8_t *raw, *stored, *decoded, *stepped;
static void *memory[2];

struct coder {
    const char *name;
    const struct pst_transform *transform;
};

static struct coder coder_lz4(void)
{
    return (struct coder){"lz4", pst_lz4_init(memory[0])};
}

static struct coder coder_zstd(uint32_t level)
{
    size_t bytes = pst_zstd_memory_bytes(level, PAYLOAD_BYTES_MAX);
    free(memory[1]);
    memory[1] = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert(bytes > 0 && memory[1]);
    return (struct coder){
        "zstd", pst_zstd_at(pst_zstd_init(memory[1], bytes, level, PAYLOAD_BYTES_MAX), level)};
}

/* Its length; 0: declined. Each step takes so much of the payload at most. */
static uint32_t encode(const struct pst_transform *transform, uint32_t raw_bytes, uint32_t step_max)
{
    struct pst_encoding encoding = {.raw = raw,
                                    .stored = stored,
                                    .raw_bytes = raw_bytes,
                                    .room = transform->bound(transform, raw_bytes)};
    enum pst_encoded end = encoding.room > 0 ? PST_ENCODE_MORE : PST_ENCODE_DECLINED;
    while (end == PST_ENCODE_MORE) {
        uint32_t done = encoding.raw_done;
        end = transform->encode(transform, &encoding);
        CU_ASSERT_TRUE(encoding.raw_done - done <= step_max);
        CU_ASSERT_TRUE(encoding.stored_bytes <= encoding.room);
    }
    return end == PST_ENCODED ? encoding.stored_bytes : 0;
}

/* By the one that encodes, in short steps. */
static enum pst_decoded decode_in_steps(const struct pst_transform *transform, const uint8_t *from,
                                        uint32_t stored_bytes, uint32_t raw_bytes)
{
    struct pst_decoding decoding = {
        .stored = from, .raw = decoded, .stored_bytes = stored_bytes, .raw_bytes = raw_bytes};
    enum pst_decoded end = PST_DECODE_MORE;
    while (end == PST_DECODE_MORE) {
        uint32_t done = decoding.raw_done;
        end = transform->decode_step(transform, &decoding);
        CU_ASSERT_TRUE(decoding.raw_done - done <= STEP_BYTES_MAX);
        CU_ASSERT_TRUE(decoding.raw_done > done || end != PST_DECODE_MORE);
        CU_ASSERT_TRUE(decoding.stored_done <= stored_bytes);
    }
    return end;
}

/* What they come to, where decoding at once came to this. */
static void check_steps(const struct pst_transform *transform, const uint8_t *from,
                        uint32_t stored_bytes, uint32_t raw_bytes, int error)
{
    uint8_t *at_once = decoded;
    decoded = stepped;
    memset(decoded, 0xA5, raw_bytes + 1);
    unsigned before = allocations;
    enum pst_decoded end = decode_in_steps(transform, from, stored_bytes, raw_bytes);
    CU_ASSERT_EQUAL(allocations, before);
    CU_ASSERT_EQUAL(decoded[raw_bytes], 0xA5);
    CU_ASSERT_EQUAL(end, error ? PST_DECODE_CORRUPT : PST_DECODED);
    CU_ASSERT_TRUE(error || memcmp(decoded, at_once, raw_bytes) == 0);
    decoded = at_once;
}

/* By the transform that a reader finds; in steps it must come to the same. */
static int decode(const struct pst_transform *transform, const uint8_t *from, uint32_t stored_bytes,
                  uint32_t raw_bytes)
{
    const struct pst_transform *found = pst_codec_find(transform->codec, PST_CIPHER_NONE);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    memset(decoded, 0xA5, raw_bytes + 1);
    int error = found->decode(found, NULL, from, stored_bytes, decoded, raw_bytes);
    CU_ASSERT_EQUAL(decoded[raw_bytes], 0xA5);
    if (transform->decode_step)
        check_steps(transform, from, stored_bytes, raw_bytes, error);
    return error;
}

static void check_all_lengths(const struct coder *coder)
{
    static const uint32_t lengths[] = {1,      4097,   8192,   65537,
                                       131072, 131073, 300000, PAYLOAD_BYTES_MAX};
    for (uint32_t kind = 0; kind < PAYLOADS; kind++) {
        payload_fill(raw, PAYLOAD_BYTES_MAX, kind);
        for (uint32_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            uint32_t bytes = encode(coder->transform, lengths[i], STEP_BYTES_MAX);
            CU_ASSERT_TRUE(bytes == 0 || kind != PAYLOAD_NOISE);
            CU_ASSERT_TRUE(bytes > 0 || kind == PAYLOAD_NOISE || kind == PAYLOAD_DIGITS ||
                           lengths[i] <= 2 * PST_BLOCK_BYTES);
            CU_ASSERT_TRUE(bytes <= pst_transform_worthwhile(lengths[i]));
            if (bytes == 0)
                continue;
            CU_ASSERT_TRUE(pst_transform_allows(coder->transform, lengths[i], bytes));
            CU_ASSERT_EQUAL(decode(coder->transform, stored, bytes, lengths[i]), 0);
            CU_ASSERT_EQUAL(memcmp(raw, decoded, lengths[i]), 0);
        }
    }
}

static void lz4_comes_back(void)
{
    struct coder coder = coder_lz4();
    check_all_lengths(&coder);
}

static void zstd_comes_back_at_each_level(void)
{
    for (uint32_t level = PST_ZSTD_LEVEL_MIN; level <= PST_ZSTD_LEVEL_MAX; level++) {
        struct coder coder = coder_zstd(level);
        check_all_lengths(&coder);
    }
}

static void the_higher_level_takes_the_shorter_step(void)
{
    payload_fill(raw, PAYLOAD_BYTES_MAX, PAYLOAD_TEXT);
    CU_ASSERT_TRUE(encode(coder_zstd(2).transform, PAYLOAD_BYTES_MAX, 64u << 10) > 0);
    CU_ASSERT_TRUE(encode(coder_zstd(4).transform, PAYLOAD_BYTES_MAX, 32u << 10) > 0);
    CU_ASSERT_TRUE(encode(coder_zstd(6).transform, PAYLOAD_BYTES_MAX, 8u << 10) > 0);
    CU_ASSERT_TRUE(encode(coder_zstd(9).transform, PAYLOAD_BYTES_MAX, 8u << 10) > 0);
}

static void encoding_allocates_nothing(void)
{
    const struct coder coders[] = {coder_lz4(), coder_zstd(PST_ZSTD_LEVEL_MAX)};
    unsigned before = allocations;
    CU_ASSERT_TRUE(!COUNTS_ALLOCATIONS || before > 0);
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t kind = 0; kind < PAYLOADS; kind++) {
            payload_fill(raw, PAYLOAD_BYTES_MAX, kind);
            (void)encode(coders[i].transform, PAYLOAD_BYTES_MAX, STEP_BYTES_MAX);
            (void)encode(coders[i].transform, 5000, STEP_BYTES_MAX);
            CU_ASSERT_EQUAL(allocations, before);
        }
    }
}

/* As when a backup is given up in the middle of a chunk. */
static void one_that_was_left_does_not_spoil_the_next(void)
{
    const struct coder coders[] = {coder_lz4(), coder_zstd(3)};
    for (uint32_t i = 0; i < 2; i++) {
        payload_fill(raw, PAYLOAD_BYTES_MAX, PAYLOAD_DIGITS);
        struct pst_encoding left = {.raw = raw,
                                    .stored = stored,
                                    .raw_bytes = PAYLOAD_BYTES_MAX,
                                    .room = PAYLOAD_BYTES_MAX};
        enum pst_encoded end = coders[i].transform->encode(coders[i].transform, &left);
        CU_ASSERT_EQUAL(end, PST_ENCODE_MORE);
        payload_fill(raw, 300000, PAYLOAD_TEXT);
        uint32_t bytes = encode(coders[i].transform, 300000, STEP_BYTES_MAX);
        CU_ASSERT_TRUE(bytes > 0);
        CU_ASSERT_EQUAL(decode(coders[i].transform, stored, bytes, 300000), 0);
        CU_ASSERT_EQUAL(memcmp(raw, decoded, 300000), 0);
    }
}

static void what_was_not_encoded_so_is_refused(void)
{
    const struct coder coders[] = {coder_lz4(), coder_zstd(1)};
    uint32_t raw_bytes = 300000;
    for (uint32_t i = 0; i < 2; i++) {
        const struct pst_transform *transform = coders[i].transform;
        payload_fill(raw, raw_bytes, PAYLOAD_TEXT);
        uint32_t bytes = encode(transform, raw_bytes, STEP_BYTES_MAX);
        CU_ASSERT_EQUAL(decode(transform, stored, bytes, raw_bytes - 1), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(decode(transform, stored, bytes, raw_bytes + 1), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(decode(transform, stored, bytes - 1, raw_bytes), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(decode(transform, stored, bytes + 1, raw_bytes), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(decode(transform, stored, 1, raw_bytes), -PST_E_CORRUPT);
        CU_ASSERT_EQUAL(decode(transform, raw, bytes, raw_bytes), -PST_E_CORRUPT);
        /* A copy as long as what is in it: what reads past its end is found by the sanitizer. */
        for (uint32_t at = 0; at < bytes; at += 97) {
            uint8_t *flipped = malloc(bytes);
            assert(flipped);
            memcpy(flipped, stored, bytes);
            flipped[at] ^= (uint8_t)(1 + at % 255);
            int error = decode(transform, flipped, bytes, raw_bytes);
            CU_ASSERT_TRUE(!error || error == -PST_E_CORRUPT);
            free(flipped);
        }
    }
}

/* Nothing behind what is stored is read: there is no memory. */
static void a_length_beyond_the_end_is_not_followed(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(pages != MAP_FAILED);
    int error = mprotect(pages + page, page, PROT_NONE);
    assert(!error);
    const struct pst_transform *codecs[] = {coder_lz4().transform, coder_zstd(1).transform};
    memset(pages, 0xFF, page);
    pages[page - 100 + 3] = 0x7F; /* of the length of a block of lz4 */
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(decode(codecs[i], pages + page - 100, 100, 100000), -PST_E_CORRUPT);
    munmap(pages, 2 * page);
}

/* Two frames that make the payload together, and one behind it that makes nothing. */
static void a_second_frame_is_refused(void)
{
    const struct pst_transform *transform = coder_zstd(1).transform;
    payload_fill(raw, 100000, PAYLOAD_TEXT);
    uint32_t bytes = encode(transform, 100000, STEP_BYTES_MAX);
    memcpy(stored + bytes, stored, bytes);
    CU_ASSERT_EQUAL(decode(transform, stored, 2 * bytes, 200000), -PST_E_CORRUPT);
    CU_ASSERT_EQUAL(decode(transform, stored, 2 * bytes, 100000), -PST_E_CORRUPT);
    static const uint8_t skippable[] = {0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7};
    memcpy(stored + bytes, skippable, sizeof(skippable));
    CU_ASSERT_EQUAL(decode(transform, stored, bytes, 100000), 0);
    CU_ASSERT_EQUAL(decode(transform, stored, bytes + (uint32_t)sizeof(skippable), 100000),
                    -PST_E_CORRUPT);
}

static void lengths_that_save_no_block_are_not_allowed(void)
{
    const struct pst_transform *codecs[] = {pst_codec_find(PST_CODEC_LZ4, 0),
                                            pst_codec_find(PST_CODEC_ZSTD, 0)};
    for (uint32_t i = 0; i < 2; i++) {
        CU_ASSERT_TRUE(pst_transform_allows(codecs[i], 8193, 8192));
        CU_ASSERT_FALSE(pst_transform_allows(codecs[i], 8192, 8191));
        CU_ASSERT_TRUE(pst_transform_allows(codecs[i], 8192, 4096));
        CU_ASSERT_FALSE(pst_transform_allows(codecs[i], 4096, 1));
        CU_ASSERT_FALSE(pst_transform_allows(codecs[i], 0, 0));
    }
    CU_ASSERT_PTR_NULL(pst_codec_find(PST_CODECS, 0));
    CU_ASSERT_PTR_NULL(pst_codec_find(PST_CODEC_LZ4, PST_CIPHERS));
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"lz4 comes back", lz4_comes_back},
        {"zstd comes back at each level", zstd_comes_back_at_each_level},
        {"the higher level takes the shorter step", the_higher_level_takes_the_shorter_step},
        {"encoding allocates nothing", encoding_allocates_nothing},
        {"one that was left does not spoil the next", one_that_was_left_does_not_spoil_the_next},
        {"what was not encoded so is refused", what_was_not_encoded_so_is_refused},
        {"a length beyond the end is not followed", a_length_beyond_the_end_is_not_followed},
        {"a second frame is refused", a_second_frame_is_refused},
        {"lengths that save no block are not allowed", lengths_that_save_no_block_are_not_allowed},
        CU_TEST_INFO_NULL,
    };
    raw = malloc(PAYLOAD_BYTES_MAX);
    stored = malloc(PAYLOAD_BYTES_MAX);
    decoded = malloc(PAYLOAD_BYTES_MAX + 1);
    stepped = malloc(PAYLOAD_BYTES_MAX + 1);
    memory[0] = aligned_alloc(64, (pst_lz4_memory_bytes() + 63) / 64 * 64);
    assert(raw && stored && decoded && stepped && memory[0]);
    int result = suite_run("codec", tests);
    free(raw);
    free(stored);
    free(decoded);
    free(stepped);
    free(memory[0]);
    free(memory[1]);
    return result;
}
