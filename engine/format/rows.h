/*
 * Reading rows (penstock/rows.h), and the names of tables. docs/format.md has the bytes.
 *
 * Pure; any thread. Nothing is allocated but by pst_rows_feed, and by it neither where nobody takes
 * the rows and the buffer was given PST_ROWS_END_BYTES.
 */
#ifndef PST_ENGINE_FORMAT_ROWS_H
#define PST_ENGINE_FORMAT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "penstock/error.h"
#include "penstock/object.h"
#include "penstock/rows.h"

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

/* The share that a legal ROWS object describes; its name points into the object. */
struct pst_share pst_share_of(const struct pst_object *object);

/* Likewise the database of a legal DATABASE object. */
struct pst_database_entry pst_database_of(const struct pst_object *object);

/* Whether the value of an attribute that objects of this type must have is legal. *known: there is
 * such an attribute. For object.c. */
bool format_rows_attribute_is_legal(enum pst_object_type type, uint16_t attribute,
                                    const void *value, uint32_t value_bytes, bool *known);

/* ---- streams ---- */

/* Takes a stream apart. */
struct pst_rows_reader {
    uint64_t size; /* of the stream, by its object: set by the caller, all else zero */
    uint64_t taken;
    uint64_t rows;
    uint64_t skip;   /* of the record's bytes, if rows are only checked */
    uint8_t *buffer; /* the beginning of a record whose end has not come yet */
    size_t buffer_bytes;
    size_t have;
    bool has_no_size; /* its size is not known, and is UINT64_MAX: the end record may come anywhere;
                         likewise set by the caller */
    bool ended;
};

/* Takes a row, which is borrowed for the call. Returns 0, or the error that feed is to return. */
typedef int pst_row_taker(void *context, const struct pst_row *row);

/* Takes the next bytes of the stream, wherever it is cut, and hands each row to take; NULL: it only
 * checks. -PST_E_CORRUPT: no such stream was ever written; -ENOMEM; or the error of take. */
int pst_rows_feed(struct pst_rows_reader *reader, const void *data, size_t bytes,
                  pst_row_taker *take, void *context) PST_MUST_USE;

/* After the last byte: -PST_E_TRUNCATED: there was no end record. */
int pst_rows_finish(const struct pst_rows_reader *reader) PST_MUST_USE;

void pst_rows_release(struct pst_rows_reader *reader);

#endif
