/* Chunks by libzstd, a frame each, in a context that never allocates. Encoding is called by the
 * pipeline, on an LDM's thread, by engine/transform/registry; decoding by readers, on any. */
#include "engine/transform/zstd/zstd_codec.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "penstock/error.h"

#define ALIGNMENT 64u
#define SAMPLES 64u
#define SAMPLE_BYTES 256u

struct pst_zstd {
    struct pst_transform transform; /* first */
    ZSTD_CCtx *context;
    ZSTD_DCtx *reader;
    uint32_t chunk_bytes;
    uint32_t level;
};

static uint32_t bound(const struct pst_transform *transform, uint32_t raw_bytes)
{
    (void)transform;
    return pst_transform_worthwhile(raw_bytes);
}

/* Of the raw payload in a step, so that it takes well below a millisecond. */
static uint32_t step_bytes(uint32_t level)
{
    static const uint32_t kib[PST_ZSTD_LEVEL_MAX + 1] = {0, 64, 64, 32, 32, 8, 8, 8, 8, 8};
    return kib[level] << 10;
}

/* Everything is said, nothing left to be chosen by a payload's length, so the memory is known. What
 * is encoded, and what comes of it, stay where they are. */
struct setting {
    ZSTD_cParameter name;
    int value;
};
#define SETTINGS 10u

static void settings_of(uint32_t level, uint32_t chunk_bytes, struct setting settings[SETTINGS])
{
    const ZSTD_compressionParameters fit = ZSTD_getCParams((int)level, chunk_bytes, 0);
    const struct setting made[SETTINGS] = {
        {ZSTD_c_compressionLevel, (int)level},
        {ZSTD_c_windowLog, (int)fit.windowLog},
        {ZSTD_c_hashLog, (int)fit.hashLog},
        {ZSTD_c_chainLog, (int)fit.chainLog},
        {ZSTD_c_searchLog, (int)fit.searchLog},
        {ZSTD_c_minMatch, (int)fit.minMatch},
        {ZSTD_c_targetLength, (int)fit.targetLength},
        {ZSTD_c_strategy, (int)fit.strategy},
        {ZSTD_c_stableInBuffer, 1},
        {ZSTD_c_stableOutBuffer, 1},
    };
    memcpy(settings, made, sizeof(made));
}

static size_t context_bytes(uint32_t level, uint32_t chunk_bytes)
{
    struct setting settings[SETTINGS];
    ZSTD_CCtx_params *params = ZSTD_createCCtxParams();
    if (!params)
        return 0;
    settings_of(level, chunk_bytes, settings);
    for (uint32_t i = 0; i < SETTINGS; i++) {
        size_t result = ZSTD_CCtxParams_setParameter(params, settings[i].name, settings[i].value);
        assert(!ZSTD_isError(result));
    }
    size_t bytes = ZSTD_estimateCStreamSize_usingCCtxParams(params);
    ZSTD_freeCCtxParams(params);
    assert(!ZSTD_isError(bytes));
    return bytes;
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The struct, and what decodes; what encodes lies behind. */
static size_t head_bytes(void)
{
    return aligned(sizeof(struct pst_zstd)) + aligned(ZSTD_estimateDCtxSize());
}

static bool set_level(const struct pst_zstd *zstd)
{
    struct setting settings[SETTINGS];
    settings_of(zstd->level, zstd->chunk_bytes, settings);
    for (uint32_t i = 0; i < SETTINGS; i++) {
        if (ZSTD_isError(
                ZSTD_CCtx_setParameter(zstd->context, settings[i].name, settings[i].value)))
            return false;
    }
    return true;
}

static void begin(const struct pst_zstd *zstd, uint32_t raw_bytes)
{
    size_t result = ZSTD_CCtx_reset(zstd->context, ZSTD_reset_session_and_parameters);
    assert(!ZSTD_isError(result));
    bool is_set = set_level(zstd);
    assert(is_set);
    result = ZSTD_CCtx_setPledgedSrcSize(zstd->context, raw_bytes);
    assert(!ZSTD_isError(result));
}

static enum pst_encoded encode(const struct pst_transform *transform, struct pst_encoding *encoding)
{
    const struct pst_zstd *zstd = (const struct pst_zstd *)transform;
    uint32_t left = encoding->raw_bytes - encoding->raw_done;
    uint32_t step = step_bytes(zstd->level);
    bool is_last = left <= step;
    if (encoding->raw_done == 0)
        begin(zstd, encoding->raw_bytes);
    ZSTD_inBuffer in = {encoding->raw, encoding->raw_done + (is_last ? left : step),
                        encoding->raw_done};
    ZSTD_outBuffer out = {encoding->stored, encoding->room, encoding->stored_bytes};
    size_t owed =
        ZSTD_compressStream2(zstd->context, &out, &in, is_last ? ZSTD_e_end : ZSTD_e_flush);
    if (owed != 0 || in.pos != in.size)
        return PST_ENCODE_DECLINED; /* for want of room */
    encoding->raw_done = (uint32_t)in.pos;
    encoding->stored_bytes = (uint32_t)out.pos;
    return is_last ? PST_ENCODED : PST_ENCODE_MORE;
}

/* Whether it is one frame of so many bytes and nothing else. */
static bool is_frame_of(const void *stored, uint32_t stored_bytes, uint32_t raw_bytes)
{
    return ZSTD_findFrameCompressedSize(stored, stored_bytes) == stored_bytes &&
           ZSTD_getFrameContentSize(stored, stored_bytes) == raw_bytes;
}

/* Straight into raw: however large a window the frame asks for, it takes no memory of its own. */
static int decode(const struct pst_transform *transform, const struct pst_block_head *head,
                  const void *stored, uint32_t stored_bytes, void *raw, uint32_t raw_bytes)
{
    (void)transform, (void)head;
    if (!is_frame_of(stored, stored_bytes, raw_bytes))
        return -PST_E_CORRUPT;
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!context)
        return -ENOMEM;
    size_t made = ZSTD_decompressDCtx(context, raw, raw_bytes, stored, stored_bytes);
    ZSTD_freeDCtx(context);
    return made == raw_bytes ? 0 : -PST_E_CORRUPT;
}

