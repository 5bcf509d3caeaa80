/*
 * The listing of an environment's tables, which a reader finds and nobody believes unchecked.
 * Called by lmdb_list.c on the source's thread.
 */
#include "engine/source/lmdb/lmdb_list_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/source/lmdb/lmdb_order.h"

#define WAIT_NS 400000u
#define SHARES_MAX (1u << 20) /* of all tables: bounds what a reader can have us allocate */

struct listing {
    struct lmdb_rows *rows;
    struct pst_fragment_sink *sink;
    struct pst_source_listing *totals;
    uint64_t counter;
    uint32_t tables; /* that the reader has sent */
    uint32_t shares;
    char last_name[PST_TABLE_NAME_BYTES_MAX];
};

/* ---- what the reader sends ---- */

static int damaged(const struct listing *listing, const char *text)
{
    return lmdb_rows_error(listing->rows, NULL, -PST_E_DAMAGED, text);
}

/* A slot is free, or the listing is cancelled: it may wait for LDMs, and so does the reader. */
static int look(struct listing *listing, struct lmdb_reader *reader)
{
    struct pst_fragment_descriptor *slot;
    int error = listing->sink->acquire(listing->sink, &slot);
    return error ? error : lmdb_rows_look(listing->rows, reader, NULL);
}

/* Waits for so many bytes. *ended: there were none. */
static int receive(struct listing *listing, void *out, size_t bytes, bool *ended)
{
    struct lmdb_reader *reader = &listing->rows->readers[0];
    char text[LMDB_TEXT_BYTES];
    size_t done = 0;
    *ended = false;
    while (done < bytes) {
        size_t took;
        int error =
            lmdb_reader_take(reader, (uint8_t *)out + done, bytes - done, &took, ended, text);
        if (error)
            return lmdb_rows_error(listing->rows, NULL, error, text);
        if (*ended)
            return done == 0 ? 0 : damaged(listing, "its reader sent half a table");
        if (took > 0) {
            done += took;
            reader->waits_since_ns = 0;
            continue;
        }
        lmdb_reader_wait(reader, WAIT_NS);
        error = look(listing, reader);
        if (error)
            return error;
    }
    return 0;
}

static int receive_all(struct listing *listing, void *out, size_t bytes)
{
    bool ended;
    int error = receive(listing, out, bytes, &ended);
    return !error && ended ? damaged(listing, "its reader sent half a table") : error;
}

static int receive_name(struct listing *listing, struct table *table)
{
    bool is_first = listing->tables++ == 0;
    if (table->name_bytes == 0)
        return is_first ? 0 : damaged(listing, "its reader sent the main database twice");
    table->name = calloc(1, (size_t)table->name_bytes + 1);
    if (!table->name)
        return -ENOMEM;
    int error = receive_all(listing, table->name, table->name_bytes);
    if (error)
        return error;
    if (strlen(table->name) != table->name_bytes || strcmp(listing->last_name, table->name) >= 0)
        return damaged(listing, "its reader sent names of tables in no order");
    strcpy(listing->last_name, table->name);
    return 0;
}

static int receive_shares(struct listing *listing, struct table *table)
{
    table->shares = calloc(table->shares_count, sizeof(*table->shares));
    if (!table->shares)
        return -ENOMEM;
    for (uint32_t i = 0; i < table->shares_count; i++) {
        struct lmdb_key key = {0};
        table->shares[i] = (struct share){.table = table, .number = i};
        if (i == 0)
            continue;
        int error = receive_all(listing, &key.bytes, sizeof(key.bytes));
        if (!error && (key.bytes == 0 || key.bytes > LMDB_KEY_BYTES_MAX))
            error = damaged(listing, "its reader sent a key of no length that there is");
        if (error)
            return error;
        key.data = malloc(key.bytes);
        if (!key.data)
            return -ENOMEM;
        table->shares[i].from = key;
        error = receive_all(listing, key.data, key.bytes);
        if (error)
            return error;
    }
    return 0;
}

