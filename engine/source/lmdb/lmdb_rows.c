/*
 * The rows of an environment: its readers are opened, all begin at one transaction, and are closed.
 * Called on the source's thread, but for lmdb_rows_error and lmdb_rows_is_table, which any LDM
 * calls.
 */
#include "engine/source/lmdb/lmdb_rows.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/source/lmdb/lmdb_txn.h"

#define PIN_NS UINT64_C(500000000)
#define PIN_PAUSE_NS 20000

int lmdb_rows_error(const struct lmdb_rows *rows, int rc)
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

bool lmdb_rows_is_table(const struct lmdb_rows *rows, const MDB_val *key, const MDB_val *value)
{
    uint32_t low = 0, high = rows->names_count;
    if (value->mv_size != SUB_DATABASE_BYTES)
        return false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const char *name = rows->names[middle];
        int order = strncmp(name, key->mv_data, key->mv_size);
        if (order == 0)
            order = name[key->mv_size] != '\0';
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Begun once here, so that no memory is allocated while the freeze is held. */
static int begin(struct lmdb_reader *reader)
{
    int rc = lmdb_txn_begin(reader->env, MDB_RDONLY, &reader->txn);
    if (rc == 0)
        mdb_txn_reset(reader->txn);
    return rc;
}

static int open_reader(const struct lmdb_rows *rows, struct lmdb_reader *reader)
{
    const struct lmdb_guard *guard = rows->guard;
    unsigned flags = MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS | (guard->is_file ? MDB_NOSUBDIR : 0u);
    struct stat status;
    int fd;
    int rc = mdb_env_create(&reader->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(reader->env, LMDB_TABLES_MAX);
    if (rc == 0)
        rc = mdb_env_open(reader->env, guard->path, flags, 0);
    if (rc == 0)
        rc = mdb_env_get_fd(reader->env, &fd);
    if (rc)
        return lmdb_rows_error(rows, rc);
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_dev != guard->shared->inodes.device ||
        status.st_ino != guard->shared->inodes.inode)
        return -PST_E_CHANGED;
    return lmdb_rows_error(rows, begin(reader));
}

int lmdb_rows_open(const struct lmdb_guard *guard, uint32_t readers, struct lmdb_rows **opened)
{
    assert(readers >= 1 && readers <= PST_LDMS_MAX);
    struct lmdb_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    rows->guard = guard;
    rows->readers_count = readers;
    rows->readers = calloc(readers + 1, sizeof(*rows->readers));
    int error = rows->readers ? 0 : -ENOMEM;
    for (uint32_t i = 0; !error && i <= readers; i++)
        error = open_reader(rows, &rows->readers[i]);
    if (!error)
        error = lmdb_rows_error(rows, mdb_env_get_fd(scout_of(rows)->env, &rows->fd));
    if (error) {
        lmdb_rows_close(rows);
        return error;
    }
    for (uint32_t i = 0; i < readers; i++)
        atomic_fetch_or(&rows->free_readers[i / 64], UINT64_C(1) << i % 64);
    *opened = rows;
    return 0;
}

static void close_reader(struct lmdb_reader *reader)
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

void lmdb_rows_close(struct lmdb_rows *rows)
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
static int renew_all(struct lmdb_rows *rows)
{
    uint64_t transaction = 0;
    for (uint32_t i = 0; i <= rows->readers_count; i++) {
        int rc = lmdb_txn_renew(rows->readers[i].env, rows->readers[i].txn);
        if (rc)
            return lmdb_rows_error(rows, rc);
        uint64_t found = mdb_txn_id(rows->readers[i].txn);
        if (i > 0 && found != transaction)
            return -EAGAIN;
        transaction = found;
    }
    int error = lmdb_meta_newest(rows->fd, &rows->meta);
    if (error == -PST_E_CORRUPT || (!error && rows->meta.transaction != transaction))
        return -EAGAIN; /* torn, or newer */
    return error;
}

static void reset_all(struct lmdb_rows *rows)
{
    for (uint32_t i = 0; i <= rows->readers_count; i++)
        mdb_txn_reset(rows->readers[i].txn);
}

int lmdb_rows_pin(struct lmdb_rows *rows)
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
