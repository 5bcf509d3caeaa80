/*
 * The listing of an lmdb: source. Private to the lmdb: source; the source's thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_LIST_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_LIST_H

#include "penstock/source.h"

/* pst_source.list. */
PST_MUST_USE int lmdb_list(struct pst_source *source, struct pst_fragment_sink *sink,
                           struct pst_source_listing *listing);

#endif
