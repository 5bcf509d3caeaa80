/*
 * The transform that a chunk, an index entry or a part header names. Any thread.
 */
#ifndef PST_ENGINE_TRANSFORM_REGISTRY_CODEC_FIND_H
#define PST_ENGINE_TRANSFORM_REGISTRY_CODEC_FIND_H

#include "engine/transform/transform.h"

/* The identity, or one of codec_table.h, which decodes what the cipher has decrypted; a cipher
 * changes no length. NULL: codec or cipher is unknown. */
const struct pst_transform *pst_codec_find(uint8_t codec, uint8_t cipher);

#endif