/* Up to the end of a block, which has 128 KiB at most: the frame is taken apart as it lies. */
static enum pst_decoded decode_step(const struct pst_transform *transform,
                                    struct pst_decoding *decoding)
{
    ZSTD_DCtx *reader = ((const struct pst_zstd *)transform)->reader;
    if (decoding->stored_done == 0 &&
        (!is_frame_of(decoding->stored, decoding->stored_bytes, decoding->raw_bytes) ||
         ZSTD_isError(ZSTD_decompressBegin(reader))))
        return PST_DECODE_CORRUPT;
    size_t wanted = ZSTD_nextSrcSizeToDecompress(reader), made = 0;
    while (made == 0 && wanted > 0) {
        assert(wanted <= decoding->stored_bytes - decoding->stored_done); /* it is one frame */
        made = ZSTD_decompressContinue(reader, decoding->raw + decoding->raw_done,
                                       decoding->raw_bytes - decoding->raw_done,
                                       decoding->stored + decoding->stored_done, wanted);
        if (ZSTD_isError(made))
            return PST_DECODE_CORRUPT;
        decoding->stored_done += (uint32_t)wanted;
        decoding->raw_done += (uint32_t)made;
        wanted = ZSTD_nextSrcSizeToDecompress(reader);
    }
    if (wanted > 0)
        return PST_DECODE_MORE;
    return decoding->raw_done == decoding->raw_bytes &&
                   decoding->stored_done == decoding->stored_bytes
               ? PST_DECODED
               : PST_DECODE_CORRUPT;
}

const struct pst_transform pst_zstd_codec = {
    .codec = PST_CODEC_ZSTD,
    .bound = bound,
    .decode = decode,
};

size_t pst_zstd_memory_bytes(uint32_t level_max, uint32_t chunk_bytes)
{
    size_t most = 0;
    for (uint32_t level = PST_ZSTD_LEVEL_MIN; level <= level_max; level++) {
        size_t bytes = context_bytes(level, chunk_bytes);
        if (bytes == 0)
            return 0;
        most = bytes > most ? bytes : most;
    }
    return head_bytes() + most;
}

struct pst_zstd *pst_zstd_init(void *memory, size_t bytes, uint32_t level_max, uint32_t chunk_bytes)
{
    struct pst_zstd *zstd = memory;
    *zstd = (struct pst_zstd){
        .transform = pst_zstd_codec, .chunk_bytes = chunk_bytes, .level = level_max};
    zstd->transform.encode = encode;
    zstd->transform.decode_step = decode_step;
    zstd->reader =
        ZSTD_initStaticDCtx((char *)memory + aligned(sizeof(*zstd)), ZSTD_estimateDCtxSize());
    zstd->context = ZSTD_initStaticCCtx((char *)memory + head_bytes(), bytes - head_bytes());
    assert(zstd->context && zstd->reader);
    return zstd;
}

const struct pst_transform *pst_zstd_at(struct pst_zstd *zstd, uint32_t level)
{
    assert(level >= PST_ZSTD_LEVEL_MIN && level <= PST_ZSTD_LEVEL_MAX);
    zstd->level = level;
    return &zstd->transform;
}

/* Bytes that come as often as each other are a pair as seldom as can be: two of them are equal once
 * in 256. An eighth more often is 0.1 bits a byte. */
bool pst_zstd_shrinks(const void *raw, uint32_t raw_bytes)
{
    uint32_t counts[UINT8_MAX + 1] = {0};
    uint32_t samples = raw_bytes / SAMPLE_BYTES < SAMPLES ? raw_bytes / SAMPLE_BYTES : SAMPLES;
    uint64_t all = (uint64_t)samples * SAMPLE_BYTES, pairs = 0;
    for (uint32_t i = 0; i < samples; i++) {
        const uint8_t *sample = (const uint8_t *)raw + (size_t)i * (raw_bytes / samples);
        for (uint32_t j = 0; j < SAMPLE_BYTES; j++)
            counts[sample[j]]++;
    }
    for (uint32_t i = 0; i <= UINT8_MAX; i++)
        pairs += (uint64_t)counts[i] * counts[i];
    return samples == 0 || (pairs - all) * (UINT8_MAX + 1) > all * all + all * all / 8;
}
