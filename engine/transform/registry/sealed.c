/* The codec and the cipher of one LDM as one transform, and the way back. Called by engine/format,
 * on an LDM's thread, or on that of a reader. */
#include "engine/transform/registry/sealed.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Of a payload in a step: 30 microseconds, and well below a millisecond where the processor has no
 * instructions for it. */
#define STEP_BYTES (128u << 10)

static void begin(struct pst_sealed *sealed, enum pst_aes_way way, uint64_t chunk,
                  enum pst_sealed_what what, const void *bound, uint32_t bound_bytes)
{
    uint8_t nonce[PST_AES_NONCE_BYTES] = {0};
    memcpy(nonce, &chunk, sizeof(chunk));
    nonce[sizeof(chunk)] = (uint8_t)what;
    sealed->in_use = chunk < sealed->tail_from ? sealed->gcm : sealed->tail;
    pst_aes_gcm_begin(sealed->in_use, way, nonce, bound, bound_bytes);
}
_Static_assert(sizeof(uint64_t) + 1 <= PST_AES_NONCE_BYTES, "a nonce holds both");

/* A tag takes no room of the payload. */
static uint32_t bound(const struct pst_transform *transform, uint32_t raw_bytes)
{
    (void)transform;
    return raw_bytes;
}

static void begin_encoding(struct pst_sealed *sealed, const struct pst_encoding *encoding)
{
    uint32_t worthwhile = pst_transform_worthwhile(encoding->raw_bytes);
    sealed->length = sealed->done = 0;
    sealed->encoded = (struct pst_encoding){
        .head = encoding->head,
        .raw = encoding->raw,
        .stored = encoding->stored,
        .raw_bytes = encoding->raw_bytes,
        .room = worthwhile < encoding->room ? worthwhile : encoding->room,
    };
    if (sealed->encoded.room == 0)
        sealed->inner = NULL;
}

static void begin_encrypting(struct pst_sealed *sealed, const struct pst_encoding *encoding)
{
    sealed->transform.codec = sealed->inner ? sealed->inner->codec : PST_CODEC_NONE;
    sealed->length = sealed->inner ? sealed->encoded.stored_bytes : encoding->raw_bytes;
    begin(sealed, PST_AES_SEAL, encoding->number, PST_SEALED_PAYLOAD, NULL, 0);
}

/* true: the codec wants another step. */
static bool compress(struct pst_sealed *sealed, const struct pst_encoding *encoding)
{
    enum pst_encoded end = sealed->inner ? sealed->inner->encode(sealed->inner, &sealed->encoded)
                                         : PST_ENCODE_DECLINED;
    if (end == PST_ENCODE_MORE)
        return true;
    if (end == PST_ENCODE_DECLINED)
        sealed->inner = NULL;
    begin_encrypting(sealed, encoding);
    return false;
}

/* raw_done only tells the first step from those after it. */
static enum pst_encoded encode(const struct pst_transform *transform, struct pst_encoding *encoding)
{
    struct pst_sealed *sealed = (struct pst_sealed *)transform;
    if (encoding->raw_done == 0)
        begin_encoding(sealed, encoding);
    encoding->raw_done = encoding->raw_bytes;
    bool has_codec = sealed->inner;
    if (sealed->length == 0 && (compress(sealed, encoding) || has_codec))
        return PST_ENCODE_MORE;
    const uint8_t *from = sealed->inner ? encoding->stored : encoding->raw;
    uint32_t left = sealed->length - sealed->done;
    uint32_t bytes = left < STEP_BYTES ? left : STEP_BYTES;
    pst_aes_gcm_step(sealed->in_use, from + sealed->done, encoding->stored + sealed->done, bytes);
    sealed->done += bytes;
    if (sealed->done < sealed->length)
        return PST_ENCODE_MORE;
    pst_aes_gcm_end(sealed->in_use, encoding->tag);
    encoding->stored_bytes = sealed->length;
    return PST_ENCODED;
}

