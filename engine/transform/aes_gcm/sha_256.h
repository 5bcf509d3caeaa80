/*
 * SHA-256, of the library that has AES-GCM. Any thread.
 */
#ifndef PST_ENGINE_TRANSFORM_AES_GCM_SHA_256_H
#define PST_ENGINE_TRANSFORM_AES_GCM_SHA_256_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"

#define PST_SHA_256_BYTES 32u

/* -ENOMEM; -ELIBACC: libcrypto cannot be loaded. */
PST_MUST_USE int pst_sha_256(const void *bytes, size_t size, uint8_t hash[PST_SHA_256_BYTES]);

#endif
