/* Finds a transform by what is stored of it. Called by engine/format, on any thread. */
#include "engine/transform/registry/codec_find.h"

#include <stddef.h>

#include "engine/transform/registry/codec_table.h"

const struct pst_transform *pst_codec_find(uint8_t codec, uint8_t cipher)
{
    if (cipher >= PST_CIPHERS)
        return NULL;
    if (codec == PST_CODEC_NONE)
        return &pst_transform_identity;
    for (size_t i = 0; pst_codec_table[i]; i++) {
        if (pst_codec_table[i]->codec == codec)
            return pst_codec_table[i];
    }
    return NULL;
}
