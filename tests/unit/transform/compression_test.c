/* What --compress takes, and which chunks are encoded. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/transform/registry/compression.h"
#include "tests/suite.h"
#include "tests/unit/transform/payloads.h"

static uint8_t *raw;

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

/* The codec of a payload of this kind; PST_CODEC_NONE: none. */
static uint8_t chosen(const char *text, enum payload kind, uint32_t bytes)
{
    const struct pst_compression_choice choice = parsed(text);
    size_t room = pst_compression_memory_bytes(&choice, PAYLOAD_BYTES_MAX);
    void *memory = aligned_alloc(64, room);
    assert(memory);
    struct pst_compression *compression = pst_compression_init(&choice, PAYLOAD_BYTES_MAX, memory);
    payload_fill(raw, PAYLOAD_BYTES_MAX, kind);
    const struct pst_transform *transform = pst_compression_choose(compression, raw, bytes);
    uint8_t codec = transform ? transform->codec : PST_CODEC_NONE;
    free(memory);
    return codec;
}

static void a_sample_decides(void)
{
    uint32_t bytes = PAYLOAD_BYTES_MAX;
    CU_ASSERT_EQUAL(chosen("lz4", PAYLOAD_TEXT, bytes), PST_CODEC_LZ4);
    CU_ASSERT_EQUAL(chosen("zstd", PAYLOAD_TEXT, bytes), PST_CODEC_ZSTD);
    CU_ASSERT_EQUAL(chosen("auto", PAYLOAD_TEXT, bytes), PST_CODEC_LZ4); /* to begin with */
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

int main(void)
{
    CU_TestInfo tests[] = {
        {"what is asked for is understood", what_is_asked_for_is_understood},
        {"a sample decides", a_sample_decides},
        {"a block is left as it is", a_block_is_left_as_it_is},
        CU_TEST_INFO_NULL,
    };
    raw = malloc(PAYLOAD_BYTES_MAX);
    assert(raw);
    int result = suite_run("compression", tests);
    free(raw);
    return result;
}
