/* What --compress takes, and which chunks are encoded. */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "engine/transform/registry/compression.h"
#include "tests/suite.h"
#include "tests/support/pause.h"
#include "tests/unit/transform/payloads.h"

/* All else of the first window takes microseconds. */
#define WAIT_NS UINT64_C(500000000)

static uint8_t *raw;
static bool has_no_memory;

/* In place of the library's, by which the codec finds out what memory it needs. */
ZSTD_CCtx_params *ZSTD_createCCtxParams(void)
{
    ZSTD_CCtx_params *(*real)(void);
    void *found = dlsym(RTLD_NEXT, "ZSTD_createCCtxParams");
    assert(found);
    memcpy(&real, &found, sizeof(real));
    return has_no_memory ? NULL : real();
}

static struct pst_compression_choice parsed(const char *text)
{
    struct pst_compression_choice choice;
    int error = pst_compression_parse(text, &choice);
    CU_ASSERT_EQUAL(error, 0);
    return choice;
}

static void what_is_asked_for_is_understood(void)
{
    struct pst_compression_choice choice;
    static const char *const wrong[] = {"",        "zst",     "zstd:", "zstd:0", "zstd:10",
                                        "zstd:-1", "zstd:1x", "lz4:1", "LZ4",    "auto:1"};
    CU_ASSERT_EQUAL(parsed("none").mode, PST_COMPRESSION_NONE);
    CU_ASSERT_EQUAL(parsed("lz4").mode, PST_COMPRESSION_LZ4);
    CU_ASSERT_EQUAL(parsed("auto").mode, PST_COMPRESSION_AUTO);
    CU_ASSERT_EQUAL(parsed("zstd").mode, PST_COMPRESSION_ZSTD);
    CU_ASSERT_EQUAL(parsed("zstd").level, 1);
    CU_ASSERT_EQUAL(parsed("zstd:9").level, 9);
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_EQUAL(pst_compression_parse(wrong[i], &choice), -EINVAL);
    CU_ASSERT_EQUAL(pst_compression_parse(NULL, &choice), -EINVAL);
    choice = parsed("none");
    CU_ASSERT_EQUAL(pst_compression_memory_bytes(&choice, PAYLOAD_BYTES_MAX), 0);
}

static struct pst_compression *opened(const char *text)
{
    const struct pst_compression_choice choice = parsed(text);
    size_t room = pst_compression_memory_bytes(&choice, PAYLOAD_BYTES_MAX);
    void *memory = aligned_alloc(64, room);
    assert(memory);
    return pst_compression_init(&choice, PAYLOAD_BYTES_MAX, memory, room);
}

/* The codec of a payload of this kind; PST_CODEC_NONE: none. */
static uint8_t chosen(const char *text, enum payload kind, uint32_t bytes)
{
    struct pst_compression *compression = opened(text);
    payload_fill(raw, PAYLOAD_BYTES_MAX, kind);
    const struct pst_transform *transform = pst_compression_choose(compression, raw, bytes);
    uint8_t codec = transform ? transform->codec : PST_CODEC_NONE;
    free(compression);
    return codec;
}

/* Encodes it; the codec. */
static uint8_t encoded_by(const struct pst_transform *transform)
{
    uint8_t *stored = malloc(PAYLOAD_BYTES_MAX);
    struct pst_encoding encoding = {
        .raw = raw, .stored = stored, .raw_bytes = PAYLOAD_BYTES_MAX, .room = PAYLOAD_BYTES_MAX};
    enum pst_encoded end;
    assert(stored);
    do
        end = transform->encode(transform, &encoding);
    while (end == PST_ENCODE_MORE);
    CU_ASSERT_EQUAL(end, PST_ENCODED);
    free(stored);
    return transform->codec;
}

