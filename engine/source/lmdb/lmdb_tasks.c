/*
 * A reader's loop, and its task of sending rows. Runs in the reader's process; called by
 * lmdb_readers.c after the fork.
 */
#include "engine/source/lmdb/lmdb_tasks.h"

#include <unistd.h>

#include "engine/source/lmdb/lmdb_row_check.h"
#include "engine/source/lmdb/lmdb_tables.h"
#include "engine/source/lmdb/lmdb_walk.h"

/* ---- rows ---- */

struct range {
    MDB_dbi dbi;
    MDB_val from;    /* mv_size 0: the first */
    const void *end; /* the key of the first row that is not in it: where it lies; NULL: no end */
    bool is_main;
};

/* Skips the records of named databases. *ended: there is no row more in the range. */
static int step(const struct tasks *tasks, const struct range *range, MDB_cursor *cursor,
                MDB_cursor_op operation, MDB_val *key, MDB_val *value, bool *ended)
{
    char name[PST_TABLE_NAME_BYTES_MAX];
    MDB_dbi dbi;
    int rc = mdb_cursor_get(cursor, key, value, operation);
    while (rc == 0 && range->is_main) {
        int is_table = lmdb_tables_is_name(tasks, key, value, name, &dbi);
        if (is_table < 0)
            return is_table;
        if (!is_table)
            break;
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    }
    *ended = rc == MDB_NOTFOUND || (rc == 0 && key->mv_data == range->end);
    return *ended ? 0 : environment_error(tasks->environment, rc);
}

static int send_row(struct tasks *tasks, const MDB_val *key, const MDB_val *value)
{
    const struct pst_row row = {
        .key = key->mv_data,
        .value = value->mv_data,
        .key_bytes = (uint32_t)key->mv_size,
        .value_bytes = (uint32_t)value->mv_size,
    };
    if (key->mv_size > PST_ROW_KEY_BYTES_MAX || value->mv_size > UINT32_MAX)
        return -PST_E_DAMAGED;
    lmdb_answering_row(&tasks->answering, &row);
    return 0;
}

static int send_rows(struct tasks *tasks, const struct range *range, MDB_cursor *cursor)
{
    bool ended = false;
    MDB_val key = range->from, value;
    struct lmdb_row_check check;
    int error = lmdb_row_check_begin(tasks, range->dbi, 0, &check);
    if (!error)
        error = step(tasks, range, cursor, key.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST, &key,
                     &value, &ended);
    while (!error && !ended) {
        error = lmdb_row_check(tasks, &check, &key, &value);
        if (!error)
            error = send_row(tasks, &key, &value);
        if (!error)
            error = step(tasks, range, cursor, MDB_NEXT, &key, &value, &ended);
    }
    return error;
}

/* Rows lie where they lie as long as the snapshot is held. */
static int find_end(const struct tasks *tasks, struct lmdb_task *task, MDB_cursor *cursor,
                    struct range *range)
{
    bool ended;
    MDB_val value, key = {task->to_bytes, task->to};
    int error = step(tasks, range, cursor, MDB_SET_RANGE, &key, &value, &ended);
    if (!error && !ended)
        range->end = key.mv_data;
    return error;
}

static int rows(struct tasks *tasks, struct lmdb_task *task)
{
    MDB_cursor *cursor;
    struct range range = {
        .from = {task->from_bytes, task->from},
        .is_main = task->name[0] == '\0',
    };
    int rc = mdb_dbi_open(tasks->txn, range.is_main ? NULL : task->name, 0, &range.dbi);
    if (rc == 0)
        rc = mdb_cursor_open(tasks->txn, range.dbi, &cursor);
    if (rc)
        return environment_error(tasks->environment, rc);
    int error = task->to_bytes > 0 ? find_end(tasks, task, cursor, &range) : 0;
    if (!error)
        error = send_rows(tasks, &range, cursor);
    mdb_cursor_close(cursor);
    return error;
}

/* ---- the process ---- */

/* LMDB has found what it thinks impossible. */
static void on_assertion(MDB_env *env, const char *text)
{
    struct tasks *tasks = mdb_env_get_userctx(env);
    lmdb_answering_end(&tasks->answering, -PST_E_DAMAGED, text);
    _exit(0);
}

static int open_main(struct tasks *tasks)
{
    int rc = mdb_dbi_open(tasks->txn, NULL, 0, &tasks->main_dbi);
    if (rc == 0)
        rc = mdb_dbi_flags(tasks->txn, tasks->main_dbi, &tasks->main_flags);
    return environment_error(tasks->environment, rc);
}

static int carry_out(struct tasks *tasks, struct lmdb_task *task)
{
    switch (task->kind) {
    case LMDB_TABLES:
        return lmdb_tables(tasks);
    case LMDB_TAIL:
        return lmdb_walk_tail(tasks, task->page);
    case LMDB_WALK:
        return lmdb_walk(tasks);
    case LMDB_ROWS:
        return rows(tasks, task);
    default:
        return -PST_E_BAD_REQUEST;
    }
}

void lmdb_tasks_run(struct environment *environment, struct lmdb_slot *slot)
{
    struct lmdb_answer answer;
    struct tasks tasks = {.environment = environment,
                          .txn = environment->reader,
                          .fd = environment->fd,
                          .meta = environment->shared->meta,
                          .answering = {.slot = slot}};
    environment->answer = &answer;
    (void)mdb_env_set_userctx(environment->env, &tasks);
    (void)mdb_env_set_assert(environment->env, on_assertion);
    for (;;) {
        lmdb_answering_next(&tasks.answering);
        answer.text[0] = '\0';
        int error = open_main(&tasks);
        if (!error)
            error = carry_out(&tasks, &slot->task);
        lmdb_answering_end(&tasks.answering, error, answer.text);
    }
}
