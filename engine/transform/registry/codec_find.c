/* Finds a transform by what is stored of it. Called by engine/format, on any thread. */
#include "engine/transform/registry/codec_find.h"

#include <stddef.h>

#include "engine/transform/registry/codec_table.h"

static bool is_of(const struct pst_transform *transform, uint8_t codec, uint8_t cipher)
{
    return transform->codec == codec && transform->cipher == cipher;
}

const struct pst_transform *pst_codec_find(uint8_t codec, uint8_t cipher)
{
    if (is_of(&pst_transform_identity, codec, cipher))
        return &pst_transform_identity;
    for (size_t i = 0; pst_codec_table[i]; i++) {
        if (is_of(pst_codec_table[i], codec, cipher))
            return pst_codec_table[i];
    }
    return NULL;
}
