/*
 * Writes the tables of a restored database into a new environment. One thread of a restore's crew
 * opens the sink, feeds it and closes it.
 */
#include "engine/source/lmdb/lmdb_sink.h"

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>

#include "engine/base/log.h"
#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_order.h"

#define MAP_BYTES_MIN (1u << 20)
#define COMMIT_BYTES (64u << 20) /* of a transaction: its dirty pages are memory */
#define SPARE_PAGES 64u          /* what a transaction writes besides its rows */
#define ROW_COST_BYTES 16u       /* of a row in a page, beside key and value */
#define KEY_BYTES_MAX 4096u      /* no LMDB has longer ones, nor values of MDB_DUPSORT */

/* How a row lies behind the last one. */
enum place {
    PLACE_NEXT,    /* behind it */
    PLACE_SAME,    /* likewise, with the same key */
    PLACE_FOREIGN, /* not by LMDB's order */
    PLACE_TWICE,   /* it is the last one */
    PLACE_UNFIT,   /* of MDB_DUPFIXED, a value of another length: LMDB would cut or stretch it */
};

/* The key or value of the last row. */
struct last {
    uint32_t bytes;
    char data[KEY_BYTES_MAX];
};

struct lmdb_sink {
    struct pst_table_sink sink; /* first */
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi;
    uint64_t map_bytes;
    uint64_t page_bytes;
    uint64_t left_bytes; /* that the transaction may still take */
    uint32_t flags;      /* the table's */
    uint64_t wanted_rows;
    uint64_t rows;
    bool is_foreign; /* some rows are not in LMDB's order */
    bool has_names;  /* named tables beside the unnamed one */
    struct last key;
    struct last value; /* where the table has several for a key */
};

static struct lmdb_sink *sink_of(struct pst_table_sink *sink)
{
    return (struct lmdb_sink *)sink;
}

/* An LMDB return code as an error of ours, with its text. */
static int fail(char *text, int rc)
{
    if (rc == 0)
        return 0;
    const char *what = mdb_strerror(rc);
    if (rc == MDB_KEYEXIST)
        what = "rows in another order than LMDB's own, which can be restored only where there are "
               "no named databases beside them";
    if (rc == MDB_BAD_VALSIZE)
        what = "a key or a value is of a length that LMDB does not take there";
    snprintf(text, PST_TABLE_SINK_TEXT_BYTES, "%s", what);
    return rc > 0 ? -rc : -EIO;
}

/* Accepts every order: the row that comes later is the greater. */
static int compare_append(const MDB_val *new, const MDB_val *old)
{
    return new->mv_size == old->mv_size &&memcmp(new->mv_data, old->mv_data, new->mv_size) == 0 ? 0
                                                                                                : 1;
}

/* ---- transactions ---- */

static int commit(struct lmdb_sink *sink)
{
    if (!sink->txn)
        return 0;
    if (sink->cursor)
        mdb_cursor_close(sink->cursor);
    sink->cursor = NULL;
    MDB_txn *txn = sink->txn;
    sink->txn = NULL;
    return mdb_txn_commit(txn);
}

/* Bytes of the map that no page has yet. */
static uint64_t free_bytes(const struct lmdb_sink *sink)
{
    MDB_envinfo info;
    mdb_env_info(sink->env, &info);
    uint64_t used = (info.me_last_pgno + 1) * sink->page_bytes;
    return sink->map_bytes > used ? sink->map_bytes - used : 0;
}

/* A fourth of what is free, at most, for pages may be half empty, and a map that is full in the
 * middle of a transaction would cost all of it. */
static int begin(struct lmdb_sink *sink, uint64_t need_bytes)
{
    uint64_t wanted = 4 * need_bytes + SPARE_PAGES * sink->page_bytes;
    uint64_t free = free_bytes(sink);
    if (free < wanted) {
        uint64_t grown = sink->map_bytes + sink->map_bytes / 4 + wanted;
        grown -= grown % sink->page_bytes;
        int rc = mdb_env_set_mapsize(sink->env, grown);
        if (rc)
            return rc;
        pst_log(PST_LOG_INFO, "the map of the restored environment grows from %llu to %llu bytes",
                (unsigned long long)sink->map_bytes, (unsigned long long)grown);
        free += grown - sink->map_bytes;
        sink->map_bytes = grown;
    }
    sink->left_bytes = free / 4 < COMMIT_BYTES ? free / 4 : COMMIT_BYTES;
    if (sink->left_bytes < need_bytes)
        sink->left_bytes = need_bytes;
    return mdb_txn_begin(sink->env, NULL, 0, &sink->txn);
}

/* ---- tables ---- */

