/* The codecs of one LDM, and which of them the next chunk gets: a sample of it must shrink, and
 * with auto there must be time. Called by engine/node's LDM thread and, for each chunk, its
 * pipeline. */
#include "engine/transform/registry/compression.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/transform/lz4/lz4_codec.h"
#include "engine/transform/registry/compression_pace.h"
#include "engine/transform/zstd/zstd_codec.h"

#define ALIGNMENT 64u
#define ZSTD_LEVEL_DEFAULT 1u
#define ZSTD_LEVEL_AUTO_MAX 3u
#define WINDOW_BYTES (UINT64_C(16) << 20)

struct pst_compression {
    struct pst_transform timed; /* first: with auto, that of the chunk, and how long it takes */
    const struct pst_transform *inner;
    enum compression_level level; /* of the chunk */
    struct pst_compression_choice choice;
    const struct pst_transform *lz4; /* its samples serve zstd too */
    struct pst_zstd *zstd;           /* NULL: none */
    struct compression_pace pace;
    struct compression_window window;
    uint64_t window_began_ns;
};

int pst_compression_parse(const char *text, struct pst_compression_choice *choice)
{
    *choice = (struct pst_compression_choice){.level = ZSTD_LEVEL_DEFAULT};
    if (!text)
        return -EINVAL;
    if (strcmp(text, "none") == 0)
        return 0;
    choice->mode = PST_COMPRESSION_LZ4;
    if (strcmp(text, "lz4") == 0)
        return 0;
    choice->mode = PST_COMPRESSION_AUTO;
    if (strcmp(text, "auto") == 0)
        return 0;
    choice->mode = PST_COMPRESSION_ZSTD;
    if (strcmp(text, "zstd") == 0)
        return 0;
    if (strncmp(text, "zstd:", 5) != 0 || text[5] < '1' || text[5] > '9' || text[6])
        return -EINVAL;
    choice->level = (uint32_t)(text[5] - '0');
    return 0;
}
_Static_assert(PST_ZSTD_LEVEL_MIN == 1 && PST_ZSTD_LEVEL_MAX == 9, "a level is one digit");

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* 0: no zstd. */
static uint32_t zstd_level_max(const struct pst_compression_choice *choice)
{
    switch (choice->mode) {
    case PST_COMPRESSION_ZSTD:
        return choice->level;
    case PST_COMPRESSION_AUTO:
        return ZSTD_LEVEL_AUTO_MAX;
    default:
        return 0;
    }
}

size_t pst_compression_memory_bytes(const struct pst_compression_choice *choice,
                                    uint32_t chunk_bytes)
{
    if (choice->mode == PST_COMPRESSION_NONE)
        return 0;
    size_t bytes = aligned(sizeof(struct pst_compression)) + aligned(pst_lz4_memory_bytes());
    if (zstd_level_max(choice) == 0)
        return bytes;
    size_t zstd_bytes = pst_zstd_memory_bytes(zstd_level_max(choice), chunk_bytes);
    return zstd_bytes > 0 ? bytes + aligned(zstd_bytes) : SIZE_MAX;
}

static void begin_window(struct pst_compression *compression, uint64_t now_ns)
{
    compression->window = (struct compression_window){0};
    compression->window_began_ns = now_ns;
}

void pst_compression_begin_scan(struct pst_compression *compression)
{
    begin_window(compression, pst_monotonic_ns());
}

struct pst_compression *pst_compression_init(const struct pst_compression_choice *choice,
                                             uint32_t chunk_bytes, void *memory, size_t bytes)
{
    struct pst_compression *compression = memory;
    char *rest = (char *)memory + aligned(sizeof(*compression));
    assert(choice->mode != PST_COMPRESSION_NONE);
    *compression = (struct pst_compression){.choice = *choice, .lz4 = pst_lz4_init(rest)};
    compression_pace_init(&compression->pace);
    pst_compression_begin_scan(compression);
    rest += aligned(pst_lz4_memory_bytes());
    uint32_t level = zstd_level_max(choice);
    if (level > 0)
        compression->zstd =
            pst_zstd_init(rest, bytes - (size_t)(rest - (char *)memory), level, chunk_bytes);
    return compression;
}

const struct pst_transform *pst_compression_transform(const struct pst_compression *compression)
{
    return compression->zstd ? pst_zstd_at(compression->zstd, zstd_level_max(&compression->choice))
                             : compression->lz4;
}

const struct pst_transform *pst_compression_decoder(const struct pst_compression *compression,
                                                    uint8_t codec)
{
    if (codec == PST_CODEC_LZ4)
        return compression->lz4;
    if (codec == PST_CODEC_ZSTD && compression->zstd)
        return pst_zstd_at(compression->zstd, zstd_level_max(&compression->choice));
    return NULL;
}

static enum pst_encoded encode_timed(const struct pst_transform *transform,
                                     struct pst_encoding *encoding)
{
    struct pst_compression *compression = (struct pst_compression *)transform;
    struct compression_encoded *encoded = &compression->window.encoded[compression->level];
    uint64_t began_ns = pst_monotonic_ns();
    if (encoding->raw_done == 0)
        encoded->bytes += encoding->raw_bytes;
    enum pst_encoded end = compression->inner->encode(compression->inner, encoding);
    encoded->ns += pst_monotonic_ns() - began_ns;
    return end;
}

static enum compression_level paced(struct pst_compression *compression, uint32_t raw_bytes)
{
    struct compression_window *window = &compression->window;
    window->raw_bytes += raw_bytes;
    if (window->raw_bytes >= WINDOW_BYTES) {
        uint64_t now_ns = pst_monotonic_ns();
        window->elapsed_ns = now_ns - compression->window_began_ns;
        compression_pace_step(&compression->pace, window);
        begin_window(compression, now_ns);
    }
    return compression_pace_level(&compression->pace, window);
}

static const struct pst_transform *inner_of(struct pst_compression *compression, uint32_t raw_bytes)
{
    if (compression->choice.mode == PST_COMPRESSION_LZ4)
        return compression->lz4;
    if (compression->choice.mode == PST_COMPRESSION_ZSTD)
        return pst_zstd_at(compression->zstd, compression->choice.level);
    compression->level = paced(compression, raw_bytes);
    switch (compression->level) {
    case COMPRESSION_LEVEL_LZ4:
        return compression->lz4;
    case COMPRESSION_LEVEL_ZSTD_1:
        return pst_zstd_at(compression->zstd, 1);
    case COMPRESSION_LEVEL_ZSTD_3:
        return pst_zstd_at(compression->zstd, ZSTD_LEVEL_AUTO_MAX);
    default:
        return NULL;
    }
}

const struct pst_transform *pst_compression_choose(void *context, const void *raw,
                                                   uint32_t raw_bytes)
{
    struct pst_compression *compression = context;
    const struct pst_transform *inner = inner_of(compression, raw_bytes);
    if (!inner || pst_transform_worthwhile(raw_bytes) == 0)
        return NULL;
    bool shrinks = pst_lz4_shrinks(compression->lz4, raw, raw_bytes);
    if (!shrinks && inner->codec == PST_CODEC_ZSTD)
        shrinks = pst_zstd_shrinks(raw, raw_bytes);
    if (!shrinks)
        return NULL;
    if (compression->choice.mode != PST_COMPRESSION_AUTO)
        return inner;
    compression->inner = inner;
    compression->timed = *inner;
    compression->timed.encode = encode_timed;
    return &compression->timed;
}

void pst_compression_note_wait(struct pst_compression *compression, uint64_t waited_ns)
{
    compression->window.waited_ns += waited_ns;
}
