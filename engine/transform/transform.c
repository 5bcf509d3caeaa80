/* The identity, and what lengths a transform allows. Called by the checks of chunks, index entries
 * and part headers, on any thread. */
#include "engine/transform/transform.h"

#include <stddef.h>

#include "engine/base/limits.h"

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

bool pst_transform_allows(const struct pst_transform *transform, uint32_t raw_bytes,
                          uint32_t stored_bytes)
{
    if (raw_bytes < 1 || raw_bytes > PST_CHUNK_BYTES_MAX)
        return false;
    if (!transform->decode)
        return stored_bytes == raw_bytes;
    return stored_bytes <= transform->bound(transform, raw_bytes);
}

uint32_t pst_transform_worthwhile(uint32_t raw_bytes)
{
    return (raw_bytes - 1) / PST_BLOCK_BYTES * PST_BLOCK_BYTES;
}