static int check_listed(struct listing *listing, struct lmdb_listed *listed)
{
    const struct lmdb_meta *meta = &listing->rows->lmdb->meta;
    uint64_t bytes = (meta->last_page + 1) * meta->page_bytes;
    if (listed->tree_bytes > bytes)
        listed->tree_bytes = bytes;
    if (listed->name_bytes >= PST_TABLE_NAME_BYTES_MAX || listed->rows > INT64_MAX ||
        listed->shares == 0 || listed->shares > lmdb_shares_of(listed->tree_bytes) ||
        listing->tables > LMDB_TABLES_MAX || listed->shares > SHARES_MAX - listing->shares)
        return damaged(listing, "what it says of a table cannot be");
    listing->shares += listed->shares;
    return 0;
}

/* The next table; *ended: there is none. The rows own it. */
static int receive_table(struct listing *listing, struct table **received, bool *ended)
{
    struct lmdb_rows *rows = listing->rows;
    struct lmdb_listed listed;
    int error = receive(listing, &listed, sizeof(listed), ended);
    if (error || *ended)
        return error;
    error = check_listed(listing, &listed);
    if (error)
        return error;
    struct table **tables = realloc(rows->tables, (rows->tables_count + 1) * sizeof(*rows->tables));
    struct table *table = calloc(1, sizeof(*table));
    if (tables)
        rows->tables = tables;
    if (!tables || !table) {
        free(table);
        return -ENOMEM;
    }
    rows->tables[rows->tables_count++] = table;
    *table = (struct table){.name_bytes = listed.name_bytes,
                            .flags = listed.flags,
                            .shares_count = listed.shares,
                            .rows = listed.rows,
                            .tree_bytes = listed.tree_bytes};
    *received = table;
    error = receive_name(listing, table);
    return error ? error : receive_shares(listing, table);
}

/* ---- what the sink gets ---- */

/* Whether the backup is to have it. */
static bool is_wanted(const struct pst_table_filter *filter, const struct table *table)
{
    bool wanted = !filter || filter->wanted_count == 0;
    for (uint32_t i = 0; filter && i < filter->wanted_count; i++) {
        if (!pst_table_name_is(filter->wanted[i], table->name, table->name_bytes))
            continue;
        atomic_store(&filter->found[i], true);
        wanted = true;
    }
    for (uint32_t i = 0; filter && i < filter->unwanted_count; i++)
        wanted = wanted && !pst_table_name_is(filter->unwanted[i], table->name, table->name_bytes);
    return wanted;
}

static int fill_slot(const struct listing *listing, const struct share *share, uint64_t id,
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

static int list_share(struct listing *listing, const struct share *share)
{
    struct pst_fragment_descriptor *slot;
    struct lmdb_source *lmdb = listing->rows->lmdb;
    int error = lmdb_look_at_guard(lmdb);
    if (!error)
        error = listing->sink->acquire(listing->sink, &slot);
    if (!error)
        error = fill_slot(listing, share, pst_source_object_id(&lmdb->source, listing->counter++),
                          slot);
    return error ? error : listing->sink->emit(listing->sink, slot);
}

static int list_table(struct listing *listing, const struct table *table)
{
    if (!lmdb_flags_are_legal(table->flags))
        return lmdb_rows_error(listing->rows, table, -PST_E_DAMAGED,
                               "it has flags that no program can read it with");
    for (uint32_t i = 0; i < table->shares_count; i++) {
        int error = list_share(listing, &table->shares[i]);
        if (error)
            return error;
    }
    return 0;
}

/* A table that is not wanted is forgotten. */
static void drop_last(struct lmdb_rows *rows)
{
    lmdb_table_free(rows->tables[--rows->tables_count]);
}

int lmdb_list_rows(struct lmdb_rows *rows, struct pst_fragment_sink *sink,
                   struct pst_source_listing *totals, uint64_t counter)
{
    struct listing listing = {.rows = rows, .sink = sink, .totals = totals, .counter = counter};
    rows->readers[0].slot->task.kind = LMDB_TABLES;
    lmdb_reader_start(&rows->readers[0]);
    for (;;) {
        struct table *table = NULL;
        bool ended = false;
        int error = receive_table(&listing, &table, &ended);
        if (error || ended)
            return error;
        if (!is_wanted(rows->lmdb->source.policy.tables, table))
            drop_last(rows);
        else
            error = list_table(&listing, table);
        if (error)
            return error;
    }
}
