/*
 * Rows: how a source describes tables, and how it encodes their rows.
 *
 * A table is cut into shares, by ranges of its keys or otherwise, so that several LDMs scan it at
 * once. A share is an object of type PST_OBJECT_ROWS, in a fragment of its own
 * (pst_fragment_add_rows); its contents are a stream of records, key and value of each row, and an
 * end record. The shares of a table, in their order, are the table; their ids follow each other. An
 * object of type PST_OBJECT_DATABASE, one in a source, before all shares, names the database that
 * the tables belong to. Both objects have one attribute, which the functions here write. Restored,
 * the rows come to a struct pst_table_sink (penstock/table_sink.h).
 *
 * Pure; any thread.
 */
#ifndef PENSTOCK_ROWS_H
#define PENSTOCK_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "penstock/object.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PST_TABLE_NAME_BYTES_MAX 1024u
#define PST_TABLE_SHARES_MAX 65536u
#define PST_ROW_KEY_BYTES_MAX 65535u
#define PST_ROW_HEAD_BYTES 8u
#define PST_ROWS_END_BYTES 24u
#define PST_DATABASE_KIND_BYTES_MAX 16u /* terminator included */
#define PST_DATABASE_DETAILS_BYTES_MAX 1024u

struct pst_share {
    const void *name; /* of the table; name_bytes 0: the unnamed one */
    uint32_t name_bytes;
    uint32_t flags; /* of the table: its source's own */
    uint32_t share; /* 0 … shares - 1 */
    uint32_t shares;
    uint64_t rows; /* of the whole table, by its own count */
};

/* Room for either attribute. */
#define PST_ROWS_ATTRIBUTE_BYTES_MAX (40u + PST_TABLE_NAME_BYTES_MAX)

/* The attribute that a ROWS object has, written to `out`; returns its bytes. The share must be
 * within the bounds above: an assertion ends the process. */
uint32_t pst_share_encode(const struct pst_share *share, void *out);

/* "accounts/00003", into text of PST_PATH_BYTES_MAX: the path of a ROWS object. Returns text. */
const char *pst_share_path(const struct pst_share *share, char *text);

struct pst_database_entry {
    const char *kind;    /* of the source: "lmdb" */
    const void *details; /* the source's own bytes */
    uint32_t details_bytes;
};

/* The attribute that a DATABASE object has, likewise. */
uint32_t pst_database_encode(const struct pst_database_entry *database, void *out);

struct pst_row {
    const void *key;
    const void *value;
    uint32_t key_bytes; /* PST_ROW_KEY_BYTES_MAX at most */
    uint32_t value_bytes;
};

/* Of the row's record. */
uint64_t pst_row_bytes(const struct pst_row *row);

/* Copies the record from its byte `from` on, as far as there is room; returns how many. */
size_t pst_row_copy(const struct pst_row *row, uint64_t from, void *out, size_t room);

/* The same of the end record of a stream of so many rows, whose records are so many bytes. */
size_t pst_rows_end_copy(uint64_t rows, uint64_t bytes, uint32_t from, void *out, size_t room);

#ifdef __cplusplus
}
#endif

#endif
