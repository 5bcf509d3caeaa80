/*
 * The functions of libcrypto that AES-256-GCM and SHA-256 take: the library is loaded when
 * something is sealed, opened or hashed first, for it takes longer to load than all others of a
 * command together.
 */
#ifndef PST_ENGINE_TRANSFORM_AES_GCM_LIBCRYPTO_H
#define PST_ENGINE_TRANSFORM_AES_GCM_LIBCRYPTO_H

#include <openssl/evp.h>

#include "engine/base/late.h"

#define LIBCRYPTO_FUNCTIONS(X)                                                                     \
    X(EVP_CIPHER_CTX_new)                                                                          \
    X(EVP_CIPHER_CTX_free)                                                                         \
    X(EVP_CIPHER_CTX_ctrl)                                                                         \
    X(EVP_CipherInit_ex)                                                                           \
    X(EVP_CipherUpdate)                                                                            \
    X(EVP_CipherFinal_ex)                                                                          \
    X(EVP_aes_256_gcm)                                                                             \
    X(EVP_Digest)                                                                                  \
    X(EVP_MD_CTX_new)                                                                              \
    X(EVP_MD_CTX_free)                                                                             \
    X(EVP_DigestInit_ex)                                                                           \
    X(EVP_DigestUpdate)                                                                            \
    X(EVP_DigestFinal_ex)                                                                          \
    X(EVP_sha256)

struct libcrypto {
    LIBCRYPTO_FUNCTIONS(PST_LATE_MEMBER)
};

/* Filled by libcrypto_load(). */
extern struct libcrypto libcrypto;

/* Any thread. 0, or -ELIBACC, with a line in the log: it cannot be loaded. */
int libcrypto_load(void);

#endif
