/*
 * The seam for codec and cipher: what becomes of a chunk's payload on its way into a part, and
 * back. One transform stands for a pair of codec and cipher, as a chunk header names them. Whoever
 * needs memory of their own, such as a key, embeds the struct at the start of one of theirs.
 *
 * Pure, no allocation; a transform is used by one thread at a time unless it says otherwise.
 */
#ifndef PST_ENGINE_FORMAT_TRANSFORM_H
#define PST_ENGINE_FORMAT_TRANSFORM_H

#include <stdbool.h>
#include <stdint.h>

enum pst_codec {
    PST_CODEC_NONE = 0,
};

enum pst_cipher {
    PST_CIPHER_NONE = 0,
};

struct pst_block_head; /* head.h: a chunk's identity and number, to which a cipher binds it */

struct pst_transform {
    uint8_t codec;
    uint8_t cipher;

    /* So many bytes encode to no more than this; a chunk that is stored longer is damaged. */
    uint32_t (*bound)(const struct pst_transform *transform, uint32_t raw_bytes);

    /* Encodes a payload into memory with so much room. Of head only identity and chunk are set.
     * Returns the length, or 0: it declines, for want of room or because nothing is gained, and the
     * chunk is stored as it is. NULL: every chunk is, and no second buffer is needed. */
    uint32_t (*encode)(const struct pst_transform *transform, const struct pst_block_head *head,
                       const void *raw, uint32_t raw_bytes, void *stored, uint32_t room);

    /* Decodes a payload whose checksum has held into exactly raw_bytes. 0, or -PST_E_CORRUPT: it
     * never was encoded from so many bytes. NULL where encode is. */
    int (*decode)(const struct pst_transform *transform, const struct pst_block_head *head,
                  const void *stored, uint32_t stored_bytes, void *raw, uint32_t raw_bytes);
};

/* No codec, no cipher: a payload is stored as it is, from where it lies. */
extern const struct pst_transform pst_transform_identity;

/* The two below are private to engine/format/. The transform of this codec and cipher, the identity
 * or one of transform_table.h; NULL: unknown. */
const struct pst_transform *format_transform_find(uint8_t codec, uint8_t cipher);

/* Whether a payload of raw_bytes may be stored_bytes long in the file. */
bool format_transform_allows(const struct pst_transform *transform, uint32_t raw_bytes,
                             uint32_t stored_bytes);

#endif
