/*
 * Which tables there are, and the listing of their shares. Called by lmdb.c on the source's thread.
 */
#include "engine/source/lmdb/lmdb_tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/rows.h"
#include "engine/source/lmdb/lmdb_split.h"

#define SHARE_BYTES (8u << 20) /* as of a fragment of pages */
#define SHARES_MAX 1024u       /* of one table; a larger one has larger shares */
#define NODE_OF_TREE 40u       /* where the root page's number lies in a named database's record */

/* ---- tables ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct lmdb_rows *rows, const MDB_val *key)
{
    if ((rows->names_count & (rows->names_count - 1)) == 0) {
        size_t room = rows->names_count ? 2 * (size_t)rows->names_count : 1;
        char **names = realloc(rows->names, room * sizeof(*names));
        if (!names)
            return -ENOMEM;
        rows->names = names;
    }
    char *name = strndup(key->mv_data, key->mv_size);
    if (!name)
        return -ENOMEM;
    rows->names[rows->names_count++] = name;
    return 0;
}

/* LMDB distinguishes a named database's record from a plain one only when it is opened by its name.
 */
static int look_at_record(struct lmdb_rows *rows, const MDB_val *key, const MDB_val *value)
{
    char name[PST_TABLE_NAME_BYTES_MAX];
    MDB_dbi dbi;
    if (value->mv_size != SUB_DATABASE_BYTES || key->mv_size >= sizeof(name) ||
        memchr(key->mv_data, '\0', key->mv_size))
        return 0;
    memcpy(name, key->mv_data, key->mv_size);
    name[key->mv_size] = '\0';
    int rc = mdb_dbi_open(scout_of(rows)->txn, name, 0, &dbi);
    if (rc == MDB_INCOMPATIBLE)
        return 0;
    return rc ? lmdb_rows_error(rows, rc) : add_name(rows, key);
}

/* All named databases. There can be none in a main database with flags that would order them
 * otherwise than as text. */
static int find_names(struct lmdb_rows *rows, unsigned main_flags)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    if (main_flags & (MDB_DUPSORT | MDB_INTEGERKEY))
        return 0;
    int rc = mdb_cursor_open(scout_of(rows)->txn, rows->main_dbi, &cursor);
    if (rc)
        return lmdb_rows_error(rows, rc);
    int error = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (!error && rc == 0) {
        error = look_at_record(rows, &key, &value);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (!error && rc != MDB_NOTFOUND)
        error = lmdb_rows_error(rows, rc);
    if (!error && rows->names_count > 0)
        qsort(rows->names, rows->names_count, sizeof(*rows->names), by_name);
    return error;
}

/* Opened by every LDM's reader in the same order, a table has the same handle in all of them. */
static int open_in_readers(struct lmdb_rows *rows, struct table *table)
{
    for (uint32_t i = 0; i < rows->readers_count; i++) {
        MDB_dbi dbi;
        int rc = mdb_dbi_open(rows->readers[i].txn, table->name, 0, &dbi);
        if (rc)
            return lmdb_rows_error(rows, rc);
        if (i > 0 && dbi != table->dbi)
            return -PST_E_WRONG_STATE;
        table->dbi = dbi;
    }
    return 0;
}

/* Fills in what the scout's handle knows of a table. */
static int look_at_table(struct lmdb_rows *rows, struct table *table)
{
    MDB_txn *txn = scout_of(rows)->txn;
    MDB_stat stat;
    MDB_val key, record;
    int rc = mdb_dbi_open(txn, table->name, 0, &table->scout_dbi);
    if (rc == 0)
        rc = mdb_stat(txn, table->scout_dbi, &stat);
    if (rc == 0)
        rc = mdb_dbi_flags(txn, table->scout_dbi, &table->flags);
    if (rc == 0 && table->name) {
        key = (MDB_val){.mv_size = strlen(table->name), .mv_data = table->name};
        rc = mdb_get(txn, rows->main_dbi, &key, &record);
    }
    if (rc)
        return lmdb_rows_error(rows, rc);
    table->rows = stat.ms_entries - (table->name ? 0 : rows->names_count);
    table->depth = stat.ms_depth;
    table->tree_bytes =
        (uint64_t)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
        rows->meta.page_bytes;
    table->root = rows->meta.main_root;
    if (table->name)
        memcpy(&table->root, (const uint8_t *)record.mv_data + NODE_OF_TREE, sizeof(table->root));
    return 0;
}

/* Whether the backup is to have it. */
static bool is_wanted(const struct pst_table_filter *filter, const char *name)
{
    uint32_t bytes = name ? (uint32_t)strlen(name) : 0;
    bool wanted = !filter || filter->wanted_count == 0;
    for (uint32_t i = 0; filter && i < filter->wanted_count; i++) {
        if (!pst_table_name_is(filter->wanted[i], name, bytes))
            continue;
        atomic_store(&filter->found[i], true);
        wanted = true;
    }
    for (uint32_t i = 0; filter && i < filter->unwanted_count; i++)
        wanted = wanted && !pst_table_name_is(filter->unwanted[i], name, bytes);
    return wanted;
}

