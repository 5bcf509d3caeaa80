/*
 * Arranges the shares of a catalogue into tables, and the tables into databases. Called on the
 * thread of the verify or restore.
 */
#include "engine/restore/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t source_of(const struct object_record *record)
{
    return pst_object_source(object_of(record).id);
}

/* Shares come after their database, by their ids, which is their order. */
static int by_id(const void *a, const void *b)
{
    const struct object_record *left = *(const struct object_record *const *)a;
    const struct object_record *right = *(const struct object_record *const *)b;
    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    uint64_t left_id = object_of(left).id, right_id = object_of(right).id;
    return left_id < right_id ? -1 : left_id > right_id;
}

static bool is_same_table(const struct pst_share *a, const struct pst_share *b)
{
    return a->name_bytes == b->name_bytes && a->flags == b->flags && a->shares == b->shares &&
           a->rows == b->rows && memcmp(a->name, b->name, a->name_bytes) == 0;
}

static bool is_same_source(const struct object_record *a, const struct object_record *b)
{
    return a->node == b->node && source_of(a) == source_of(b);
}

/* The table that begins with the share at `first`: all its shares follow each other. */
static bool take_table(struct tables *tables, size_t first)
{
    const struct pst_object object = object_of(tables->shares[first]);
    struct table_shares *table = &tables->tables[tables->tables_count++];
    *table =
        (struct table_shares){.shares = &tables->shares[first], .share = pst_share_of(&object)};
    if (table->share.shares > tables->shares_count - first)
        return false;
    for (uint32_t i = 0; i < table->share.shares; i++) {
        const struct pst_object next = object_of(tables->shares[first + i]);
        const struct pst_share share = pst_share_of(&next);
        if (share.share != i || !is_same_table(&share, &table->share) ||
            !is_same_source(tables->shares[first], tables->shares[first + i]))
            return false;
        table->bytes += next.size;
    }
    return true;
}

static int gather(const struct objects *objects, struct tables *tables)
{
    size_t room = objects->count + 1;
    tables->databases = calloc(room, sizeof(*tables->databases));
    tables->tables = calloc(room, sizeof(*tables->tables));
    tables->shares = calloc(room, sizeof(*tables->shares));
    if (!tables->databases || !tables->tables || !tables->shares)
        return -ENOMEM;
    for (size_t i = 0; i < objects->count; i++) {
        const struct pst_object object = object_of(objects->listed[i]);
        if (object.type == PST_OBJECT_ROWS)
            tables->shares[tables->shares_count++] = objects->listed[i];
        else if (object.type == PST_OBJECT_DATABASE)
            tables->databases[tables->databases_count++].record = objects->listed[i];
    }
    if (tables->shares_count > 0)
        qsort(tables->shares, tables->shares_count, sizeof(*tables->shares), by_id);
    return 0;
}

/* The tables of a database, from tables->tables[*next] on. */
static void give_tables(struct tables *tables, struct database_tables *database, size_t *next)
{
    database->tables = &tables->tables[*next];
    while (*next < tables->tables_count &&
           is_same_source(tables->tables[*next].shares[0], database->record)) {
        database->tables_count++;
        ++*next;
    }
}

static int arrange(struct tables *tables, const struct object_record **clash)
{
    for (size_t i = 0; i < tables->shares_count;) {
        *clash = tables->shares[i];
        if (!take_table(tables, i))
            return -PST_E_CORRUPT;
        i += tables->tables[tables->tables_count - 1].share.shares;
    }
    size_t next = 0;
    for (size_t i = 0; i < tables->databases_count; i++) {
        *clash = tables->databases[i].record;
        if (i > 0 && is_same_source(*clash, tables->databases[i - 1].record))
            return -PST_E_CORRUPT;
        give_tables(tables, &tables->databases[i], &next);
    }
    if (next == tables->tables_count)
        return 0;
    *clash = tables->tables[next].shares[0];
    return -PST_E_CORRUPT;
}

int tables_make(const struct objects *objects, struct tables *tables,
                const struct object_record **clash)
{
    *tables = (struct tables){0};
    *clash = NULL;
    int error = gather(objects, tables);
    if (!error)
        error = arrange(tables, clash);
    if (error)
        tables_release(tables);
    return error;
}

void tables_release(struct tables *tables)
{
    free(tables->databases);
    free(tables->tables);
    free(tables->shares);
    *tables = (struct tables){0};
}
