/*
 * The catalogue entries that a fragment brings. Private to engine/pipeline/; any thread.
 */
#ifndef PST_ENGINE_PIPELINE_FRAGMENT_ENTRIES_H
#define PST_ENGINE_PIPELINE_FRAGMENT_ENTRIES_H

#include "penstock/fragment.h"

/* How many bytes of whole entries, from offset `from` on, fit into room. An error of
 * pst_object_decode: one of them is not legal. */
PST_MUST_USE int entries_that_fit(const struct pst_fragment_descriptor *fragment, size_t from,
                                  size_t room, size_t *bytes);

/* How many entries are of an object, its own and those of its other names: 1 at least. */
uint64_t entries_of(const struct pst_fragment_descriptor *fragment, uint64_t object);

#endif
