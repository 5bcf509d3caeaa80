/*
 * The tail of a sealed part that was cut off: what should stand behind its chunks (checksums of
 * objects, index, trailer) lies in a file of its own, behind this header, sealed with a key of its
 * own. To the part nothing is added: its key has perhaps sealed other bytes under the next numbers.
 * docs/format.md.
 *
 * Pure, no allocation, any thread.
 */
#ifndef PST_ENGINE_FORMAT_TAIL_H
#define PST_ENGINE_FORMAT_TAIL_H

#include "engine/format/chunk.h"

struct pst_tail_header {
    struct pst_block_head head; /* magic "PSTKTAIL"; chunk: the number of its first chunk */
    uint64_t file_offset;       /* in the part, of what comes behind this header */
    uint8_t salt[32];           /* random; the tail's key is derived from it too */
    uint8_t reserved[4096 - 120];
};

_Static_assert(sizeof(struct pst_tail_header) == PST_BLOCK_BYTES, "docs/format.md");
_Static_assert(offsetof(struct pst_tail_header, file_offset) == 80, "docs/format.md");
_Static_assert(offsetof(struct pst_tail_header, salt) == 88, "docs/format.md");

/* What the tail's key is derived from, beside the data key and what that of its part is. */
#define PST_TAIL_BOUND_AT offsetof(struct pst_block_head, identity)
#define PST_TAIL_BOUND_BYTES (offsetof(struct pst_tail_header, reserved) - PST_TAIL_BOUND_AT)

/* Begins the header of the tail of a part, but for its salt; then ends it. */
void pst_tail_begin(struct pst_tail_header *header, const struct pst_part_identity *identity,
                    uint64_t chunk, uint64_t file_offset);
void pst_tail_seal(struct pst_tail_header *header);

/* As pst_part_header_check(). */
int pst_tail_check(const void *block, uint64_t bytes, const struct pst_part_identity *identity,
                   struct pst_damage *damage) PST_MUST_USE;

#endif