/* Orders of the sink's own, where nothing but its rows is put there. */
static int set_order(struct lmdb_sink *sink, bool is_main)
{
    if (is_main && sink->has_names)
        return 0;
    int rc = mdb_set_compare(sink->txn, sink->dbi, compare_append);
    if (rc == 0 && (sink->flags & MDB_DUPSORT))
        rc = mdb_set_dupsort(sink->txn, sink->dbi, compare_append);
    return rc;
}

static int open_table(struct lmdb_sink *sink, const struct pst_table *table)
{
    char name[PST_TABLE_NAME_BYTES_MAX + 1];
    bool is_main = table->name_bytes == 0;
    int rc = begin(sink, sink->page_bytes);
    if (rc)
        return rc;
    if (!is_main)
        memcpy(name, table->name, table->name_bytes);
    name[table->name_bytes] = '\0';
    rc = mdb_dbi_open(sink->txn, is_main ? NULL : name, table->flags | MDB_CREATE, &sink->dbi);
    if (rc == 0)
        rc = set_order(sink, is_main);
    return rc ? rc : mdb_cursor_open(sink->txn, sink->dbi, &sink->cursor);
}

static int sink_begin(struct pst_table_sink *base, const struct pst_table *table)
{
    struct lmdb_sink *sink = sink_of(base);
    if (table->name_bytes > PST_TABLE_NAME_BYTES_MAX ||
        (table->name_bytes > 0 && memchr(table->name, '\0', table->name_bytes))) {
        snprintf(base->error_text, sizeof(base->error_text), "not the name of a database of LMDB");
        return -EINVAL;
    }
    if (!lmdb_flags_are_legal(table->flags)) {
        snprintf(base->error_text, sizeof(base->error_text),
                 "flags 0x%x, which no database of LMDB 0.9 can be read with", table->flags);
        return -EINVAL;
    }
    sink->flags = table->flags;
    sink->wanted_rows = table->rows;
    sink->rows = 0;
    sink->is_foreign = false;
    base->notice[0] = '\0';
    return fail(base->error_text, open_table(sink, table));
}

static bool is_last(const struct last *last, struct lmdb_bytes bytes)
{
    return last->bytes == bytes.bytes && memcmp(last->data, bytes.data, bytes.bytes) == 0;
}

static struct lmdb_bytes bytes_of(const struct last *last)
{
    return (struct lmdb_bytes){last->data, last->bytes};
}

/* One that is too long is LMDB's to refuse. */
static void keep(struct last *last, struct lmdb_bytes bytes)
{
    last->bytes = bytes.bytes <= sizeof(last->data) ? bytes.bytes : 0;
    memcpy(last->data, bytes.data, last->bytes);
}

static enum place place_of(const struct lmdb_sink *sink, struct lmdb_bytes key,
                           struct lmdb_bytes value)
{
    bool is_sorted = sink->flags & MDB_DUPSORT;
    if (sink->rows == 0)
        return PLACE_NEXT;
    if (!is_last(&sink->key, key))
        return lmdb_keys_ascend(sink->flags, bytes_of(&sink->key), key) ? PLACE_NEXT
                                                                        : PLACE_FOREIGN;
    if (!is_sorted || is_last(&sink->value, value))
        return PLACE_TWICE;
    if ((sink->flags & MDB_DUPFIXED) && sink->value.bytes != value.bytes)
        return PLACE_UNFIT;
    return lmdb_values_ascend(sink->flags, bytes_of(&sink->value), value) ? PLACE_SAME
                                                                          : PLACE_FOREIGN;
}

/* Rows are appended as they come; whether in LMDB's own order is to be known. flags: of
 * mdb_cursor_put(). */
static int place(struct lmdb_sink *sink, struct lmdb_bytes key, struct lmdb_bytes value,
                 unsigned *flags)
{
    enum place place = place_of(sink, key, value);
    bool is_same_key = sink->rows > 0 && is_last(&sink->key, key);
    if (place == PLACE_TWICE || place == PLACE_UNFIT) {
        snprintf(sink->sink.error_text, sizeof(sink->sink.error_text), "row %llu %s",
                 (unsigned long long)sink->rows + (place == PLACE_UNFIT),
                 place == PLACE_TWICE ? "is there twice"
                                      : "is of another length than the others of its key");
        return -PST_E_CORRUPT;
    }
    *flags = is_same_key ? MDB_APPENDDUP : MDB_APPEND;
    sink->is_foreign |= place == PLACE_FOREIGN;
    keep(&sink->key, key);
    if (sink->flags & MDB_DUPSORT)
        keep(&sink->value, value);
    sink->rows++;
    return 0;
}

static uint64_t cost_of(const struct lmdb_sink *sink, uint32_t key_bytes, uint32_t value_bytes)
{
    uint64_t bytes = (uint64_t)key_bytes + value_bytes + ROW_COST_BYTES;
    return bytes < sink->page_bytes / 2 ? bytes : bytes + sink->page_bytes;
}

