/* SHA-256 by libcrypto, which uses the CPU's instructions for it. LDMs, and whoever compares bytes
 * with a hash. */
#include "engine/transform/aes_gcm/sha_256.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/transform/aes_gcm/libcrypto.h"

/* The same as EVP_MD_CTX, under a name of ours. */
static EVP_MD_CTX *context_of(struct pst_sha_256 *sha)
{
    return (EVP_MD_CTX *)sha;
}

/* Nothing that could fail is left to fail. */
static void must(int rc)
{
    if (rc != 1)
        abort();
}

int pst_sha_256_create(struct pst_sha_256 **sha)
{
    int error = libcrypto_load();
    if (error)
        return error;
    EVP_MD_CTX *context = libcrypto.EVP_MD_CTX_new();
    if (!context)
        return -ENOMEM;
    if (libcrypto.EVP_DigestInit_ex(context, libcrypto.EVP_sha256(), NULL) != 1) {
        libcrypto.EVP_MD_CTX_free(context);
        return -ENOMEM;
    }
    *sha = (struct pst_sha_256 *)context;
    return 0;
}

void pst_sha_256_destroy(struct pst_sha_256 *sha)
{
    if (sha) /* else nothing may have been loaded */
        libcrypto.EVP_MD_CTX_free(context_of(sha));
}

void pst_sha_256_begin(struct pst_sha_256 *sha)
{
    must(libcrypto.EVP_DigestInit_ex(context_of(sha), NULL, NULL));
}

void pst_sha_256_step(struct pst_sha_256 *sha, const void *bytes, size_t size)
{
    must(libcrypto.EVP_DigestUpdate(context_of(sha), bytes, size));
}

void pst_sha_256_end(struct pst_sha_256 *sha, uint8_t hash[PST_SHA_256_BYTES])
{
    must(libcrypto.EVP_DigestFinal_ex(context_of(sha), hash, NULL));
}

int pst_sha_256(const void *bytes, size_t size, uint8_t hash[PST_SHA_256_BYTES])
{
    int error = libcrypto_load();
    if (error)
        return error;
    return libcrypto.EVP_Digest(bytes, size, hash, NULL, libcrypto.EVP_sha256(), NULL) == 1
               ? 0
               : -ENOMEM;
}
