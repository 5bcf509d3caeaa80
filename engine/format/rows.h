/*
 * Rows on disk: the objects and the record streams of a logical backup. docs/format.md has the
 * bytes.
 *
 * A table is cut into shares by ranges of its keys, so that several LDMs scan it at once. A share
 * is an object of type ROWS; its contents are a stream of records, key and value of each row, and
 * an end record, by which a stream that lost its end is found. The shares of a table, in their
 * order, are the table. A DATABASE object says what the tables of a source are tables of.
 *
 * Pure; any thread. Nothing is allocated but by pst_rows_feed.
 */
#ifndef PST_ENGINE_FORMAT_ROWS_H
#define PST_ENGINE_FORMAT_ROWS_H

#include "engine/format/object.h"
#include "penstock/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PST_TABLE_NAME_BYTES_MAX 1024u
#define PST_TABLE_SHARES_MAX 65536u
#define PST_ROW_KEY_BYTES_MAX 65535u
#define PST_ROW_HEAD_BYTES 8u
#define PST_ROWS_END_BYTES 24u
#define PST_DATABASE_KIND_BYTES_MAX 16u /* terminator included */
#define PST_DATABASE_DETAILS_BYTES_MAX 1024u

/* ---- names ---- */

/* Room for an escaped name, terminator included. */
#define PST_TABLE_TEXT_BYTES (3 * PST_TABLE_NAME_BYTES_MAX + 1)

/* A table's name, any bytes, as a legal file name (but for its length): letters, digits, '_', '-'
 * and '.', though not in front, stand for themselves, every other byte is %HH, in capitals. The
 * unnamed table, which some databases have, is "%main". Returns text. */
const char *pst_table_name_escape(const void *name, uint32_t name_bytes, char *text);

/* Whether text, in which every byte may be written as %HH and '%' must be, means that name. */
bool pst_table_name_is(const char *text, const void *name, uint32_t name_bytes);

/* ---- objects ---- */

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

/* The attribute that a ROWS object has, written to `out`; returns its bytes. */
uint32_t pst_share_encode(const struct pst_share *share, void *out);

/* What a legal ROWS object says; the name points into it. */
struct pst_share pst_share_of(const struct pst_object *object);

/* "accounts/00003", into text of PST_PATH_BYTES_MAX: the path of a ROWS object. Returns text. */
const char *pst_share_path(const struct pst_share *share, char *text);

struct pst_database_entry {
    const char *kind;    /* of the source: "lmdb" */
    const void *details; /* the source's own bytes */
    uint32_t details_bytes;
};

/* Likewise of a DATABASE object. */
uint32_t pst_database_encode(const struct pst_database_entry *database, void *out);
struct pst_database_entry pst_database_of(const struct pst_object *object);

/* Whether the value of an attribute that objects of this type must have is legal. *known: there is
 * such an attribute. For object.c. */
bool pst_rows_attribute_is_legal(enum pst_object_type type, uint16_t attribute, const void *value,
                                 uint32_t value_bytes, bool *known);

/* ---- streams ---- */

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

/* Takes a stream apart. */
struct pst_rows_reader {
    uint64_t size; /* of the stream, by its object: set at the start; the rest zero */
    uint64_t taken;
    uint64_t rows;
    uint64_t skip;   /* of the record's bytes, where nobody wants the rows */
    uint8_t *buffer; /* what came of a record that has not come whole */
    size_t buffer_bytes;
    size_t have;
    bool ended;
};

/* A row, borrowed for the call. 0, or what feed is to return. */
typedef int pst_row_taker(void *context, const struct pst_row *row);

/* Takes the next bytes of the stream, however they are cut, and hands each row on; take NULL: only
 * checks. -PST_E_CORRUPT: no such stream was ever written; -ENOMEM; or what take returned. */
int pst_rows_feed(struct pst_rows_reader *reader, const void *data, size_t bytes,
                  pst_row_taker *take, void *context) PST_MUST_USE;

/* After the last byte: -PST_E_TRUNCATED: there was no end record. */
int pst_rows_finish(const struct pst_rows_reader *reader) PST_MUST_USE;

void pst_rows_release(struct pst_rows_reader *reader);

#endif
