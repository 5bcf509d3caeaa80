/*
 * Looks at rows as they are read; in which order they come is their application's affair, who may
 * order them by a function of its own. Runs in a reader's process; called by lmdb_tasks.c and
 * lmdb_walk.c.
 */
#include "engine/source/lmdb/lmdb_row_check.h"

#include <stdio.h>
#include <string.h>

int lmdb_row_check_begin(const struct tasks *tasks, MDB_dbi dbi, size_t bytes_max,
                         struct lmdb_row_check *check)
{
    MDB_env *env = tasks->environment->env;
    *check = (struct lmdb_row_check){
        .bytes_max = bytes_max > 0 ? bytes_max : (size_t)mdb_env_get_maxkeysize(env)};
    return environment_error(tasks->environment, mdb_dbi_flags(tasks->txn, dbi, &check->flags));
}

static bool is_same(const MDB_val *a, const MDB_val *b)
{
    return a->mv_size == b->mv_size &&
           (a->mv_size == 0 || memcmp(a->mv_data, b->mv_data, a->mv_size) == 0);
}

static const char *fault_beside_last(const struct lmdb_row_check *check, const MDB_val *key,
                                     const MDB_val *value)
{
    if (!check->has_last || !is_same(&check->key, key))
        return NULL;
    if (!(check->flags & MDB_DUPSORT) || is_same(&check->value, value))
        return "a row is there twice";
    if (value->mv_size == 0 || check->value.mv_size == 0)
        return "an empty value is beside others of its key";
    if ((check->flags & MDB_DUPFIXED) && check->value.mv_size != value->mv_size)
        return "a row is of another length than the others of its key";
    return NULL;
}

static int refuse_length(const struct tasks *tasks, const struct lmdb_row_check *check,
                         const char *what, size_t bytes)
{
    char text[LMDB_TEXT_BYTES];
    snprintf(text, sizeof(text),
             "a %s has %zu bytes, and LMDB takes 1 to %zu: it is damaged, or of a program whose "
             "LMDB takes more: then back it up without --logical",
             what, bytes, check->bytes_max);
    return environment_say(tasks->environment, -PST_E_DAMAGED, text);
}

int lmdb_row_check(const struct tasks *tasks, struct lmdb_row_check *check, const MDB_val *key,
                   const MDB_val *value)
{
    if (key->mv_size == 0 || key->mv_size > check->bytes_max)
        return refuse_length(tasks, check, "key", key->mv_size);
    if ((check->flags & MDB_DUPSORT) && value->mv_size > check->bytes_max)
        return refuse_length(tasks, check, "value of several for a key", value->mv_size);
    const char *fault = fault_beside_last(check, key, value);
    if (fault)
        return environment_say(tasks->environment, -PST_E_DAMAGED, fault);
    check->key = *key;
    check->value = *value;
    check->has_last = true;
    return 0;
}
