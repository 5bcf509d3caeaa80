/*
 * The record streams of shares, taken apart in order. Private to engine/restore/; one thread.
 */
#ifndef PST_ENGINE_RESTORE_SHARES_H
#define PST_ENGINE_RESTORE_SHARES_H

#include "engine/restore/row_reading.h"
#include "engine/restore/tables.h"
#include "penstock/table_sink.h"

/* Hands every row of the shares, one after the other, to take (NULL: only checks them); *rows: how
 * many they were.
 * -PST_E_CORRUPT, -PST_E_TRUNCATED with *bad set: the stream of that share, though no chunk of it
 * is damaged, is none; else as row_reading_run, or what take returned. */
PST_MUST_USE int shares_read(struct row_reading *reading, const struct object_record *const *shares,
                             size_t count, pst_row_taker *take, void *context, uint64_t *rows,
                             const struct object_record **bad);

/* A whole table into a sink: begin, rows, end. *by_sink: the error is the sink's.
 * -PST_E_INCONSISTENT with *bad set: it has not as many rows as it says. */
PST_MUST_USE int table_pour(struct row_reading *reading, const struct table_shares *table,
                            struct pst_table_sink *sink, bool *by_sink,
                            const struct object_record **bad);

#endif
