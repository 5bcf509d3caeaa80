/*
 * The keys of the seeds of fuzz_keys: a key file of bytes of 1, and a pair of 2.
 */
#ifndef PST_TESTS_FUZZ_KEYS_RING_H
#define PST_TESTS_FUZZ_KEYS_RING_H

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "engine/key/keys_file.h"

static inline void keys_ring_open(struct pst_keyring *ring)
{
    memset(ring, 0, sizeof(*ring));
    ring->count = 2;
    for (uint32_t i = 0; i < ring->count; i++) {
        struct pst_key *key = &ring->keys[i];
        key->kind = i == 0 ? PST_KEY_FILE : PST_KEY_PUBLIC;
        key->secret = pst_secret_make(PST_KEY_BYTES);
        if (!key->secret)
            abort();
        memset(key->secret, (int)i + 1, PST_KEY_BYTES);
        memset(key->id, (int)i + 1, sizeof(key->id));
        crypto_scalarmult_base(key->public_half, key->secret);
    }
}

static inline void keys_ring_close(struct pst_keyring *ring)
{
    for (uint32_t i = 0; i < ring->count; i++)
        pst_secret_free(ring->keys[i].secret);
}

static inline struct pst_part_identity keys_ring_identity(void)
{
    static const uint8_t uid[PST_UID_BYTES] = {7};
    return pst_keys_identity(uid, 1, 0, 1);
}

#endif
