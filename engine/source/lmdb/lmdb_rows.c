/* Readers, and what the LDMs have of them. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_rows_internal.h"

#define PIN_NS UINT64_C(500000000)
#define PIN_PAUSE_NS 20000

/* A slice ends at the first of these, for an LDM has signals to answer. */
#define SLICE_NS UINT64_C(400000)
#define ROWS_PER_LOOK 64u

int pst_lmdb_rows_error(const struct pst_lmdb_rows *rows, int rc)
{
    if (rc >= 0) /* errno, or 0 */
        return -rc;
    pst_log(PST_LOG_ERROR, "lmdb:%s: %s", rows->guard->path, mdb_strerror(rc));
    switch (rc) {
    case MDB_DBS_FULL:
        return -PST_E_NO_RESOURCES;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return -PST_E_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return -PST_E_NEWER;
    default:
        return -EIO;
    }
}

/* ---- open, pin, close ---- */

static int renew(struct reader *reader)
{
    int rc = mdb_txn_renew(reader->txn);
    while (rc == MDB_MAP_RESIZED) {
        rc = mdb_env_set_mapsize(reader->env, 0);
        if (rc == 0)
            rc = mdb_txn_renew(reader->txn);
    }
    return rc;
}

/* Begun once here, so that the freeze is not held while memory is got. */
static int begin(struct reader *reader)
{
    int rc = mdb_txn_begin(reader->env, NULL, MDB_RDONLY, &reader->txn);
    while (rc == MDB_MAP_RESIZED) {
        rc = mdb_env_set_mapsize(reader->env, 0);
        if (rc == 0)
            rc = mdb_txn_begin(reader->env, NULL, MDB_RDONLY, &reader->txn);
    }
    if (rc == 0)
        mdb_txn_reset(reader->txn);
    return rc;
}

static int open_reader(const struct pst_lmdb_rows *rows, struct reader *reader)
{
    const struct pst_lmdb_guard *guard = rows->guard;
    unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | (guard->is_file ? MDB_NOSUBDIR : 0u);
    struct stat status;
    int fd;
    int rc = mdb_env_create(&reader->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(reader->env, PST_LMDB_TABLES_MAX);
    if (rc == 0)
        rc = mdb_env_open(reader->env, guard->path, flags, 0);
    if (rc == 0)
        rc = mdb_env_get_fd(reader->env, &fd);
    if (rc)
        return pst_lmdb_rows_error(rows, rc);
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_dev != guard->shared->device || status.st_ino != guard->shared->inode)
        return -PST_E_CHANGED;
    return pst_lmdb_rows_error(rows, begin(reader));
}

int pst_lmdb_rows_open(const struct pst_lmdb_guard *guard, uint32_t readers,
                       struct pst_lmdb_rows **opened)
{
    assert(readers >= 1 && readers <= PST_LDMS_MAX);
    struct pst_lmdb_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    rows->guard = guard;
    rows->readers_count = readers;
    rows->readers = calloc(readers + 1, sizeof(*rows->readers));
    int error = rows->readers ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i <= readers; i++)
        error = open_reader(rows, &rows->readers[i]);
    if (!error)
        error = pst_lmdb_rows_error(rows, mdb_env_get_fd(scout_of(rows)->env, &rows->fd));
    if (error) {
        pst_lmdb_rows_close(rows);
        return error;
    }
    for (uint32_t i = 0; i < readers; i++)
        atomic_fetch_or(&rows->free_readers[i / 64], UINT64_C(1) << i % 64);
    *opened = rows;
    return 0;
}

static void close_reader(struct reader *reader)
{
    if (reader->cursor)
        mdb_cursor_close(reader->cursor);
    if (reader->txn)
        mdb_txn_abort(reader->txn);
    if (reader->env)
        mdb_env_close(reader->env);
}

static void free_table(struct table *table)
{
    for (uint32_t i = 0; i < table->shares_count; i++)
        free(table->shares[i].from.mv_data);
    free(table->shares);
    free(table->name);
}

void pst_lmdb_rows_close(struct pst_lmdb_rows *rows)
{
    if (!rows)
        return;
    for (uint32_t i = 0; rows->readers && i <= rows->readers_count; i++)
        close_reader(&rows->readers[i]);
    for (uint32_t i = 0; i < rows->tables_count; i++)
        free_table(&rows->tables[i]);
    for (uint32_t i = 0; i < rows->names_count; i++)
        free(rows->names[i]);
    free(rows->names);
    free(rows->tables);
    free(rows->readers);
    free(rows);
}

/* Without a lock file LMDB takes the newest meta page for true, as it finds it. Ours is whole if,
 * once all have begun, it is the newest still: the commit that overwrites it is the next but one.
 */
static int renew_all(struct pst_lmdb_rows *rows)
{
    uint64_t transaction = 0;
    for (uint32_t i = 0; i <= rows->readers_count; i++) {
        int rc = renew(&rows->readers[i]);
        if (rc)
            return pst_lmdb_rows_error(rows, rc);
        uint64_t found = mdb_txn_id(rows->readers[i].txn);
        if (i > 0 && found != transaction)
            return -EAGAIN;
        transaction = found;
    }
    int error = pst_lmdb_meta_newest(rows->fd, &rows->meta);
    if (error == -PST_E_CORRUPT || (!error && rows->meta.transaction != transaction))
        return -EAGAIN; /* torn, or newer */
    return error;
}

