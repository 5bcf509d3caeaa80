/* XXH3-128 and its text form: the one place that knows xxHash. Called on any thread. */
#include "engine/format/digest.h"

#include <string.h>

#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>

/* The library's code for short inputs uses no wide vectors. */
#define SHORT_BYTES_MAX 240u

/* The library's code for AVX-512 leaves the upper halves of vectors as they are, which slows down
 * all SSE code that comes later, ours and others', to a quarter. */
__attribute__((target("avx"))) static void clear_upper_halves(void)
{
    __builtin_ia32_vzeroupper();
}

/* Three times as fast as XXH3_128bits_withSeed(), which uses what every x86-64 has. */
static XXH128_hash_t hash(const void *data, size_t bytes, uint64_t seed)
{
    XXH128_hash_t found = XXH3_128bits_withSeed_dispatch(data, bytes, seed);
    if (bytes > SHORT_BYTES_MAX && __builtin_cpu_supports("avx"))
        clear_upper_halves();
    return found;
}
#else
#include <xxhash.h>

static XXH128_hash_t hash(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_128bits_withSeed(data, bytes, seed);
}
#endif

struct pst_digest pst_digest_of(const void *data, size_t bytes, uint64_t seed)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash(data, bytes, seed));

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
