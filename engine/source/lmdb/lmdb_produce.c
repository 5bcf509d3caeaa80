/*
 * Rows for the LDMs, a bounded slice at a time, and whether they were all read. Any LDM calls
 * lmdb_produce(); the source's thread calls the rest.
 */
#include "engine/source/lmdb/lmdb_produce.h"

#include <assert.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/format/rows.h"

/* A slice ends at the first of these, for an LDM has signals to answer. */
#define SLICE_NS UINT64_C(400000)
#define ROWS_PER_LOOK 64u

/* The words of a cursor. */
enum {
    CURSOR_READER, /* its index + 1, and the marks below */
    CURSOR_DONE,   /* bytes of the current record that are copied */
    CURSOR_ROWS,   /* copied whole */
    CURSOR_BYTES,  /* of these */
};
#define AT_END (UINT64_C(1) << 32)   /* no more rows: the end record is being copied */
#define IS_ENDED (UINT64_C(1) << 33) /* and was */

static struct lmdb_reader *take_reader(struct lmdb_rows *rows, struct pst_row_cursor *cursor)
{
    for (uint32_t i = 0; i < PST_LDMS_MAX / 64; i++) {
        uint64_t bits = atomic_load(&rows->free_readers[i]);
        while (bits &&
               !atomic_compare_exchange_weak(&rows->free_readers[i], &bits, bits & (bits - 1)))
            ;
        if (!bits)
            continue;
        uint32_t index = i * 64 + (uint32_t)__builtin_ctzll(bits);
        cursor->words[CURSOR_READER] = index + 1;
        return &rows->readers[index];
    }
    return NULL;
}

static struct lmdb_reader *reader_of(struct lmdb_rows *rows, const struct pst_row_cursor *cursor)
{
    return &rows->readers[(uint32_t)cursor->words[CURSOR_READER] - 1];
}

static void give_reader(struct lmdb_rows *rows, struct pst_row_cursor *cursor)
{
    struct lmdb_reader *reader = reader_of(rows, cursor);
    uint32_t index = (uint32_t)(reader - rows->readers);
    mdb_cursor_close(reader->cursor);
    reader->cursor = NULL;
    atomic_fetch_or(&rows->free_readers[index / 64], UINT64_C(1) << index % 64);
}

static bool is_beyond(const struct lmdb_reader *reader, const struct share *share)
{
    return share->to.mv_size > 0 &&
           mdb_cmp(reader->txn, share->table->dbi, &reader->key, &share->to) >= 0;
}

/* Makes the cursor's next row, by that operation, the current one. *ended: the share has no more.
 */
static int step(const struct lmdb_rows *rows, struct lmdb_reader *reader, const struct share *share,
                MDB_cursor_op operation, bool *ended)
{
    int rc = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, operation);
    while (rc == 0 && !share->table->name && lmdb_rows_is_table(rows, &reader->key, &reader->value))
        rc = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, MDB_NEXT);
    *ended = rc == MDB_NOTFOUND || (rc == 0 && is_beyond(reader, share));
    return rc == MDB_NOTFOUND ? 0 : lmdb_rows_error(rows, rc);
}

static int start_share(struct lmdb_rows *rows, const struct share *share,
                       struct pst_row_cursor *cursor)
{
    struct lmdb_reader *reader = take_reader(rows, cursor);
    assert(reader); /* one for each LDM */
    int rc = mdb_cursor_open(reader->txn, share->table->dbi, &reader->cursor);
    if (rc)
        return lmdb_rows_error(rows, rc);
    bool ended;
    reader->key = share->from;
    int error =
        step(rows, reader, share, share->from.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST, &ended);
    if (ended)
        cursor->words[CURSOR_READER] |= AT_END;
    return error;
}

