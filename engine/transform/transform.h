/*
 * The seam for codec and cipher: what becomes of a chunk's payload on its way into a part, and
 * back. One transform stands for a pair of codec and cipher, as a chunk header names them. Whoever
 * needs memory of their own, such as a context or a key, embeds the struct at the start of one of
 * theirs.
 *
 * Pure; a transform is used by one thread at a time unless it says otherwise.
 */
#ifndef PST_ENGINE_TRANSFORM_TRANSFORM_H
#define PST_ENGINE_TRANSFORM_TRANSFORM_H

#include <stdbool.h>
#include <stdint.h>

enum pst_codec { PST_CODEC_NONE = 0, PST_CODEC_LZ4 = 1, PST_CODEC_ZSTD = 2, PST_CODECS };

enum pst_cipher { PST_CIPHER_NONE = 0, PST_CIPHER_AES_256_GCM = 1, PST_CIPHERS };

struct pst_block_head; /* head.h: a chunk's identity and number, to which a cipher binds it */

/* A payload that is being encoded. */
struct pst_encoding {
    const struct pst_block_head *head; /* only identity and chunk are set */
    uint64_t number;                   /* of the chunk */
    const uint8_t *raw;
    uint8_t *stored;
    uint32_t raw_bytes; /* 1… */
    uint32_t room;      /* of stored, 1… */

    /* The transform's; 0 at the start. */
    uint32_t raw_done;
    uint32_t stored_bytes; /* the result, once it is PST_ENCODED */
    uint8_t tag[16];       /* with a cipher, likewise: what proves the stored payload */
};

enum pst_encoded {
    PST_ENCODE_MORE,     /* it wants another step */
    PST_ENCODED,         /* stored has it all */
    PST_ENCODE_DECLINED, /* for want of room, or because nothing is gained */
};

/* A payload that is being decoded, whose checksum has held. */
struct pst_decoding {
    const uint8_t *stored;
    uint8_t *raw;
    uint32_t stored_bytes; /* 1… */
    uint32_t raw_bytes;    /* 1…, and what becomes of it */

    /* The transform's; 0 at the start. */
    uint32_t stored_done;
    uint32_t raw_done;
};

enum pst_decoded {
    PST_DECODE_MORE, /* it wants another step */
    PST_DECODED,
    PST_DECODE_CORRUPT, /* it never was encoded from so many bytes */
};

struct pst_transform {
    uint8_t codec;
    uint8_t cipher;

    /* So many bytes encode to no more than this; a chunk that is stored longer is damaged. */
    uint32_t (*bound)(const struct pst_transform *transform, uint32_t raw_bytes);

    /* A step of an encoding, well below a millisecond: signals are served between two. Allocates
     * nothing. Payloads are encoded one after the other; one that was begun may be left. NULL:
     * every chunk is stored as it is, and no second buffer is needed. */
    enum pst_encoded (*encode)(const struct pst_transform *transform,
                               struct pst_encoding *encoding);

    /* Decodes a payload whose checksum has held into exactly raw_bytes. 0; -PST_E_CORRUPT: it never
     * was encoded from so many bytes; -ENOMEM. Any number of threads. NULL where encode is. */
    int (*decode)(const struct pst_transform *transform, const struct pst_block_head *head,
                  const void *stored, uint32_t stored_bytes, void *raw, uint32_t raw_bytes);

    /* The same by one who encodes: in steps that are as short as those of encode, and without
     * allocating anything. NULL where encode is. */
    enum pst_decoded (*decode_step)(const struct pst_transform *transform,
                                    struct pst_decoding *decoding);
};

/* No codec, no cipher: a payload is stored as it is, from where it lies. */
extern const struct pst_transform pst_transform_identity;

/* Whether a payload of raw_bytes may be stored_bytes long in the file. */
bool pst_transform_allows(const struct pst_transform *transform, uint32_t raw_bytes,
                          uint32_t stored_bytes);

/* The room that is worth encoding into: a block less than raw_bytes take in a file; 0: none is. It
 * is the bound of every codec, so that no chunk becomes longer. */
uint32_t pst_transform_worthwhile(uint32_t raw_bytes);

#endif
