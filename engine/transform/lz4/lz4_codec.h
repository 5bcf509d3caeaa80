/*
 * lz4. A payload is a sequence of blocks, each of PST_LZ4_BLOCK_BYTES of the raw payload but the
 * last, behind its length in 4 bytes, little-endian; a block refers to those before it.
 * docs/format.md.
 */
#ifndef PST_ENGINE_TRANSFORM_LZ4_LZ4_CODEC_H
#define PST_ENGINE_TRANSFORM_LZ4_LZ4_CODEC_H

#include <stddef.h>

#include "engine/transform/transform.h"

#define PST_LZ4_BLOCK_BYTES (128u << 10)

/* Decodes alone. */
extern const struct pst_transform pst_lz4_codec;

/* One that encodes, in so much memory of the caller's, aligned to 64. */
size_t pst_lz4_memory_bytes(void);
const struct pst_transform *pst_lz4_init(void *memory);

/* Whether some bytes taken from all over a payload become noticeably shorter. By the transform of
 * pst_lz4_init, between two payloads. */
bool pst_lz4_shrinks(const struct pst_transform *transform, const void *raw, uint32_t raw_bytes);

#endif
