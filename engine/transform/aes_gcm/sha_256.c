/* SHA-256 by libcrypto, which uses the CPU's instructions for it. Any thread that compares bytes
 * with a hash. */
#include "engine/transform/aes_gcm/sha_256.h"

#include <errno.h>

#include "engine/transform/aes_gcm/libcrypto.h"

int pst_sha_256(const void *bytes, size_t size, uint8_t hash[PST_SHA_256_BYTES])
{
    int error = libcrypto_load();
    if (error)
        return error;
    return libcrypto.EVP_Digest(bytes, size, hash, NULL, libcrypto.EVP_sha256(), NULL) == 1
               ? 0
               : -ENOMEM;
}
