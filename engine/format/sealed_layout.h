/*
 * Where the tags of a sealed chunk lie, and what they hold for. Private to engine/format/.
 */
#ifndef PST_ENGINE_FORMAT_SEALED_LAYOUT_H
#define PST_ENGINE_FORMAT_SEALED_LAYOUT_H

#include "engine/format/seal.h"

/* Of a header, what lies before its pieces is bound to them: from its identity on. */
static inline const void *format_bound_of(const void *block)
{
    return (const uint8_t *)block + PST_PART_BOUND_AT;
}

#define FORMAT_HEADER_BOUND_BYTES                                                                  \
    ((uint32_t)(offsetof(struct pst_chunk_header, pieces) -                                        \
                offsetof(struct pst_block_head, identity)))
#define FORMAT_PIECES_BYTES (PST_CHUNK_SEALED_PIECES_MAX * (uint32_t)sizeof(struct pst_chunk_piece))

/* Of a trailer, the tag holds for all before it, likewise. */
#define FORMAT_TRAILER_BOUND_BYTES                                                                 \
    ((uint32_t)(offsetof(struct pst_part_trailer, tag) - offsetof(struct pst_block_head, identity)))

#endif
