/*
 * Opens the chunks of sealed parts, one part at a time. For engine/repository/ and engine/restore/;
 * one thread's, as the reader that it is a field of.
 */
#ifndef PST_ENGINE_REPOSITORY_PART_OPENER_H
#define PST_ENGINE_REPOSITORY_PART_OPENER_H

#include "engine/format/seal.h"

struct pst_part_map;

/* All zeros at the start. */
struct part_opener {
    struct pst_sealed sealed;
    uint8_t *key;                    /* of the part, while it is derived; NULL: not yet made */
    const struct pst_part_map *part; /* whose key is set */
};

/* *sealed: with the part's key; NULL for a part that is not sealed. A part whose data key is not
 * known has no chunk to open. -ENOMEM. */
PST_MUST_USE int pst_opener_use(struct part_opener *opener, const struct pst_part_map *part,
                                struct pst_sealed **sealed);

void part_opener_close(struct part_opener *opener);

#endif
