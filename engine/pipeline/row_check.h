/*
 * Looks at the rows that a source makes as they are packed: what no restore could read ends the
 * scan. Of sources that do so themselves, and of bytes that are no share of a table, nothing is
 * looked at. Nothing is allocated. Private to engine/pipeline/; the LDM's thread.
 */
#ifndef PST_ENGINE_PIPELINE_ROW_CHECK_H
#define PST_ENGINE_PIPELINE_ROW_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "engine/format/rows.h"
#include "engine/source/source.h"

struct row_check {
    const struct pst_source *source; /* NULL: nothing is looked at */
    const struct pst_fragment_descriptor *fragment;
    struct pst_rows_reader reader;
    uint8_t room[PST_ROWS_END_BYTES]; /* the reader's */
};

/* A fragment that is legal. What was begun need not be ended. */
void row_check_begin(struct row_check *check, const struct pst_source *source,
                     const struct pst_fragment_descriptor *fragment);

/* The next bytes that were made; none: that was all. -EINVAL, which is logged: these are no rows,
 * or another number of rows than the table has. */
int row_check_take(struct row_check *check, const void *data, size_t bytes) PST_MUST_USE;

#endif
