/*
 * Reads what there is to read, for what comes of it: an error, or the end of this process. Runs in
 * a reader's process; called by lmdb_tasks.c.
 */
#include "engine/source/lmdb/lmdb_walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/source/lmdb/lmdb_row_check.h"
#include "engine/source/lmdb/lmdb_tables.h"

#define FREE_DBI                                                                                   \
    ((MDB_dbi)0) /* of the free pages: by transaction, their count and their numbers               \
                  */
#define REPORT_BYTES (1u << 20)

/* ---- the end of the file ---- */

static int add_free(struct tasks *tasks, const MDB_val *value, uint64_t page, uint64_t *free_pages)
{
    size_t ids = value->mv_size / sizeof(uint64_t);
    uint64_t count, number;
    if (ids > 0)
        memcpy(&count, value->mv_data, sizeof(count));
    if (ids == 0 || count >= ids)
        return environment_say(tasks->environment, -PST_E_DAMAGED,
                               "its list of free pages is damaged");
    for (uint64_t i = 1; i <= count; i++) {
        memcpy(&number, (const uint8_t *)value->mv_data + i * sizeof(number), sizeof(number));
        *free_pages += number >= page && number <= tasks->meta.last_page;
    }
    return 0;
}

int lmdb_walk_tail(struct tasks *tasks, uint64_t page)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t free_pages = 0;
    int rc = mdb_cursor_open(tasks->txn, FREE_DBI, &cursor);
    if (rc)
        return environment_error(tasks->environment, rc);
    int error = 0;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (!error && rc == 0) {
        error = add_free(tasks, &value, page, &free_pages);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (!error && rc != MDB_NOTFOUND)
        error = environment_error(tasks->environment, rc);
    if (error || free_pages >= tasks->meta.last_page + 1 - page)
        return error;
    char text[LMDB_TEXT_BYTES];
    snprintf(text, sizeof(text), "its data file has pages 0 to %llu of %llu: the end of it is lost",
             (unsigned long long)page - 1, (unsigned long long)tasks->meta.last_page);
    return environment_say(tasks->environment, -PST_E_DAMAGED, text);
}

/* ---- all of it ---- */

struct rows_walk {
    struct tasks *tasks;
    uint64_t seen;
    uint64_t reported;
};

static void report(struct rows_walk *walk, const MDB_val *value)
{
    const volatile uint8_t *bytes = value->mv_data;
    for (size_t i = 0; i < value->mv_size; i += LMDB_PAGE_BYTES_MIN)
        (void)bytes[i]; /* is there */
    walk->seen += value->mv_size + PST_ROW_HEAD_BYTES;
    if (walk->seen - walk->reported < REPORT_BYTES)
        return;
    walk->reported = walk->seen;
    lmdb_answering_send(&walk->tasks->answering, &walk->seen, sizeof(walk->seen));
    lmdb_answering_flush(&walk->tasks->answering);
}

static int walk_rows(struct rows_walk *walk, MDB_dbi dbi, uint64_t *rows)
{
    struct tasks *tasks = walk->tasks;
    struct lmdb_row_check check;
    MDB_cursor *cursor;
    MDB_val key, value;
    int error = lmdb_row_check_begin(tasks, dbi, tasks->meta.page_bytes / 2, &check);
    int rc = error ? 0 : mdb_cursor_open(tasks->txn, dbi, &cursor);
    if (error || rc)
        return error ? error : environment_error(tasks->environment, rc);
    while (!error && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        error = lmdb_row_check(tasks, &check, &key, &value);
        report(walk, &value);
        ++*rows;
    }
    mdb_cursor_close(cursor);
    return error || rc == MDB_NOTFOUND ? error : environment_error(tasks->environment, rc);
}

static int walk_table(struct rows_walk *walk, const char *name, MDB_dbi dbi)
{
    struct lmdb_slot *slot = walk->tasks->answering.slot;
    struct environment *environment = walk->tasks->environment;
    MDB_stat stat;
    uint64_t rows = 0;
    snprintf(slot->table, sizeof(slot->table), "%s", name);
    int rc = mdb_stat(walk->tasks->txn, dbi, &stat);
    int error = rc ? environment_error(environment, rc) : walk_rows(walk, dbi, &rows);
    if (error || rows == stat.ms_entries)
        return error;
    char text[LMDB_TEXT_BYTES];
    snprintf(text, sizeof(text), "it has %llu rows by its own count, and %llu can be read",
             (unsigned long long)stat.ms_entries, (unsigned long long)rows);
    return environment_say(environment, -PST_E_DAMAGED, text);
}

static int walk_named(struct rows_walk *walk)
{
    struct tasks *tasks = walk->tasks;
    char name[PST_TABLE_NAME_BYTES_MAX];
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc = mdb_cursor_open(tasks->txn, tasks->main_dbi, &cursor);
    if (rc)
        return environment_error(tasks->environment, rc);
    int error = 0;
    while (!error && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        MDB_dbi dbi;
        int is_table = lmdb_tables_is_name(tasks, &key, &value, name, &dbi);
        if (is_table)
            error = is_table < 0 ? is_table : walk_table(walk, name, dbi);
    }
    mdb_cursor_close(cursor);
    return error || rc == MDB_NOTFOUND ? error : environment_error(tasks->environment, rc);
}

int lmdb_walk(struct tasks *tasks)
{
    struct rows_walk walk = {.tasks = tasks};
    int error = walk_table(&walk, "", tasks->main_dbi);
    if (!error)
        error = walk_named(&walk);
    if (!error)
        error = lmdb_walk_tail(tasks, tasks->meta.last_page + 1); /* the list of free pages */
    return error;
}
