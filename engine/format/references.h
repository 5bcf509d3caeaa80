/*
 * REFERENCES chunks: which bytes of the objects of a backup lie in earlier ones, its origins, and
 * by what hash they are known there. docs/format.md is the specification; the structs lie in memory
 * as on disk.
 *
 * Pure, no allocation, any thread. Writers close a chunk when a record does not fit, and begin
 * another.
 */
#ifndef PST_ENGINE_FORMAT_REFERENCES_H
#define PST_ENGINE_FORMAT_REFERENCES_H

#include <stdbool.h>

#include "engine/format/chunk.h"
#include "engine/format/index.h"

#define PST_REFERENCES_MAGIC "PSTKREFS"

/* Begins the payload; the origins follow, then the records. */
struct pst_references_head {
    uint8_t magic[8];
    uint32_t origins_count; /* 1…PST_ORIGINS_MAX */
    uint32_t records_count;
};

#define PST_REFERENCE_HASH_BYTES 32u

/* What a node wrote of an earlier backup. */
struct pst_origin {
    uint8_t uid[PST_UID_BYTES];
    uint32_t number;
    uint32_t cluster_id;
    uint16_t node;
    uint8_t reserved[6];
};

/* A run of bytes of an object: those of origin_object, at the same object_offset. */
struct pst_reference {
    uint64_t object;
    uint64_t object_offset; /* 0 with PST_HASH_OBJECT */
    uint64_t bytes;         /* with PST_HASH_OBJECT: in pieces there, which may leave holes */
    uint64_t origin_object;
    uint16_t origin;   /* index into the origins of this payload */
    uint8_t hash_kind; /* enum pst_hash_kind, not NONE */
    uint8_t reserved[13];
    /* PST_HASH_OBJECT: the sum of the object's digests (sums.h), then zeros; PST_HASH_SHA_256: of
     * the bytes. */
    uint8_t hash[32];
};

_Static_assert(sizeof(struct pst_references_head) == 16, "docs/format.md");
_Static_assert(sizeof(struct pst_origin) == 32, "docs/format.md");
_Static_assert(sizeof(struct pst_reference) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_reference, origin) == 32, "docs/format.md");
_Static_assert(offsetof(struct pst_reference, hash_kind) == 34, "docs/format.md");
_Static_assert(offsetof(struct pst_reference, hash) == 48, "docs/format.md");
_Static_assert(sizeof(struct pst_references_head) + PST_ORIGINS_MAX * sizeof(struct pst_origin) <
                   PST_CHUNK_BYTES_MIN / 2,
               "there is room for records behind the longest table of origins");

/* ---- writing ---- */

/* Begins a payload. origins: 1…PST_ORIGINS_MAX, all that its records may name. */
void pst_references_begin(void *payload, const struct pst_origin *origins, uint32_t origins_count);

/* Appends a record to a payload of payload_bytes at most. False: it is full, or the record does not
 * follow the last one; end this chunk, and begin another. */
bool pst_references_add(void *payload, uint32_t payload_bytes,
                        const struct pst_reference *reference) PST_MUST_USE;

/* The same where at most so many records belong behind it. False: there are more, or there is no
 * room. */
bool pst_references_insert(void *payload, uint32_t payload_bytes,
                           const struct pst_reference *reference, uint32_t moved_max) PST_MUST_USE;

/* Bytes of the payload so far. */
uint32_t pst_references_bytes(const void *payload);

/* The records of a payload that is known to be right. */
static inline const struct pst_reference *pst_references_records(const void *payload)
{
    const struct pst_references_head *head = (const struct pst_references_head *)payload;
    const struct pst_origin *origins = (const struct pst_origin *)(head + 1);
    return (const struct pst_reference *)(origins + head->origins_count);
}

/* The hash of a run of bytes, by PST_HASH_SHA_256. -ENOMEM. */
int pst_reference_hash(const void *bytes, uint32_t size,
                       uint8_t hash[PST_REFERENCE_HASH_BYTES]) PST_MUST_USE;

/* ---- reading ---- */

/* The contents of a REFERENCES chunk; points into its raw payload. */
struct pst_references_view {
    const struct pst_origin *origins;
    const struct pst_reference *records;
    uint32_t origins_count;
    uint32_t records_count;
};

/* Reads the raw payload of a REFERENCES chunk that has passed its check. Then records ascend, do
 * not overlap, and name origins of the payload. -PST_E_CORRUPT  not what a writer writes
 *   -PST_E_NEWER    a hash of an unknown kind
 * *damage is relative to the chunk, as if it were not encoded. */
int pst_references_read(const void *payload, uint32_t payload_bytes,
                        struct pst_references_view *view, struct pst_damage *damage) PST_MUST_USE;

#endif
