/*
 * lmdb: an LMDB environment that other processes may be using, exactly as of one transaction.
 *
 * PATH is an environment's directory (data.mdb in it) or, for MDB_NOSUBDIR, the data file. The
 * environment is opened by a child process alone (engine/source/lmdb/lmdb_guard.h), which holds
 * lock and reader slot; this process only reads the data file, so that whatever else it opens and
 * closes (a dir: source the lock file, say) drops no lock of LMDB's.
 *
 * With policy.is_alone the snapshot is taken while writers go on, else under the write lock. It is
 * a read transaction and both meta pages; the pages 2 … last are extents, which may be read at
 * leisure, for no writer uses any page of a snapshot again while its reader slot is held. The meta
 * pages are literals. lock.mdb is not backed up.
 *
 * details: {"type":"lmdb","transaction_id","page_bytes","last_page","map_bytes","frozen_ns",
 * "pinned_ns","grown_bytes"}, see docs/format.md.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_H

#include "engine/source/source.h"

/* For the registry: as registry_open, but for the name. Forks the guard. */
PST_MUST_USE int pst_lmdb_open(const char *argument, struct pst_source **source, char *error_text,
                               size_t error_bytes);

/* Whether two sources, of any type, are this type's and of one environment, which no backup can
 * freeze twice: its own first freeze would hold up the second. */
bool pst_lmdb_is_same(const struct pst_source *one, const struct pst_source *other);

#endif
