/* The identity, and finding a transform by what a chunk header says. Called by the checks of
 * chunks, index entries and part headers, on any thread. */
#include "engine/format/transform.h"

#include <stddef.h>

#include "engine/base/limits.h"
#include "engine/format/transform_table.h"

static uint32_t identity_bound(const struct pst_transform *transform, uint32_t raw_bytes)
{
    (void)transform;
    return raw_bytes;
}

const struct pst_transform pst_transform_identity = {
    .codec = PST_CODEC_NONE,
    .cipher = PST_CIPHER_NONE,
    .bound = identity_bound,
};

static bool is_of(const struct pst_transform *transform, uint8_t codec, uint8_t cipher)
{
    return transform->codec == codec && transform->cipher == cipher;
}

const struct pst_transform *format_transform_find(uint8_t codec, uint8_t cipher)
{
    if (is_of(&pst_transform_identity, codec, cipher))
        return &pst_transform_identity;
    for (size_t i = 0; pst_transform_table[i]; i++) {
        if (is_of(pst_transform_table[i], codec, cipher))
            return pst_transform_table[i];
    }
    return NULL;
}

bool format_transform_allows(const struct pst_transform *transform, uint32_t raw_bytes,
                             uint32_t stored_bytes)
{
    if (raw_bytes < 1 || raw_bytes > PST_CHUNK_BYTES_MAX)
        return false;
    if (!transform->encode)
        return stored_bytes == raw_bytes;
    return stored_bytes <= transform->bound(transform, raw_bytes);
}
