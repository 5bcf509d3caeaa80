/*
 * Rows for the LDMs, as the readers send them, and whether they were all read. Any LDM calls
 * lmdb_produce(); the source's thread calls the rest.
 */
#include "engine/source/lmdb/lmdb_produce.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/log.h"

/* How long an LDM waits at once, for it has signals to answer. */
#define SLICE_NS 400000u

/* The words of a cursor. */
enum {
    CURSOR_READER, /* its index, and the marks below */
    CURSOR_DONE,   /* bytes of the end record that are copied */
    CURSOR_ROWS,   /* of the share */
    CURSOR_BYTES,  /* of these */
};
#define AT_END (UINT64_C(1) << 32)   /* no more rows: the end record is being copied */
#define IS_ENDED (UINT64_C(1) << 33) /* and was */

/* NULL: all are in use, by more LDMs than there are readers. */
static struct lmdb_reader *take_reader(struct lmdb_rows *rows, struct pst_row_cursor *cursor)
{
    uint64_t bits = atomic_load(&rows->free_readers);
    while (bits && !atomic_compare_exchange_weak(&rows->free_readers, &bits, bits & (bits - 1)))
        ;
    if (!bits)
        return NULL;
    cursor->words[CURSOR_READER] = 1 + (uint32_t)__builtin_ctzll(bits);
    return &rows->readers[cursor->words[CURSOR_READER]];
}

static void give_reader(struct lmdb_rows *rows, const struct lmdb_reader *reader)
{
    uint32_t index = (uint32_t)(reader - rows->readers);
    atomic_fetch_or(&rows->free_readers, UINT64_C(1) << (index - 1));
}

static uint32_t copy_key(const struct lmdb_key *key, uint8_t out[LMDB_KEY_BYTES_MAX])
{
    if (key->bytes > 0)
        memcpy(out, key->data, key->bytes);
    return key->bytes;
}

static void start_share(struct lmdb_reader *reader, const struct share *share)
{
    struct lmdb_task *task = &reader->slot->task;
    const struct table *table = share->table;
    bool is_last = share->number + 1 == table->shares_count;
    const struct lmdb_key none = {0};
    task->kind = LMDB_ROWS;
    memset(task->name, 0, sizeof(task->name));
    if (table->name)
        memcpy(task->name, table->name, table->name_bytes);
    task->from_bytes = copy_key(&share->from, task->from);
    task->to_bytes = copy_key(is_last ? &none : &share[1].from, task->to);
    reader->records = (struct pst_rows_reader){.size = UINT64_MAX, /* not known */
                                               .buffer = reader->records.buffer,
                                               .buffer_bytes = reader->records.buffer_bytes};
    lmdb_reader_start(reader);
}

static size_t copy_end(struct pst_row_cursor *cursor, void *out, size_t room)
{
    uint64_t *done = &cursor->words[CURSOR_DONE];
    size_t copied = pst_rows_end_copy(cursor->words[CURSOR_ROWS], cursor->words[CURSOR_BYTES],
                                      (uint32_t)*done, out, room);
    *done += copied;
    if (*done == PST_ROWS_END_BYTES)
        cursor->words[CURSOR_READER] = IS_ENDED;
    return copied;
}

/* A stream that no restore could read is not written. */
static int check_records(const struct lmdb_rows *rows, struct lmdb_reader *reader,
                         const struct table *table, const void *data, size_t bytes)
{
    int error = pst_rows_feed(&reader->records, data, bytes, NULL, NULL);
    if (error)
        return lmdb_rows_error(rows, table, -PST_E_DAMAGED, "its reader sent no rows");
    if (reader->records.rows > table->rows)
        return lmdb_rows_error(rows, table, -PST_E_DAMAGED, "it has more rows than it counts");
    return 0;
}

/* All rows of the share are there. */
static int end_share(struct lmdb_rows *rows, struct lmdb_reader *reader, const struct share *share,
                     struct pst_row_cursor *cursor)
{
    if (reader->records.skip > 0 || reader->records.have > 0)
        return lmdb_rows_error(rows, share->table, -PST_E_DAMAGED, "its reader sent half a row");
    cursor->words[CURSOR_READER] |= AT_END;
    cursor->words[CURSOR_ROWS] = reader->records.rows;
    cursor->words[CURSOR_BYTES] = reader->records.taken;
    atomic_fetch_add(&share->table->read_rows, reader->records.rows);
    give_reader(rows, reader);
    return 0;
}

/* -EAGAIN: there are none yet. */
static int take_rows(struct lmdb_rows *rows, const struct share *share,
                     struct pst_row_cursor *cursor, void *out, size_t room, size_t *took)
{
    struct lmdb_reader *reader = &rows->readers[(uint32_t)cursor->words[CURSOR_READER]];
    char text[LMDB_TEXT_BYTES];
    bool ended;
    lmdb_reader_wait(reader, SLICE_NS);
    int error = lmdb_reader_take(reader, out, room, took, &ended, text);
    if (error)
        return lmdb_rows_error(rows, share->table, error, text);
    if (ended)
        return end_share(rows, reader, share, cursor);
    if (*took == 0) {
        error = lmdb_rows_look(rows, reader, share->table);
        return error ? error : -EAGAIN;
    }
    reader->waits_since_ns = 0;
    return check_records(rows, reader, share->table, out, *took);
}

int lmdb_produce(struct lmdb_rows *rows, const struct pst_fragment_descriptor *fragment,
                 struct pst_row_cursor *cursor, void *buffer, size_t capacity_bytes,
                 size_t *produced_bytes)
{
    const struct timespec slice = {.tv_nsec = SLICE_NS};
    const struct share *share = fragment->extents[0].literal;
    *produced_bytes = 0;
    if (cursor->words[CURSOR_READER] == 0) {
        struct lmdb_reader *reader = take_reader(rows, cursor);
        if (!reader) {
            nanosleep(&slice, NULL);
            return -EAGAIN;
        }
        start_share(reader, share);
    }
    if (cursor->words[CURSOR_READER] < AT_END) {
        int error = take_rows(rows, share, cursor, buffer, capacity_bytes, produced_bytes);
        if (error || *produced_bytes > 0)
            return error;
    }
    if (cursor->words[CURSOR_READER] != IS_ENDED)
        *produced_bytes = copy_end(cursor, buffer, capacity_bytes);
    return 0;
}

/* ---- check ---- */

/* An application may order a database by a function of its own. If such a database is cut into
 * shares by LMDB's own order, rows are lost or read twice. */
int lmdb_produce_check(const struct lmdb_rows *rows)
{
    for (uint32_t i = 0; i < rows->tables_count; i++) {
        const struct table *table = rows->tables[i];
        uint64_t read_rows = atomic_load(&table->read_rows);
        char text[LMDB_TEXT_BYTES];
        if (read_rows == table->rows)
            continue;
        snprintf(text, sizeof(text), "it has %llu rows by its own count, and %llu were read%s",
                 (unsigned long long)table->rows, (unsigned long long)read_rows,
                 table->shares_count > 1 ? ": it is damaged, or its application orders it by a "
                                           "function of its own: then back it up without --logical"
                                         : "");
        return lmdb_rows_error(rows, table, table->shares_count > 1 ? -PST_E_SCAN : -PST_E_DAMAGED,
                               text);
    }
    return 0;
}

void lmdb_produce_count(const struct lmdb_rows *rows, uint32_t *tables, uint64_t *read_rows)
{
    *tables = rows->tables_count;
    *read_rows = 0;
    for (uint32_t i = 0; i < rows->tables_count; i++)
        *read_rows += atomic_load(&rows->tables[i]->read_rows);
}
