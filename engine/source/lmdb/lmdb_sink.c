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

#define MAP_BYTES_MIN (1u << 20)
#define COMMIT_BYTES (64u << 20) /* of a transaction: its dirty pages are memory */
#define SPARE_PAGES 64u          /* what a transaction writes besides its rows */
#define ROW_COST_BYTES 16u       /* of a row in a page, beside key and value */
#define KNOWN_FLAGS                                                                                \
    (MDB_REVERSEKEY | MDB_DUPSORT | MDB_INTEGERKEY | MDB_DUPFIXED | MDB_INTEGERDUP | MDB_REVERSEDUP)

struct lmdb_sink {
    struct pst_table_sink sink; /* first */
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi;
    uint64_t map_bytes;
    uint64_t page_bytes;
    uint64_t left_bytes; /* that the transaction may still take */
    bool is_sorted;      /* the table has several values for a key */
    bool has_names;      /* named tables beside the unnamed one */
    bool has_key;        /* last_key is the last row's */
    uint32_t last_key_bytes;
    char last_key[PST_TABLE_NAME_BYTES_MAX];
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
        what = "a key or a value is longer than this LMDB allows";
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
    if (rc == 0 && sink->is_sorted)
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
    if (table->flags & ~(uint32_t)KNOWN_FLAGS) {
        snprintf(base->error_text, sizeof(base->error_text),
                 "flags 0x%x, which no database of LMDB 0.9 has", table->flags);
        return -EINVAL;
    }
    sink->is_sorted = (table->flags & MDB_DUPSORT) != 0;
    sink->has_key = false;
    return fail(base->error_text, open_table(sink, table));
}

/* How a row is put behind the last one. */
static unsigned flags_of(struct lmdb_sink *sink, const void *key, uint32_t key_bytes)
{
    if (!sink->is_sorted)
        return MDB_APPEND;
    if (sink->has_key && sink->last_key_bytes == key_bytes &&
        memcmp(sink->last_key, key, key_bytes) == 0)
        return MDB_APPENDDUP;
    sink->has_key = key_bytes <= sizeof(sink->last_key);
    if (sink->has_key) {
        memcpy(sink->last_key, key, key_bytes);
        sink->last_key_bytes = key_bytes;
    }
    return MDB_APPEND;
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
    int rc = 0;
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
    rc = mdb_cursor_put(sink->cursor, &put_key, &put_value, flags_of(sink, key, key_bytes));
    return fail(base->error_text, rc);
}

static int sink_end(struct pst_table_sink *base)
{
    struct lmdb_sink *sink = sink_of(base);
    int rc = commit(sink);
    mdb_dbi_close(sink->env, sink->dbi);
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
