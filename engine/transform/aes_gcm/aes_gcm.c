/* AES-256-GCM by libcrypto, in one context that is made at the start. Called by
 * engine/transform/registry/sealed.c, on an LDM's thread, or on that of a reader. */
#include "engine/transform/aes_gcm/aes_gcm.h"

#include <assert.h>
#include <errno.h>

#include "engine/transform/aes_gcm/libcrypto.h"

/* The same as EVP_CIPHER_CTX, under a name of ours. */
static EVP_CIPHER_CTX *context_of(struct pst_aes_gcm *gcm)
{
    return (EVP_CIPHER_CTX *)gcm;
}

/* With a cipher, a key and lengths that are legal, none of these calls can fail: they allocate
 * nothing. One that does is no reason to write what is not sealed. */
static void must(int result)
{
    assert(result == 1);
}

int pst_aes_gcm_create(struct pst_aes_gcm **gcm)
{
    int error = libcrypto_load();
    if (error)
        return error;
    EVP_CIPHER_CTX *context = libcrypto.EVP_CIPHER_CTX_new();
    if (!context)
        return -ENOMEM;
    if (libcrypto.EVP_CipherInit_ex(context, libcrypto.EVP_aes_256_gcm(), NULL, NULL, NULL, 1) !=
        1) {
        libcrypto.EVP_CIPHER_CTX_free(context);
        return -ENOMEM;
    }
    *gcm = (struct pst_aes_gcm *)context;
    return 0;
}

void pst_aes_gcm_destroy(struct pst_aes_gcm *gcm)
{
    if (gcm)
        libcrypto.EVP_CIPHER_CTX_free(context_of(gcm));
}

void pst_aes_gcm_set_key(struct pst_aes_gcm *gcm, const uint8_t key[PST_AES_KEY_BYTES])
{
    must(libcrypto.EVP_CipherInit_ex(context_of(gcm), NULL, NULL, key, NULL, -1));
}

void pst_aes_gcm_begin(struct pst_aes_gcm *gcm, enum pst_aes_way way,
                       const uint8_t nonce[PST_AES_NONCE_BYTES], const void *bound,
                       size_t bound_bytes)
{
    int done;
    must(
        libcrypto.EVP_CipherInit_ex(context_of(gcm), NULL, NULL, NULL, nonce, way == PST_AES_SEAL));
    if (bound_bytes > 0)
        must(libcrypto.EVP_CipherUpdate(context_of(gcm), NULL, &done, bound, (int)bound_bytes));
}

void pst_aes_gcm_step(struct pst_aes_gcm *gcm, const void *in, void *out, uint32_t bytes)
{
    int done;
    must(libcrypto.EVP_CipherUpdate(context_of(gcm), out, &done, in, (int)bytes));
    assert(done == (int)bytes);
}

void pst_aes_gcm_end(struct pst_aes_gcm *gcm, uint8_t tag[PST_AES_TAG_BYTES])
{
    uint8_t none[PST_AES_TAG_BYTES];
    int done;
    must(libcrypto.EVP_CipherFinal_ex(context_of(gcm), none, &done));
    must(libcrypto.EVP_CIPHER_CTX_ctrl(context_of(gcm), EVP_CTRL_AEAD_GET_TAG, PST_AES_TAG_BYTES,
                                       tag));
}

bool pst_aes_gcm_end_open(struct pst_aes_gcm *gcm, const uint8_t tag[PST_AES_TAG_BYTES])
{
    uint8_t none[PST_AES_TAG_BYTES];
    int done;
    must(libcrypto.EVP_CIPHER_CTX_ctrl(context_of(gcm), EVP_CTRL_AEAD_SET_TAG, PST_AES_TAG_BYTES,
                                       (void *)tag));
    return libcrypto.EVP_CipherFinal_ex(context_of(gcm), none, &done) == 1;
}
