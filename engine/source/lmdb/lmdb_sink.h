/*
 * Rows into a new LMDB environment: one file (without its lock file, which LMDB makes when it is
 * opened), the named databases of the tables in it, the unnamed table in its main database.
 *
 * Rows are appended in the order that they come in, whatever function orders them: a database that
 * its application orders by one of its own is restored as it was, with a notice, for it may be
 * damage: mdb_dump reads it, and mdb_get finds its keys only in that order. In a main database that
 * has named ones beside its records, the order must be LMDB's own. A row that is there twice, and
 * flags and lengths that LMDB cannot read again (it takes some of them), are refused.
 *
 * Transactions are of bounded size; the map grows where it must.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_SINK_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_SINK_H

#include <stdint.h>

#include "penstock/table_sink.h"

struct pst_lmdb_sink_options {
    uint64_t map_bytes; /* of the new environment; 0: as it was */
};

/* A pst_table_sink_open; context: struct pst_lmdb_sink_options, read in the call. */
int pst_lmdb_sink_open(void *context, const struct pst_database *database, int directory_fd,
                       struct pst_table_sink **sink, char *error_text);

#endif
