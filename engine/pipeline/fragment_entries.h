/*
 * The catalogue entries and the names that a fragment brings. Private to engine/pipeline/; any
 * thread.
 */
#ifndef PST_ENGINE_PIPELINE_FRAGMENT_ENTRIES_H
#define PST_ENGINE_PIPELINE_FRAGMENT_ENTRIES_H

#include "engine/repository/unreadable.h"
#include "penstock/fragment.h"

/* How many bytes of whole entries, from offset `from` on, fit into room. An error of
 * pst_object_decode: one of them is not legal. */
PST_MUST_USE int entries_that_fit(const struct pst_fragment_descriptor *fragment, size_t from,
                                  size_t room, size_t *bytes);

/* How many entries are of an object, its own and those of its other names: 1 at least. */
uint64_t entries_of(const struct pst_fragment_descriptor *fragment, uint64_t object);

/* The size of an object, which need not be that of the file it is in; 0: it has no entry. */
uint64_t entries_size(const struct pst_fragment_descriptor *fragment, uint64_t object);

/* Logs each name that the file is listed with; the first is among the unreadable ones already. */
void entries_log_bad(struct pst_unreadable *unreadable, const char *source,
                     const struct pst_fragment_file *listed, int error);

#endif