/* Copies what fits of the current row, and steps on if that was the last of it. */
static int copy_row(const struct lmdb_rows *rows, struct lmdb_reader *reader,
                    const struct share *share, struct pst_row_cursor *cursor, void *out,
                    size_t room, size_t *copied)
{
    const struct pst_row row = {
        .key = reader->key.mv_data,
        .value = reader->value.mv_data,
        .key_bytes = (uint32_t)reader->key.mv_size,
        .value_bytes = (uint32_t)reader->value.mv_size,
    };
    if (reader->key.mv_size > PST_ROW_KEY_BYTES_MAX || reader->value.mv_size > UINT32_MAX)
        return -PST_E_CORRUPT;
    uint64_t *done = &cursor->words[CURSOR_DONE];
    *copied = pst_row_copy(&row, *done, out, room);
    *done += *copied;
    if (*done < pst_row_bytes(&row))
        return 0;
    cursor->words[CURSOR_BYTES] += *done;
    cursor->words[CURSOR_ROWS]++;
    *done = 0;
    bool ended;
    int error = step(rows, reader, share, MDB_NEXT, &ended);
    if (ended)
        cursor->words[CURSOR_READER] |= AT_END;
    return error;
}

static size_t copy_end(struct lmdb_rows *rows, const struct share *share,
                       struct pst_row_cursor *cursor, void *out, size_t room)
{
    uint64_t *done = &cursor->words[CURSOR_DONE];
    size_t copied = pst_rows_end_copy(cursor->words[CURSOR_ROWS], cursor->words[CURSOR_BYTES],
                                      (uint32_t)*done, out, room);
    *done += copied;
    if (*done < PST_ROWS_END_BYTES)
        return copied;
    cursor->words[CURSOR_READER] |= IS_ENDED;
    atomic_fetch_add(&share->table->read_rows, cursor->words[CURSOR_ROWS]);
    give_reader(rows, cursor);
    return copied;
}

int lmdb_produce(struct lmdb_rows *rows, const struct pst_fragment_descriptor *fragment,
                 struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                 size_t *produced_bytes)
{
    const struct share *share = fragment->extents[0].literal;
    uint64_t until_ns = pst_monotonic_ns() + SLICE_NS;
    size_t done = 0;
    int error = cursor->words[CURSOR_READER] ? 0 : start_share(rows, share, cursor);
    for (uint32_t i = 1; !error && done < capacity_bytes; i++) {
        size_t copied = 0;
        uint8_t *out = (uint8_t *)buffer + done;
        if (cursor->words[CURSOR_READER] & IS_ENDED)
            break;
        if (cursor->words[CURSOR_READER] & AT_END)
            copied = copy_end(rows, share, cursor, out, capacity_bytes - done);
        else
            error = copy_row(rows, reader_of(rows, cursor), share, cursor, out,
                             capacity_bytes - done, &copied);
        done += copied;
        if (i % ROWS_PER_LOOK == 0 && pst_monotonic_ns() > until_ns)
            break;
    }
    *produced_bytes = done;
    return error;
}

/* ---- check ---- */

/* An application may order a database by a function of its own. If such a database is cut into
 * shares by LMDB's own order, rows are lost or read twice. */
int lmdb_produce_check(const struct lmdb_rows *rows)
{
    for (uint32_t i = 0; i < rows->tables_count; i++) {
        const struct table *table = &rows->tables[i];
        uint64_t read_rows = atomic_load(&table->read_rows);
        if (read_rows == table->rows)
            continue;
        bool is_cut = table->shares_count > 1;
        pst_log(
            is_cut ? PST_LOG_ERROR : PST_LOG_WARNING,
            "lmdb:%s: table %s has %llu rows by its own count, and %llu were read%s",
            rows->guard->path, table->name ? table->name : "(main)",
            (unsigned long long)table->rows, (unsigned long long)read_rows,
            is_cut ? ": does its application order it by a function of its own? back it up without "
                     "--logical"
                   : "");
        if (is_cut)
            return -PST_E_SCAN;
    }
    return 0;
}

void lmdb_produce_count(const struct lmdb_rows *rows, uint32_t *tables, uint64_t *read_rows)
{
    *tables = rows->tables_count;
    *read_rows = 0;
    for (uint32_t i = 0; i < rows->tables_count; i++)
        *read_rows += atomic_load(&rows->tables[i].read_rows);
}
