/*
 * Which tables there are, and where each is cut into shares. Runs in a reader's process; called by
 * lmdb_tasks.c.
 */
#include "engine/source/lmdb/lmdb_tables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/source/lmdb/lmdb_split.h"

#define SUB_DATABASE_BYTES 48u /* the record of a named database in the main one */
#define NODE_OF_TREE 40u       /* where the root page's number lies in a named database's record */

/* ---- names ---- */

int lmdb_tables_is_name(const struct tasks *tasks, const MDB_val *key, const MDB_val *value,
                        char *name, MDB_dbi *dbi)
{
    if (value->mv_size != SUB_DATABASE_BYTES || key->mv_size >= PST_TABLE_NAME_BYTES_MAX ||
        (tasks->main_flags & (MDB_DUPSORT | MDB_INTEGERKEY)) ||
        memchr(key->mv_data, '\0', key->mv_size))
        return 0;
    memcpy(name, key->mv_data, key->mv_size);
    name[key->mv_size] = '\0';
    int rc = mdb_dbi_open(tasks->txn, name, 0, dbi);
    if (rc == MDB_INCOMPATIBLE)
        return 0;
    return rc ? environment_error(tasks->environment, rc) : 1;
}

struct names {
    char **names; /* owned */
    uint32_t count;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct names *names, const char *name)
{
    if ((names->count & (names->count - 1)) == 0) {
        size_t room = names->count ? 2 * (size_t)names->count : 1;
        char **larger = realloc(names->names, room * sizeof(*larger));
        if (!larger)
            return -ENOMEM;
        names->names = larger;
    }
    names->names[names->count] = strdup(name);
    if (!names->names[names->count])
        return -ENOMEM;
    names->count++;
    return 0;
}

static void free_names(struct names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
}

/* All named databases, ascending. */
static int find_names(const struct tasks *tasks, struct names *names)
{
    char name[PST_TABLE_NAME_BYTES_MAX];
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_dbi dbi;
    int rc = mdb_cursor_open(tasks->txn, tasks->main_dbi, &cursor);
    if (rc)
        return environment_error(tasks->environment, rc);
    int error = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (!error && rc == 0) {
        int is_table = lmdb_tables_is_name(tasks, &key, &value, name, &dbi);
        if (is_table)
            error = is_table < 0 ? is_table : add_name(names, name);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (!error && rc != MDB_NOTFOUND)
        error = environment_error(tasks->environment, rc);
    if (!error && names->count > 0)
        qsort(names->names, names->count, sizeof(*names->names), by_name);
    return error;
}

/* ---- tables ---- */

/* *root is the main database's where there is no name. */
static int look_at(const struct tasks *tasks, const char *name, struct lmdb_listed *table,
                   struct lmdb_tree *tree)
{
    MDB_stat stat;
    MDB_val record, key = {name ? strlen(name) : 0, (void *)(uintptr_t)name};
    int rc = mdb_dbi_open(tasks->txn, name, 0, &tree->dbi);
    if (rc == 0)
        rc = mdb_stat(tasks->txn, tree->dbi, &stat);
    if (rc == 0)
        rc = mdb_dbi_flags(tasks->txn, tree->dbi, &table->flags);
    if (rc == 0 && name)
        rc = mdb_get(tasks->txn, tasks->main_dbi, &key, &record);
    if (rc)
        return environment_error(tasks->environment, rc);
    table->name_bytes = (uint32_t)key.mv_size;
    table->rows = stat.ms_entries;
    table->tree_bytes =
        (uint64_t)(stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
        tasks->meta.page_bytes;
    tree->depth = stat.ms_depth;
    tree->root = tasks->meta.main_root;
    if (name)
        memcpy(&tree->root, (const uint8_t *)record.mv_data + NODE_OF_TREE, sizeof(tree->root));
    return 0;
}

static void send_table(struct tasks *tasks, const char *name, const struct lmdb_listed *table,
                       const MDB_val *keys)
{
    lmdb_answering_send(&tasks->answering, table, sizeof(*table));
    lmdb_answering_send(&tasks->answering, name, table->name_bytes);
    for (uint32_t i = 1; i < table->shares; i++) {
        uint32_t bytes = (uint32_t)keys[i].mv_size;
        lmdb_answering_send(&tasks->answering, &bytes, sizeof(bytes));
        lmdb_answering_send(&tasks->answering, keys[i].mv_data, bytes);
    }
}

/* other_rows: of the main database, the records that are named databases. */
static int list_table(struct tasks *tasks, const char *name, uint64_t other_rows)
{
    struct lmdb_slot *slot = tasks->answering.slot;
    struct lmdb_listed table = {0};
    struct lmdb_tree tree;
    snprintf(slot->table, sizeof(slot->table), "%s", name ? name : "");
    int error = look_at(tasks, name, &table, &tree);
    if (error)
        return error;
    table.rows -= other_rows;
    if (!name && table.rows == 0 && table.flags == 0 && other_rows > 0)
        return 0;
    uint32_t wanted = lmdb_shares_of(table.tree_bytes);
    MDB_val *keys = calloc(wanted, sizeof(*keys));
    int count = keys ? lmdb_split(tasks, &tree, wanted, keys) : -ENOMEM;
    if (count > 0) {
        table.shares = (uint32_t)count;
        send_table(tasks, name, &table, keys);
    }
    for (int i = 0; i < count; i++)
        free(keys[i].mv_data);
    free(keys);
    return count < 0 ? count : 0;
}

int lmdb_tables(struct tasks *tasks)
{
    struct names names = {0};
    int error = find_names(tasks, &names);
    if (!error)
        error = list_table(tasks, NULL, names.count);
    for (uint32_t i = 0; !error && i < names.count; i++)
        error = list_table(tasks, names.names[i], 0);
    free_names(&names);
    return error;
}
