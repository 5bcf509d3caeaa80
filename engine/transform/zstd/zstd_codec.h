/*
 * zstd. A payload is one frame, with the length of its contents, without a checksum.
 * docs/format.md.
 */
#ifndef PST_ENGINE_TRANSFORM_ZSTD_ZSTD_CODEC_H
#define PST_ENGINE_TRANSFORM_ZSTD_ZSTD_CODEC_H

#include <stddef.h>

#include "engine/transform/transform.h"

#define PST_ZSTD_LEVEL_MIN 1u
#define PST_ZSTD_LEVEL_MAX 9u /* what higher ones do takes milliseconds for each few KiB */

/* Decodes alone. */
extern const struct pst_transform pst_zstd_codec;

struct pst_zstd;

/* One that encodes and decodes payloads of up to chunk_bytes at levels up to level_max, in so much
 * memory of the caller's, aligned to 64; 0 bytes: there is no memory to find out. */
size_t pst_zstd_memory_bytes(uint32_t level_max, uint32_t chunk_bytes);
struct pst_zstd *pst_zstd_init(void *memory, size_t bytes, uint32_t level_max,
                               uint32_t chunk_bytes);

/* The transform at this level, from the next payload on. */
const struct pst_transform *pst_zstd_at(struct pst_zstd *zstd, uint32_t level);

/* Whether some bytes taken from all over a payload are so unequal in number that codes of unequal
 * length make them noticeably shorter. Pure. */
bool pst_zstd_shrinks(const void *raw, uint32_t raw_bytes);

#endif