int pst_sealed_open(struct pst_sealed *sealed, const struct pst_transform *codec,
                    const struct pst_transform *(*choose)(void *context, const void *raw,
                                                          uint32_t raw_bytes),
                    void *context)
{
    *sealed = (struct pst_sealed){
        .transform = {.cipher = PST_CIPHER_AES_256_GCM, .bound = bound, .encode = encode},
        .choose = choose,
        .context = context,
        .tail_from = UINT64_MAX,
    };
    sealed->named = sealed->transform;
    sealed->named.codec = codec ? codec->codec : PST_CODEC_NONE;
    return pst_aes_gcm_create(&sealed->gcm);
}

void pst_sealed_close(struct pst_sealed *sealed)
{
    pst_aes_gcm_destroy(sealed->gcm);
    pst_aes_gcm_destroy(sealed->tail);
    sealed->gcm = sealed->tail = NULL;
}

void pst_sealed_set_key(struct pst_sealed *sealed, const uint8_t key[PST_AES_KEY_BYTES])
{
    pst_aes_gcm_set_key(sealed->gcm, key);
    sealed->tail_from = UINT64_MAX;
}

int pst_sealed_set_tail(struct pst_sealed *sealed, const uint8_t key[PST_AES_KEY_BYTES],
                        uint64_t chunk)
{
    int error = sealed->tail ? 0 : pst_aes_gcm_create(&sealed->tail);
    if (error)
        return error;
    pst_aes_gcm_set_key(sealed->tail, key);
    sealed->tail_from = chunk;
    return 0;
}

const struct pst_transform *pst_sealed_choose(void *context, const void *raw, uint32_t raw_bytes)
{
    struct pst_sealed *sealed = context;
    sealed->inner = sealed->choose ? sealed->choose(sealed->context, raw, raw_bytes) : NULL;
    return &sealed->transform;
}

void pst_sealed_seal(struct pst_sealed *sealed, uint64_t chunk, enum pst_sealed_what what,
                     const void *bound_to, uint32_t bound_bytes, void *data, uint32_t bytes,
                     uint8_t tag[PST_AES_TAG_BYTES])
{
    begin(sealed, PST_AES_SEAL, chunk, what, bound_to, bound_bytes);
    if (bytes > 0)
        pst_aes_gcm_step(sealed->in_use, data, data, bytes);
    pst_aes_gcm_end(sealed->in_use, tag);
}

bool pst_sealed_unseal(struct pst_sealed *sealed, uint64_t chunk, enum pst_sealed_what what,
                       const void *bound_to, uint32_t bound_bytes, const void *data, void *out,
                       uint32_t bytes, const uint8_t tag[PST_AES_TAG_BYTES])
{
    begin(sealed, PST_AES_OPEN, chunk, what, bound_to, bound_bytes);
    if (bytes > 0)
        pst_aes_gcm_step(sealed->in_use, data, out, bytes);
    if (pst_aes_gcm_end_open(sealed->in_use, tag))
        return true;
    if (bytes > 0)
        memset(out, 0, bytes);
    return false;
}

void pst_sealed_begin_unsealing(struct pst_sealed *sealed, uint64_t chunk)
{
    sealed->done = 0;
    begin(sealed, PST_AES_OPEN, chunk, PST_SEALED_PAYLOAD, NULL, 0);
}

enum pst_decoded pst_sealed_unseal_step(struct pst_sealed *sealed, uint8_t *payload, uint32_t bytes,
                                        const uint8_t tag[PST_AES_TAG_BYTES])
{
    uint32_t left = bytes - sealed->done;
    uint32_t step = left < STEP_BYTES ? left : STEP_BYTES;
    pst_aes_gcm_step(sealed->in_use, payload + sealed->done, payload + sealed->done, step);
    sealed->done += step;
    if (sealed->done < bytes)
        return PST_DECODE_MORE;
    return pst_aes_gcm_end_open(sealed->in_use, tag) ? PST_DECODED : PST_DECODE_CORRUPT;
}
