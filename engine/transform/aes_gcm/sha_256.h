/*
 * SHA-256, of the library that has AES-GCM. Any thread.
 */
#ifndef PST_ENGINE_TRANSFORM_AES_GCM_SHA_256_H
#define PST_ENGINE_TRANSFORM_AES_GCM_SHA_256_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

#define PST_SHA_256_BYTES 32u

/* A hash that is made in steps; nothing is allocated but by pst_sha_256_create(). One thread. */
struct pst_sha_256;

/* -ENOMEM; -ELIBACC: libcrypto cannot be loaded. */
PST_MUST_USE int pst_sha_256_create(struct pst_sha_256 **sha);
void pst_sha_256_destroy(struct pst_sha_256 *sha); /* NULL is allowed */
void pst_sha_256_begin(struct pst_sha_256 *sha);
void pst_sha_256_step(struct pst_sha_256 *sha, const void *bytes, size_t size);
void pst_sha_256_end(struct pst_sha_256 *sha, uint8_t hash[PST_SHA_256_BYTES]);

/* All at once. -ENOMEM, -ELIBACC. */
PST_MUST_USE int pst_sha_256(const void *bytes, size_t size, uint8_t hash[PST_SHA_256_BYTES]);

#endif
