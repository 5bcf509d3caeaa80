/* Data keys: made, kept, derived from. Called by sealing.c, keys_file.c and engine/repository, on
 * the archive's thread and LDMs, and by readers of backups, on any. */
#include "engine/key/data_key.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <sodium.h>

#include "engine/base/log.h"
#include "engine/format/seal.h"

/* A child that is forked to run with the rights of somebody else, as the guard of an environment,
 * finds zeros there. */
static void keep_from_children(void *secret, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)secret / page * page;
    (void)madvise((void *)from, (uintptr_t)secret + bytes - from, MADV_WIPEONFORK);
}

/* sodium_malloc() locks what it makes, and does not say where it could not. */
static void warn_unlocked(void *secret, size_t bytes)
{
    static atomic_bool said;
    if (sodium_mlock(secret, bytes) < 0 && !atomic_exchange(&said, true))
        pst_log(PST_LOG_WARNING,
                "keys lie in memory that the kernel may write to its swap: raise the limit on "
                "locked memory (ulimit -l, LimitMEMLOCK=)");
}

void *pst_secret_make(size_t bytes)
{
    void *secret = sodium_init() < 0 ? NULL : sodium_malloc(bytes);
    if (!secret)
        return NULL;
    warn_unlocked(secret, bytes);
    keep_from_children(secret, bytes);
    return secret;
}

void pst_secret_free(void *secret)
{
    sodium_free(secret);
}

/* One block of HKDF-Expand, which is all that 32 bytes take: the key is uniformly random. */
void data_key_derive(const uint8_t *key, const char *purpose, const void *context,
                     size_t context_bytes, uint8_t *derived)
{
    static const uint8_t counter = 1;
    crypto_auth_hmacsha256_state state;
    _Static_assert(crypto_auth_hmacsha256_BYTES == PST_KEY_BYTES, "one block");
    crypto_auth_hmacsha256_init(&state, key, PST_KEY_BYTES);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)purpose, strlen(purpose) + 1);
    crypto_auth_hmacsha256_update(&state, context, context_bytes);
    crypto_auth_hmacsha256_update(&state, &counter, 1);
    crypto_auth_hmacsha256_final(&state, derived);
    sodium_memzero(&state, sizeof(state));
}

static void name(struct pst_data_key *key)
{
    uint8_t id[PST_KEY_BYTES];
    data_key_derive(key->secret, "penstock data key id", NULL, 0, id);
    memcpy(key->id, id, sizeof(key->id));
}

int data_key_make(struct pst_data_key *key)
{
    key->secret = pst_secret_make(PST_KEY_BYTES);
    if (!key->secret)
        return -ENOMEM;
    randombytes_buf(key->secret, PST_KEY_BYTES);
    name(key);
    return 0;
}

int data_key_take(struct pst_data_key *key, const uint8_t *secret)
{
    key->secret = pst_secret_make(PST_KEY_BYTES);
    if (!key->secret)
        return -ENOMEM;
    memcpy(key->secret, secret, PST_KEY_BYTES);
    name(key);
    return 0;
}

void pst_data_key_release(struct pst_data_key *key)
{
    pst_secret_free(key->secret);
    *key = (struct pst_data_key){0};
}

void pst_data_key_part(const struct pst_data_key *key, const uint8_t *bound, uint8_t *part_key)
{
    data_key_derive(key->secret, "penstock part", bound, PST_PART_BOUND_BYTES, part_key);
}

void pst_data_key_begin_part(const struct pst_data_key *key, struct pst_part_header *header,
                             uint8_t *part_key)
{
    assert(header->cipher != PST_CIPHER_NONE);
    memcpy(header->data_key, key->id, sizeof(header->data_key));
    randombytes_buf(header->salt, sizeof(header->salt));
    pst_data_key_part(key, (const uint8_t *)header + PST_PART_BOUND_AT, part_key);
}

void pst_data_key_tail(const struct pst_data_key *key, const uint8_t *bound,
                       const uint8_t *tail_bound, uint8_t *tail_key)
{
    uint8_t both[PST_PART_BOUND_BYTES + PST_TAIL_BOUND_BYTES];
    memcpy(both, bound, PST_PART_BOUND_BYTES);
    memcpy(both + PST_PART_BOUND_BYTES, tail_bound, PST_TAIL_BOUND_BYTES);
    data_key_derive(key->secret, "penstock part tail", both, sizeof(both), tail_key);
}

void pst_data_key_begin_tail(const struct pst_data_key *key, const uint8_t *bound,
                             struct pst_tail_header *header, uint8_t *tail_key)
{
    randombytes_buf(&header->salt, sizeof(header->salt));
    pst_data_key_tail(key, bound, (const uint8_t *)header + PST_TAIL_BOUND_AT, tail_key);
}

/* ---- texts ---- */

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES

/* Of one place: a key of its own, so that a text sealed for another one does not open. */
static void derive_text_key(const struct pst_data_key *key, const char *what,
                            const struct pst_part_identity *identity, uint8_t *text_key)
{
    char purpose[64] = "penstock text ";
    assert(strlen(what) < sizeof(purpose) - strlen(purpose));
    strcat(purpose, what);
    data_key_derive(key->secret, purpose, identity, sizeof(*identity), text_key);
}

int pst_data_key_seal_text(const struct pst_data_key *key, const char *what,
                           const struct pst_part_identity *identity, const void *text, size_t bytes,
                           struct pst_sealed_text *sealed)
{
    uint8_t text_key[PST_KEY_BYTES];
    sealed->size = NONCE_BYTES + bytes + TAG_BYTES;
    sealed->bytes = malloc(sealed->size);
    if (!sealed->bytes)
        return -ENOMEM;
    derive_text_key(key, what, identity, text_key);
    randombytes_buf(sealed->bytes, NONCE_BYTES);
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed->bytes + NONCE_BYTES, NULL, text, bytes, NULL,
                                               0, NULL, sealed->bytes, text_key);
    sodium_memzero(text_key, sizeof(text_key));
    return 0;
}

int pst_data_key_open_text(const struct pst_data_key *key, const char *what,
                           const struct pst_part_identity *identity,
                           const struct pst_sealed_text *sealed, char **opened, size_t *bytes)
{
    uint8_t text_key[PST_KEY_BYTES];
    if (sealed->size < NONCE_BYTES + TAG_BYTES)
        return -PST_E_CORRUPT;
    *bytes = sealed->size - NONCE_BYTES - TAG_BYTES;
    *opened = malloc(*bytes + 1);
    if (!*opened)
        return -ENOMEM;
    derive_text_key(key, what, identity, text_key);
    int result = crypto_aead_xchacha20poly1305_ietf_decrypt(
        (uint8_t *)*opened, NULL, NULL, sealed->bytes + NONCE_BYTES, sealed->size - NONCE_BYTES,
        NULL, 0, sealed->bytes, text_key);
    sodium_memzero(text_key, sizeof(text_key));
    (*opened)[*bytes] = '\0';
    if (result == 0)
        return 0;
    free(*opened);
    *opened = NULL;
    return -PST_E_CORRUPT;
}
