/*
 * AES-256-GCM: a message is encrypted, or decrypted, in steps, and has a tag that only the holder
 * of the key can make. One context is used by one thread at a time; nothing is allocated but by
 * pst_aes_gcm_create().
 *
 * Two messages under one key must never have one nonce: the caller sees to that.
 */
#ifndef PST_ENGINE_TRANSFORM_AES_GCM_AES_GCM_H
#define PST_ENGINE_TRANSFORM_AES_GCM_AES_GCM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

#define PST_AES_KEY_BYTES 32u
#define PST_AES_NONCE_BYTES 12u
#define PST_AES_TAG_BYTES 16u

struct pst_aes_gcm;

/* -ENOMEM; -ELIBACC: libcrypto cannot be loaded, as the log says. */
PST_MUST_USE int pst_aes_gcm_create(struct pst_aes_gcm **gcm);

/* Clears the key. NULL is allowed. */
void pst_aes_gcm_destroy(struct pst_aes_gcm *gcm);

/* Of the messages from now on. */
void pst_aes_gcm_set_key(struct pst_aes_gcm *gcm, const uint8_t key[PST_AES_KEY_BYTES]);

enum pst_aes_way { PST_AES_OPEN, PST_AES_SEAL };

/* Begins a message. bound: is not in it, but the tag holds for it too. */
void pst_aes_gcm_begin(struct pst_aes_gcm *gcm, enum pst_aes_way way,
                       const uint8_t nonce[PST_AES_NONCE_BYTES], const void *bound,
                       size_t bound_bytes);

/* The next bytes of it; out may be in. What is decrypted is not to be believed before the end. */
void pst_aes_gcm_step(struct pst_aes_gcm *gcm, const void *in, void *out, uint32_t bytes);

/* Ends a message that was sealed: its tag. */
void pst_aes_gcm_end(struct pst_aes_gcm *gcm, uint8_t tag[PST_AES_TAG_BYTES]);

/* Ends one that was opened: whether it, what it is bound to, and the tag are as they were sealed
 * with this key and nonce. */
bool pst_aes_gcm_end_open(struct pst_aes_gcm *gcm, const uint8_t tag[PST_AES_TAG_BYTES]);

#endif
