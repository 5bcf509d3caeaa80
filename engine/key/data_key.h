/*
 * The data key of what a node writes for one backup, and what is done with it: keys of parts are
 * derived from it, and manifests sealed. It is random, never stored but wrapped (keys_file.h), and
 * kept in memory that is locked, out of core dumps, and cleared when it is freed.
 *
 * Pure but for randomness; any thread, one key by one thread at a time unless it is only read.
 */
#ifndef PST_ENGINE_KEY_DATA_KEY_H
#define PST_ENGINE_KEY_DATA_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/format/chunk.h"
#include "engine/format/tail.h"
#include "penstock/error.h"

#define PST_KEY_BYTES 32u
#define PST_DATA_KEY_ID_BYTES 16u

/* Memory for secrets; NULL: there is none. Freeing it clears it; NULL is allowed. A forked child
 * has it as zeros, and must not free it. */
void *pst_secret_make(size_t bytes);
void pst_secret_free(void *secret);

struct pst_data_key {
    uint8_t id[PST_DATA_KEY_ID_BYTES]; /* tells data keys apart, and nothing of them */
    uint8_t *secret;                   /* PST_KEY_BYTES; NULL: there is none */
};

/* A random one. -ENOMEM. */
PST_MUST_USE int data_key_make(struct pst_data_key *key);

/* A copy of these PST_KEY_BYTES. -ENOMEM. */
PST_MUST_USE int data_key_take(struct pst_data_key *key, const uint8_t *secret);
void pst_data_key_release(struct pst_data_key *key);

/* PST_KEY_BYTES from a key, for this purpose and context (HKDF-Expand, RFC 5869). */
void data_key_derive(const uint8_t *key, const char *purpose, const void *context,
                     size_t context_bytes, uint8_t *derived);

/* Fills in what of a part header makes the part's key one of its own, its other fields being set,
 * and derives that key. */
void pst_data_key_begin_part(const struct pst_data_key *key, struct pst_part_header *header,
                             uint8_t *part_key);

/* The key of a part that was written: bound are the bytes of its header from PST_PART_BOUND_AT on
 * (engine/format/seal.h). */
void pst_data_key_part(const struct pst_data_key *key, const uint8_t *bound, uint8_t *part_key);

/* Fills in what of the header of a tail, its other fields being set, makes its key one of its own,
 * whatever tails the same part had before, and derives that key. bound: the part's. */
void pst_data_key_begin_tail(const struct pst_data_key *key, const uint8_t *bound,
                             struct pst_tail_header *header, uint8_t *tail_key);

/* The key of a tail that was written: tail_bound are the bytes of its header from PST_TAIL_BOUND_AT
 * on. */
void pst_data_key_tail(const struct pst_data_key *key, const uint8_t *bound,
                       const uint8_t *tail_bound, uint8_t *tail_key);

/* Seals text for one place: what it is and of which part of which backup; other texts do not pass
 * for it. sealed: malloc'd. -ENOMEM. */
struct pst_sealed_text {
    uint8_t *bytes;
    size_t size;
};
PST_MUST_USE int pst_data_key_seal_text(const struct pst_data_key *key, const char *what,
                                        const struct pst_part_identity *identity, const void *text,
                                        size_t bytes, struct pst_sealed_text *sealed);

/* Likewise back; opened: malloc'd. -PST_E_CORRUPT: it was not sealed with this key for this place.
 */
PST_MUST_USE int pst_data_key_open_text(const struct pst_data_key *key, const char *what,
                                        const struct pst_part_identity *identity,
                                        const struct pst_sealed_text *sealed, char **opened,
                                        size_t *bytes);

#endif
