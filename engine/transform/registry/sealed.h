/*
 * Sealing: a payload is encoded by a codec, if that shrinks it, and encrypted then by AES-256-GCM;
 * tables and trailers are encrypted or vouched for as they are. Each part has a key of its own, in
 * which no nonce comes twice: it is the number of the chunk, and what of it is sealed.
 *
 * One thread's: an LDM's, or that of a reader. Nothing is allocated but by pst_sealed_open().
 */
#ifndef PST_ENGINE_TRANSFORM_REGISTRY_SEALED_H
#define PST_ENGINE_TRANSFORM_REGISTRY_SEALED_H

#include "engine/transform/aes_gcm/aes_gcm.h"
#include "engine/transform/transform.h"

/* What of a chunk number is sealed; in the nonce. */
enum pst_sealed_what {
    PST_SEALED_PAYLOAD = 1,
    PST_SEALED_HEADER = 2,
    PST_SEALED_TRAILER = 3,
};

/* Its fields are private, but for transform, which seals payloads of chunks: the tag goes to the
 * encoding's. */
struct pst_sealed {
    struct pst_transform transform; /* first; its codec is the one of the last payload */
    struct pst_transform named;     /* what a part's header names: the codec that is configured */
    struct pst_aes_gcm *gcm;        /* with the part's key */
    struct pst_aes_gcm *tail;       /* with that of its tail; NULL: none was ever set */
    uint64_t tail_from;             /* the first chunk of it */
    struct pst_aes_gcm *in_use;     /* of both */
    const struct pst_transform *(*choose)(void *context, const void *raw, uint32_t raw_bytes);
    void *context;

    /* The payload that is being sealed. */
    const struct pst_transform *inner; /* its codec's; NULL: none, or it declined */
    struct pst_encoding encoded;       /* by that */
    uint32_t length;                   /* that is encrypted; 0: it is still being encoded */
    uint32_t done;
};

/* codec: the transform that a part's header names, NULL for none; choose: the one of the next
 * payload, NULL for none; both as of struct pst_chunk_encoder. -ENOMEM, -ELIBACC. */
PST_MUST_USE int pst_sealed_open(struct pst_sealed *sealed, const struct pst_transform *codec,
                                 const struct pst_transform *(*choose)(void *context,
                                                                       const void *raw,
                                                                       uint32_t raw_bytes),
                                 void *context);
void pst_sealed_close(struct pst_sealed *sealed);

/* The key of the part that is written or read from now on. */
void pst_sealed_set_key(struct pst_sealed *sealed, const uint8_t key[PST_AES_KEY_BYTES]);

/* That of its tail, for all that is sealed or opened as of this chunk or a later one, until the
 * next pst_sealed_set_key(). -ENOMEM. */
PST_MUST_USE int pst_sealed_set_tail(struct pst_sealed *sealed,
                                     const uint8_t key[PST_AES_KEY_BYTES], uint64_t chunk);

/* For the next payload, as pst_compression_choose(); never NULL. context: a struct pst_sealed. */
const struct pst_transform *pst_sealed_choose(void *context, const void *raw, uint32_t raw_bytes);

/* Encrypts data where it lies. bound: as of pst_aes_gcm_begin(). */
void pst_sealed_seal(struct pst_sealed *sealed, uint64_t chunk, enum pst_sealed_what what,
                     const void *bound, uint32_t bound_bytes, void *data, uint32_t bytes,
                     uint8_t tag[PST_AES_TAG_BYTES]);

/* Decrypts data to out, which may be data. false: it, or what it is bound to, is not what was
 * sealed with this key as that of this chunk; out is cleared then. */
bool pst_sealed_unseal(struct pst_sealed *sealed, uint64_t chunk, enum pst_sealed_what what,
                       const void *bound, uint32_t bound_bytes, const void *data, void *out,
                       uint32_t bytes, const uint8_t tag[PST_AES_TAG_BYTES]) PST_MUST_USE;

/* The same of a chunk's payload, where it lies, in steps: the first, and those after it until it is
 * no longer PST_DECODE_MORE. Nothing else is sealed or unsealed meanwhile, and what was decrypted
 * is not to be believed before the end. */
void pst_sealed_begin_unsealing(struct pst_sealed *sealed, uint64_t chunk);
enum pst_decoded pst_sealed_unseal_step(struct pst_sealed *sealed, uint8_t *payload, uint32_t bytes,
                                        const uint8_t tag[PST_AES_TAG_BYTES]);

#endif
