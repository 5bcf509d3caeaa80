/* XXH3-128 and its text form: the one place that knows xxHash. Called on any thread. */
#include "engine/format/digest.h"

#include <string.h>

#include <xxhash.h>

struct pst_digest pst_digest_of(const void *data, size_t bytes, uint64_t seed)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(data, bytes, seed));

    struct pst_digest digest;
    _Static_assert(sizeof(digest.bytes) == sizeof(canonical.digest), "128 bits");
    memcpy(digest.bytes, canonical.digest, sizeof(digest.bytes));
    return digest;
}

bool pst_digest_equal(const struct pst_digest *a, const struct pst_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

const char *pst_digest_text(const struct pst_digest *digest, char text[PST_DIGEST_TEXT_BYTES])
{
    memcpy(text, PST_DIGEST_PREFIX, sizeof(PST_DIGEST_PREFIX));
    pst_hex_encode(digest->bytes, sizeof(digest->bytes), text + sizeof(PST_DIGEST_PREFIX) - 1);
    return text;
}

bool format_digest_parse(const char *text, size_t text_bytes, struct pst_digest *digest)
{
    size_t prefix_bytes = sizeof(PST_DIGEST_PREFIX) - 1;
    if (text_bytes < prefix_bytes || memcmp(text, PST_DIGEST_PREFIX, prefix_bytes) != 0)
        return false;
    return pst_hex_decode(text + prefix_bytes, text_bytes - prefix_bytes, digest->bytes,
                          sizeof(digest->bytes));
}
