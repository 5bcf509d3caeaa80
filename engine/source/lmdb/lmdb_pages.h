/*
 * Whether a snapshot's pages are in its file, and can be read. Private to the lmdb: source; the
 * source's thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_PAGES_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_PAGES_H

#include "engine/source/lmdb/lmdb_rows.h"

/* Before the listing of pages: a file that is shorter than its snapshot has lost its end, unless
 * all that is missing is free. -PST_E_DAMAGED, logged. */
PST_MUST_USE int lmdb_pages_look(struct lmdb_source *lmdb, struct pst_fragment_sink *sink);

/* After the scan: whether the file has become shorter than it was, or is to be. -PST_E_DAMAGED,
 * logged. */
PST_MUST_USE int lmdb_pages_check(const struct lmdb_source *lmdb);

/* policy.check_pages: starts to read every row of every table, while the pages are listed. */
PST_MUST_USE int lmdb_pages_start(struct lmdb_source *lmdb);

/* Waits until so many bytes of rows have been seen, or all; does nothing where nothing was started.
 * -PST_E_DAMAGED, logged, or -ECANCELED. */
PST_MUST_USE int lmdb_pages_wait(struct lmdb_source *lmdb, struct pst_fragment_sink *sink,
                                 uint64_t bytes);

#endif