static int add_table(struct lmdb_rows *rows, const struct pst_table_filter *filter,
                     const char *name)
{
    if (!is_wanted(filter, name))
        return 0;
    struct table *table = &rows->tables[rows->tables_count++];
    if (name && !(table->name = strdup(name)))
        return -ENOMEM;
    table->name_bytes = name ? (uint32_t)strlen(name) : 0;
    int error = look_at_table(rows, table);
    return error ? error : open_in_readers(rows, table);
}

/* The main database is a table where it has records of its own or an order of its own, and where
 * there is no other. */
static int find_tables(struct lmdb_rows *rows, const struct pst_table_filter *filter)
{
    MDB_txn *txn = scout_of(rows)->txn;
    MDB_stat stat;
    unsigned flags = 0;
    int rc = mdb_dbi_open(txn, NULL, 0, &rows->main_dbi);
    if (rc == 0)
        rc = mdb_stat(txn, rows->main_dbi, &stat);
    if (rc == 0)
        rc = mdb_dbi_flags(txn, rows->main_dbi, &flags);
    int error = rc ? lmdb_rows_error(rows, rc) : find_names(rows, flags);
    if (error)
        return error;
    rows->tables = calloc((size_t)rows->names_count + 1, sizeof(*rows->tables));
    if (!rows->tables)
        return -ENOMEM;
    if (stat.ms_entries > rows->names_count || flags || rows->names_count == 0)
        error = add_table(rows, filter, NULL);
    for (uint32_t i = 0; !error && i < rows->names_count; i++)
        error = add_table(rows, filter, rows->names[i]);
    return error;
}

/* ---- the listing ---- */

static int fill_slot(const struct lmdb_listing *listing, const struct share *share, uint64_t id,
                     struct pst_fragment_descriptor *slot)
{
    uint8_t attribute[PST_ROWS_ATTRIBUTE_BYTES_MAX];
    uint8_t entry[PST_OBJECT_FIXED_BYTES + PST_PATH_BYTES_MAX + PST_ROWS_ATTRIBUTE_BYTES_MAX + 16];
    char path[PST_PATH_BYTES_MAX];
    const struct table *table = share->table;
    const struct pst_share encoded = {
        .name = table->name,
        .name_bytes = table->name_bytes,
        .flags = table->flags,
        .share = share->number,
        .shares = table->shares_count,
        .rows = table->rows,
    };
    const struct pst_object object = {
        .id = id,
        .type = PST_OBJECT_ROWS,
        .path = pst_share_path(&encoded, path),
        .attributes = attribute,
        .attributes_bytes = pst_share_encode(&encoded, attribute),
    };
    const struct pst_fragment_file file = {.object = id};
    size_t entry_bytes = 0;
    pst_fragment_init(slot, PST_FRAGMENT_ROWS);
    int error = pst_object_encode(&object, entry, sizeof(entry), &entry_bytes);
    if (!error)
        error = pst_fragment_add_entry(slot, entry, entry_bytes, true);
    if (!error)
        error = pst_fragment_add_file(slot, &file);
    if (error)
        return error;
    pst_fragment_add_rows(slot, table->tree_bytes / table->shares_count, share);
    listing->totals->bytes += slot->bytes;
    listing->totals->objects++;
    listing->totals->fragments++;
    return 0;
}

static int list_share(const struct lmdb_listing *listing, const struct share *share, uint64_t id)
{
    struct pst_fragment_descriptor *slot;
    int error = listing->is_pinned(listing->source);
    if (!error)
        error = listing->sink->acquire(listing->sink, &slot);
    if (!error)
        error = fill_slot(listing, share, id, slot);
    return error ? error : listing->sink->emit(listing->sink, slot);
}

static uint32_t shares_of(const struct table *table)
{
    uint64_t shares = (table->tree_bytes + SHARE_BYTES - 1) / SHARE_BYTES;
    return shares < 1 ? 1 : shares > SHARES_MAX ? SHARES_MAX : (uint32_t)shares;
}

int lmdb_list_tables(struct lmdb_rows *rows, const struct lmdb_listing *listing, uint64_t counter)
{
    int error = find_tables(rows, listing->source->policy.tables);
    for (uint32_t i = 0; !error && i < rows->tables_count; i++) {
        struct table *table = &rows->tables[i];
        error = lmdb_split(rows, table, shares_of(table));
        for (uint32_t j = 0; !error && j < table->shares_count; j++)
            error = list_share(listing, &table->shares[j],
                               pst_source_object_id(listing->source, counter++));
    }
    return error;
}
