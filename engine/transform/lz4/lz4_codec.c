/* Chunks by liblz4, block by block. Encoding is called by the pipeline, on an LDM's thread, by
 * engine/transform/registry; decoding by readers of parts, on any. */
#include "engine/transform/lz4/lz4_codec.h"

#include <assert.h>
#include <stddef.h>

#include <lz4.h>

#include "penstock/error.h"

#define LENGTH_BYTES 4u
#define ACCELERATION 1
#define SAMPLES 8u
#define SAMPLE_BYTES 2048u
/* At least one byte of so many must be saved in a sample. */
#define SAMPLE_GAIN 32u

struct lz4_encoder {
    struct pst_transform transform; /* first */
    LZ4_stream_t *stream;
    LZ4_stream_t memory;
};

static uint32_t bound(const struct pst_transform *transform, uint32_t raw_bytes)
{
    (void)transform;
    return pst_transform_worthwhile(raw_bytes);
}

static uint32_t block_bytes(uint32_t left)
{
    return left < PST_LZ4_BLOCK_BYTES ? left : PST_LZ4_BLOCK_BYTES;
}

static void put_length(uint8_t *at, uint32_t length)
{
    for (uint32_t i = 0; i < LENGTH_BYTES; i++)
        at[i] = (uint8_t)(length >> 8 * i);
}

static uint32_t get_length(const uint8_t *at)
{
    uint32_t length = 0;
    for (uint32_t i = 0; i < LENGTH_BYTES; i++)
        length |= (uint32_t)at[i] << 8 * i;
    return length;
}

static LZ4_stream_t *stream_of(const struct pst_transform *transform)
{
    return ((const struct lz4_encoder *)transform)->stream;
}

/* A block. What it refers to is the raw payload before it, where it lies. */
static enum pst_encoded encode(const struct pst_transform *transform, struct pst_encoding *encoding)
{
    uint32_t room = encoding->room - encoding->stored_bytes;
    uint32_t bytes = block_bytes(encoding->raw_bytes - encoding->raw_done);
    uint8_t *stored = encoding->stored + encoding->stored_bytes;
    if (room <= LENGTH_BYTES)
        return PST_ENCODE_DECLINED;
    if (encoding->raw_done == 0)
        LZ4_resetStream_fast(stream_of(transform));
    int length = LZ4_compress_fast_continue(
        stream_of(transform), (const char *)encoding->raw + encoding->raw_done,
        (char *)stored + LENGTH_BYTES, (int)bytes, (int)(room - LENGTH_BYTES), ACCELERATION);
    if (length <= 0)
        return PST_ENCODE_DECLINED;
    put_length(stored, (uint32_t)length);
    encoding->raw_done += bytes;
    encoding->stored_bytes += LENGTH_BYTES + (uint32_t)length;
    return encoding->raw_done == encoding->raw_bytes ? PST_ENCODED : PST_ENCODE_MORE;
}

/* A block. */
static enum pst_decoded decode_step(const struct pst_transform *transform,
                                    struct pst_decoding *decoding)
{
    const uint8_t *in = decoding->stored + decoding->stored_done;
    uint32_t left = decoding->stored_bytes - decoding->stored_done;
    uint32_t bytes = block_bytes(decoding->raw_bytes - decoding->raw_done);
    char *raw = (char *)decoding->raw;
    (void)transform;
    if (left < LENGTH_BYTES)
        return PST_DECODE_CORRUPT;
    uint32_t length = get_length(in);
    if (length > left - LENGTH_BYTES)
        return PST_DECODE_CORRUPT;
    int got =
        LZ4_decompress_safe_usingDict((const char *)in + LENGTH_BYTES, raw + decoding->raw_done,
                                      (int)length, (int)bytes, raw, (int)decoding->raw_done);
    if (got != (int)bytes)
        return PST_DECODE_CORRUPT;
    decoding->stored_done += LENGTH_BYTES + length;
    decoding->raw_done += bytes;
    if (decoding->raw_done < decoding->raw_bytes)
        return PST_DECODE_MORE;
    return decoding->stored_done == decoding->stored_bytes ? PST_DECODED : PST_DECODE_CORRUPT;
}

static int decode(const struct pst_transform *transform, const struct pst_block_head *head,
                  const void *stored, uint32_t stored_bytes, void *raw, uint32_t raw_bytes)
{
    struct pst_decoding decoding = {
        .stored = stored, .raw = raw, .stored_bytes = stored_bytes, .raw_bytes = raw_bytes};
    enum pst_decoded end;
    (void)head;
    do
        end = decode_step(transform, &decoding);
    while (end == PST_DECODE_MORE);
    return end == PST_DECODED ? 0 : -PST_E_CORRUPT;
}

const struct pst_transform pst_lz4_codec = {
    .codec = PST_CODEC_LZ4,
    .bound = bound,
    .decode = decode,
};

size_t pst_lz4_memory_bytes(void)
{
    return sizeof(struct lz4_encoder);
}

const struct pst_transform *pst_lz4_init(void *memory)
{
    struct lz4_encoder *encoder = memory;
    encoder->transform = pst_lz4_codec;
    encoder->transform.encode = encode;
    encoder->transform.decode_step = decode_step;
    encoder->stream = LZ4_initStream(&encoder->memory, sizeof(encoder->memory));
    assert(encoder->stream);
    return &encoder->transform;
}

bool pst_lz4_shrinks(const struct pst_transform *transform, const void *raw, uint32_t raw_bytes)
{
    char stored[LZ4_COMPRESSBOUND(SAMPLE_BYTES)];
    uint32_t samples = raw_bytes / SAMPLE_BYTES < SAMPLES ? raw_bytes / SAMPLE_BYTES : SAMPLES;
    uint32_t all = 0;
    for (uint32_t i = 0; i < samples; i++) {
        size_t offset = (size_t)i * (raw_bytes / samples);
        LZ4_resetStream_fast(stream_of(transform));
        all += (uint32_t)LZ4_compress_fast_continue(
            stream_of(transform), (const char *)raw + offset, stored, (int)SAMPLE_BYTES,
            (int)sizeof(stored), ACCELERATION);
    }
    return samples == 0 || all + samples * SAMPLE_BYTES / SAMPLE_GAIN <= samples * SAMPLE_BYTES;
}
