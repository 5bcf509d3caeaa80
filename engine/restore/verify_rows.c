/*
 * Checks that the rows of a backup are whole streams and that no share of a table is missing.
 * Called by verify.c on its thread; the shares are read on the crew's threads.
 */
#include "engine/restore/verify_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/restore/shares.h"

struct check {
    const struct rows_check *asked;
    struct pst_findings *findings;
    struct tables tables;
    struct row_map map;
    struct contents *contents;   /* NULL: it has the pieces */
    atomic_uint_least64_t *rows; /* of each table, by the index of its first share */
    atomic_uint_least64_t data_chunks;
    atomic_size_t next_share;
};

static int take_header(void *context, uint32_t worker, const struct pst_part_map *part,
                       const void *buffer)
{
    (void)worker;
    struct check *check = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    atomic_fetch_add(&check->data_chunks, 1);
    struct pst_damage damage;
    int error = check->contents ? contents_add(check->contents, part, buffer, &damage) : 0;
    if (error == -PST_E_CORRUPT) {
        pst_findings_add_damage(check->findings, &part->file, header->file_offset, &damage, error);
        return 0;
    }
    if (error)
        return error;
    return row_map_add(&check->map, check->asked->objects, check->asked->set, part, header);
}

/* Names the part in which the share lies, or the first one of the backup. */
static void add_damage(struct check *check, const struct object_record *record, const char *what,
                       int error)
{
    const struct pst_damage damage = {.what = what};
    size_t first = row_map_find(&check->map, record->node, object_of(record).id);
    const struct row_chunk *chunk =
        first < check->map.pieces_count ? &check->map.chunks[check->map.pieces[first].chunk] : NULL;
    pst_findings_add_damage(check->findings,
                            &check->asked->set->parts[chunk ? chunk->part : 0].file,
                            chunk ? chunk->file_offset : 0, &damage, error);
}

static int check_share(struct check *check, struct row_reading *reading,
                       const struct object_record *const *share)
{
    const struct object_record *bad;
    const struct pst_object object = object_of(*share);
    size_t index = (size_t)(share - (const struct object_record *const *)check->tables.shares);
    uint64_t rows;
    int error = shares_read(reading, share, 1, NULL, NULL, &rows, &bad);
    atomic_fetch_add(&check->rows[index - pst_share_of(&object).share], rows);
    if (bad) {
        add_damage(check, bad, "stream of rows", error);
        return 0;
    }
    bool is_told = reading->found_damage; /* a chunk that was whole a moment ago */
    reading->found_damage = false;
    return is_told ? 0 : error;
}

static int check_shares(void *context, uint32_t worker)
{
    (void)worker;
    struct check *check = context;
    struct row_reading reading = {
        .crew = check->asked->crew,
        .set = check->asked->set,
        .map = &check->map,
        .findings = check->findings,
        .bytes_done = check->asked->bytes_done,
    };
    int error = row_reading_open(&reading);
    if (error)
        return error;
    while (!error) {
        size_t next = atomic_fetch_add(&check->next_share, 1);
        if (next >= check->tables.shares_count)
            break;
        error = check_share(check, &reading, &check->tables.shares[next]);
    }
    row_reading_close(&reading);
    return error;
}

static int map_rows(struct check *check)
{
    struct chunk_reading reading = {
        .crew = check->asked->crew,
        .set = check->asked->set,
        .types = 1u << PST_CHUNK_DATA,
        .extent = check->contents ? CHUNK_DIGESTS : CHUNK_HEADER,
        .take = take_header,
        .findings = check->findings,
        .context = check,
    };
    int error = chunk_reading_run(&reading);
    row_map_sort(&check->map);
    return error;
}

static void tick(void *context)
{
    const struct check *check = context;
    if (check->asked->tick)
        check->asked->tick(check->asked->context);
}

/* Whether every share is as long as it says: nothing larger is then asked memory for. */
static bool shares_are_there(const struct check *check)
{
    for (size_t i = 0; i < check->tables.shares_count; i++) {
        const struct object_record *record = check->tables.shares[i];
        if (contents_bytes(record) != object_size(record))
            return false;
    }
    return true;
}

static void check_counts(struct check *check)
{
    for (size_t i = 0; i < check->tables.tables_count; i++) {
        const struct table_shares *table = &check->tables.tables[i];
        size_t first =
            (size_t)(table->shares - (const struct object_record *const *)check->tables.shares);
        if (atomic_load(&check->rows[first]) != table->share.rows)
            add_damage(check, table->shares[0], "the table has not as many rows as it says",
                       -PST_E_INCONSISTENT);
    }
}

static int read_shares(struct check *check)
{
    check->rows = calloc(check->tables.shares_count, sizeof(*check->rows));
    if (!check->rows)
        return -ENOMEM;
    int error = crew_run(check->asked->crew, CREW_ALL, check_shares, tick, check);
    if (!error && check->findings->damages == 0)
        check_counts(check);
    free(check->rows);
    return error;
}

static int run(struct check *check)
{
    const struct object_record *clash;
    int error = tables_make(check->asked->objects, &check->tables, &clash);
    row_map_init(&check->map);
    if (error && clash) {
        add_damage(check, clash, "catalogue: a share of a table is missing, or does not fit",
                   error);
        error = 0;
    } else if (!error && check->tables.shares_count > 0) {
        error = map_rows(check);
        if (!error && check->findings->damages == 0)
            error = shares_are_there(check) ? read_shares(check) : -PST_E_CORRUPT;
    }
    return error;
}

static void release(struct check *check)
{
    row_map_release(&check->map);
    tables_release(&check->tables);
}

int verify_rows(const struct rows_check *asked, struct pst_findings *findings)
{
    struct check check = {.asked = asked, .findings = findings};
    int error = run(&check);
    release(&check);
    return error;
}

int verify_rows_alone(const struct rows_check *asked, struct rows_checked *checked)
{
    struct pst_findings untold;
    struct check check = {.asked = asked, .findings = &untold, .contents = asked->contents};
    pst_findings_init(&untold, NULL, NULL);
    *checked = (struct rows_checked){0};
    int error = run(&check);
    if (!error && (untold.damages > 0 || check.map.chunks_count != atomic_load(&check.data_chunks)))
        error = -PST_E_CORRUPT;
    for (size_t i = 0; !error && i < check.map.chunks_count; i++)
        checked->bytes += pst_chunk_file_bytes(check.map.chunks[i].stored_bytes);
    checked->chunks = error ? 0 : check.map.chunks_count;
    release(&check);
    return error;
}