static void reset_all(struct pst_lmdb_rows *rows)
{
    for (uint32_t i = 0; i <= rows->readers_count; i++)
        mdb_txn_reset(rows->readers[i].txn);
}

int pst_lmdb_rows_pin(struct pst_lmdb_rows *rows)
{
    const struct timespec pause = {.tv_nsec = PIN_PAUSE_NS};
    uint64_t until_ns = pst_monotonic_ns() + PIN_NS;
    for (;;) {
        int error = renew_all(rows);
        if (error != -EAGAIN)
            return error;
        reset_all(rows);
        if (pst_monotonic_ns() > until_ns)
            return -EAGAIN;
        nanosleep(&pause, NULL);
    }
}

uint64_t pst_lmdb_rows_transaction(const struct pst_lmdb_rows *rows)
{
    return rows->meta.transaction;
}

/* ---- produce ---- */

/* What a cursor's words say. */
enum {
    CURSOR_READER, /* its index + 1, and the marks below */
    CURSOR_DONE,   /* bytes of the current record that are copied */
    CURSOR_ROWS,   /* copied whole */
    CURSOR_BYTES,  /* of these */
};
#define AT_END (UINT64_C(1) << 32)   /* no more rows: the end record is being copied */
#define IS_ENDED (UINT64_C(1) << 33) /* and was */

static struct reader *take_reader(struct pst_lmdb_rows *rows, struct pst_row_cursor *cursor)
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

static struct reader *reader_of(struct pst_lmdb_rows *rows, const struct pst_row_cursor *cursor)
{
    return &rows->readers[(uint32_t)cursor->words[CURSOR_READER] - 1];
}

static void give_reader(struct pst_lmdb_rows *rows, struct pst_row_cursor *cursor)
{
    struct reader *reader = reader_of(rows, cursor);
    uint32_t index = (uint32_t)(reader - rows->readers);
    mdb_cursor_close(reader->cursor);
    reader->cursor = NULL;
    atomic_fetch_or(&rows->free_readers[index / 64], UINT64_C(1) << index % 64);
}

static bool is_beyond(const struct reader *reader, const struct share *share)
{
    return share->to.mv_size > 0 &&
           mdb_cmp(reader->txn, share->table->dbi, &reader->key, &share->to) >= 0;
}

/* Makes the cursor's next row, by that operation, the current one. *ended: the share has no more.
 */
static int step(const struct pst_lmdb_rows *rows, struct reader *reader, const struct share *share,
                MDB_cursor_op operation, bool *ended)
{
    int rc = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, operation);
    while (rc == 0 && !share->table->name &&
           pst_lmdb_rows_is_table(rows, &reader->key, &reader->value))
        rc = mdb_cursor_get(reader->cursor, &reader->key, &reader->value, MDB_NEXT);
    *ended = rc == MDB_NOTFOUND || (rc == 0 && is_beyond(reader, share));
    return rc == MDB_NOTFOUND ? 0 : pst_lmdb_rows_error(rows, rc);
}

static int start_share(struct pst_lmdb_rows *rows, const struct share *share,
                       struct pst_row_cursor *cursor)
{
    struct reader *reader = take_reader(rows, cursor);
    assert(reader); /* one for each LDM */
    int rc = mdb_cursor_open(reader->txn, share->table->dbi, &reader->cursor);
    if (rc)
        return pst_lmdb_rows_error(rows, rc);
    bool ended;
    reader->key = share->from;
    int error =
        step(rows, reader, share, share->from.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST, &ended);
    if (ended)
        cursor->words[CURSOR_READER] |= AT_END;
    return error;
}

/* Copies what fits of the current row, and steps on if that was the last of it. */
static int copy_row(const struct pst_lmdb_rows *rows, struct reader *reader,
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

static size_t copy_end(struct pst_lmdb_rows *rows, const struct share *share,
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

int pst_lmdb_rows_produce(struct pst_lmdb_rows *rows,
                          const struct pst_fragment_descriptor *fragment,
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

/* An application may order a database by a function of its own; where such an order is cut by ours,
 * rows are lost, or come twice. */
int pst_lmdb_rows_check(const struct pst_lmdb_rows *rows)
{
    for (uint32_t i = 0; i < rows->tables_count; i++) {
        const struct table *table = &rows->tables[i];
        uint64_t read_rows = atomic_load(&table->read_rows);
        if (read_rows == table->rows)
            continue;
        bool is_cut = table->shares_count > 1;
        pst_log(is_cut ? PST_LOG_ERROR : PST_LOG_WARNING,
                "lmdb:%s: table %s has %llu rows by its own count, and %llu were read%s",
                rows->guard->path, table->name ? table->name : "(main)",
                (unsigned long long)table->rows, (unsigned long long)read_rows,
                is_cut ? ": is it ordered by a function of its user's own? back it up without "
                         "--logical"
                       : "");
        if (is_cut)
            return -PST_E_SCAN;
    }
    return 0;
}

void pst_lmdb_rows_count(const struct pst_lmdb_rows *rows, uint32_t *tables, uint64_t *read_rows)
{
    *tables = rows->tables_count;
    *read_rows = 0;
    for (uint32_t i = 0; i < rows->tables_count; i++)
        *read_rows += atomic_load(&rows->tables[i].read_rows);
}
