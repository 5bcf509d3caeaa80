/*
 * XXH3-128, the checksum of everything on disk. Finds damage, not malice.
 *
 * Pure; any thread. 16 bytes in canonical (big-endian) order, so that bytes and text agree.
 */
#ifndef PST_ENGINE_FORMAT_DIGEST_H
#define PST_ENGINE_FORMAT_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/hex.h"

struct pst_digest {
    uint8_t bytes[16];
};

#define PST_DIGEST_PREFIX "xxh3-128:"
/* "xxh3-128:" and 32 lower-case hex digits and the terminator */
#define PST_DIGEST_TEXT_BYTES (sizeof(PST_DIGEST_PREFIX) + 32)

struct pst_digest pst_digest_of(const void *data, size_t bytes, uint64_t seed);
bool pst_digest_equal(const struct pst_digest *a, const struct pst_digest *b);

/* Writes the text and returns it. */
const char *pst_digest_text(const struct pst_digest *digest, char text[PST_DIGEST_TEXT_BYTES]);

/* Reads exactly what pst_digest_text writes, text_bytes long without a terminator. */
bool format_digest_parse(const char *text, size_t text_bytes, struct pst_digest *digest);

#endif