static void a_sample_decides(void)
{
    uint32_t bytes = PAYLOAD_BYTES_MAX;
    CU_ASSERT_EQUAL(chosen("lz4", PAYLOAD_TEXT, bytes), PST_CODEC_LZ4);
    CU_ASSERT_EQUAL(chosen("zstd", PAYLOAD_TEXT, bytes), PST_CODEC_ZSTD);
    CU_ASSERT_EQUAL(chosen("auto", PAYLOAD_TEXT, bytes), PST_CODEC_NONE); /* to begin with */
    CU_ASSERT_EQUAL(chosen("lz4", PAYLOAD_ZEROS, bytes), PST_CODEC_LZ4);
    CU_ASSERT_EQUAL(chosen("zstd:9", PAYLOAD_ZEROS, bytes), PST_CODEC_ZSTD);
    CU_ASSERT_EQUAL(chosen("zstd", PAYLOAD_DIGITS, bytes), PST_CODEC_ZSTD);
    CU_ASSERT_EQUAL(chosen("lz4", PAYLOAD_DIGITS, bytes), PST_CODEC_NONE);
    CU_ASSERT_EQUAL(chosen("lz4", PAYLOAD_NOISE, bytes), PST_CODEC_NONE);
    CU_ASSERT_EQUAL(chosen("zstd:9", PAYLOAD_NOISE, bytes), PST_CODEC_NONE);
    CU_ASSERT_EQUAL(chosen("auto", PAYLOAD_NOISE, bytes), PST_CODEC_NONE);
}

/* What takes a block takes one in any case. */
static void a_block_is_left_as_it_is(void)
{
    CU_ASSERT_EQUAL(chosen("zstd", PAYLOAD_ZEROS, 4096), PST_CODEC_NONE);
    CU_ASSERT_EQUAL(chosen("zstd", PAYLOAD_ZEROS, 4097), PST_CODEC_ZSTD);
}

/* In a window of 16 MiB it learns whether there is time, and in the next what lz4 costs, on its
 * first MiB alone. */
static void auto_begins_with_none(void)
{
    struct pst_compression *compression = opened("auto");
    payload_fill(raw, PAYLOAD_BYTES_MAX, PAYLOAD_TEXT);
    pst_compression_begin_scan(compression);
    pause_ns(WAIT_NS);
    pst_compression_note_wait(compression, WAIT_NS);
    for (uint32_t chunk = 1; chunk < 32; chunk++) {
        const struct pst_transform *transform =
            pst_compression_choose(compression, raw, PAYLOAD_BYTES_MAX);
        CU_ASSERT_EQUAL(transform != NULL, chunk == 16);
        if (transform)
            CU_ASSERT_EQUAL(encoded_by(transform), PST_CODEC_LZ4);
    }
    free(compression);
}

/* To find the size out allocates, so it is done once. */
static void what_it_has_is_enough_when_memory_runs_out(void)
{
    static const char *const texts[] = {"zstd:9", "auto", "lz4"};
    payload_fill(raw, PAYLOAD_BYTES_MAX, PAYLOAD_TEXT);
    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const struct pst_compression_choice choice = parsed(texts[i]);
        size_t room = pst_compression_memory_bytes(&choice, PAYLOAD_BYTES_MAX);
        void *memory = aligned_alloc(64, room);
        assert(memory);
        has_no_memory = true;
        CU_ASSERT_EQUAL(pst_compression_memory_bytes(&choice, PAYLOAD_BYTES_MAX),
                        choice.mode == PST_COMPRESSION_LZ4 ? room : SIZE_MAX);
        struct pst_compression *compression =
            pst_compression_init(&choice, PAYLOAD_BYTES_MAX, memory, room);
        (void)encoded_by(pst_compression_transform(compression));
        has_no_memory = false;
        free(memory);
    }
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is asked for is understood", what_is_asked_for_is_understood},
        {"a sample decides", a_sample_decides},
        {"a block is left as it is", a_block_is_left_as_it_is},
        {"auto begins with none", auto_begins_with_none},
        {"what it has is enough when memory runs out", what_it_has_is_enough_when_memory_runs_out},
        CU_TEST_INFO_NULL,
    };
    raw = malloc(PAYLOAD_BYTES_MAX);
    assert(raw);
    int result = suite_run("compression", tests);
    free(raw);
    return result;
}