static int sink_row(struct pst_table_sink *base, const void *key, uint32_t key_bytes,
                    const void *value, uint32_t value_bytes)
{
    struct lmdb_sink *sink = sink_of(base);
    uint64_t cost = cost_of(sink, key_bytes, value_bytes);
    unsigned flags = 0;
    int rc = place(sink, (struct lmdb_bytes){key, key_bytes},
                   (struct lmdb_bytes){value, value_bytes}, &flags);
    if (rc)
        return rc;
    if (cost > sink->left_bytes) {
        rc = commit(sink);
        if (rc == 0)
            rc = begin(sink, cost);
        if (rc == 0)
            rc = mdb_cursor_open(sink->txn, sink->dbi, &sink->cursor);
        if (rc)
            return fail(base->error_text, rc);
    }
    sink->left_bytes -= cost;
    MDB_val put_key = {key_bytes, (void *)(uintptr_t)key};
    MDB_val put_value = {value_bytes, (void *)(uintptr_t)value};
    rc = mdb_cursor_put(sink->cursor, &put_key, &put_value, flags);
    return fail(base->error_text, rc);
}

static int sink_end(struct pst_table_sink *base)
{
    struct lmdb_sink *sink = sink_of(base);
    int rc = commit(sink);
    mdb_dbi_close(sink->env, sink->dbi);
    if (sink->rows != sink->wanted_rows)
        snprintf(base->notice, sizeof(base->notice),
                 "it should have %llu rows, and the backup has %llu of them",
                 (unsigned long long)sink->wanted_rows, (unsigned long long)sink->rows);
    else if (sink->is_foreign)
        snprintf(base->notice, sizeof(base->notice),
                 "its rows are not in LMDB's order: only a program that orders them by the same "
                 "function of its own finds them");
    return fail(base->error_text, rc);
}

/* ---- the environment ---- */

static void close_env(struct lmdb_sink *sink)
{
    if (sink->txn)
        mdb_txn_abort(sink->txn);
    sink->txn = NULL;
    if (sink->env)
        mdb_env_close(sink->env);
    sink->env = NULL;
}

static int sink_finish(struct pst_table_sink *base)
{
    close_env(sink_of(base));
    return 0;
}

static void sink_close(struct pst_table_sink *base)
{
    close_env(sink_of(base));
    free(base);
}

/* As it was, unless the options set another size; maps are multiples of pages. */
static uint64_t choose_map(const struct pst_lmdb_sink_options *options,
                           const struct pst_database *database)
{
    uint64_t bytes = options->map_bytes;
    if (bytes == 0 && database->details_bytes >= sizeof(bytes)) {
        memcpy(&bytes, database->details, sizeof(bytes));
        bytes = le64toh(bytes);
    }
    if (bytes > INT64_MAX)
        bytes = 0;
    return bytes < MAP_BYTES_MIN ? MAP_BYTES_MIN : bytes;
}

/* The directory is the one that is open, wherever its name leads by now. */
static int open_env(struct lmdb_sink *sink, const struct pst_database *database, int directory_fd)
{
    char path[PATH_MAX];
    MDB_stat stat;
    int length = snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", directory_fd, database->name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return ENAMETOOLONG;
    int rc = mdb_env_create(&sink->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(sink->env, 2);
    if (rc == 0)
        rc = mdb_env_set_mapsize(sink->env, sink->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(sink->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
    if (rc == 0)
        rc = mdb_env_stat(sink->env, &stat);
    if (rc == 0)
        sink->page_bytes = stat.ms_psize;
    return rc;
}

int pst_lmdb_sink_open(void *context, const struct pst_database *database, int directory_fd,
                       struct pst_table_sink **opened, char *error_text)
{
    error_text[0] = '\0';
    *opened = NULL;
    if (strcmp(database->kind, "lmdb") != 0) {
        snprintf(error_text, PST_TABLE_SINK_TEXT_BYTES,
                 "rows of a source of kind \"%.32s\", which this program cannot restore: use "
                 "penstock export",
                 database->kind);
        return -ENOTSUP;
    }
    struct lmdb_sink *sink = calloc(1, sizeof(*sink));
    if (!sink)
        return -ENOMEM;
    sink->sink = (struct pst_table_sink){
        .struct_bytes = sizeof(struct pst_table_sink),
        .abi_version = PST_TABLE_SINK_ABI_VERSION,
        .begin = sink_begin,
        .row = sink_row,
        .end = sink_end,
        .finish = sink_finish,
        .close = sink_close,
    };
    sink->map_bytes = choose_map(context, database);
    sink->has_names = database->tables > 1;
    int rc = open_env(sink, database, directory_fd);
    if (rc) {
        sink_close(&sink->sink);
        return fail(error_text, rc);
    }
    *opened = &sink->sink;
    return 0;
}
