/*
 * The environment as the guard has it open; nothing but liblmdb touches its lock file. Runs in the
 * guard's process, which has one thread; called by lmdb_guard_run.c.
 */
#include "engine/source/lmdb/lmdb_environment.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/source/lmdb/lmdb_files.h"
#include "engine/source/lmdb/lmdb_txn.h"

int environment_say(struct environment *environment, int error, const char *text)
{
    snprintf(environment->answer->text, LMDB_TEXT_BYTES, "%s", text);
    return error;
}

int environment_error(struct environment *environment, int rc)
{
    if (rc >= 0) /* errno, or 0 */
        return -rc;
    switch (rc) {
    case MDB_READERS_FULL:
        return environment_say(environment, -PST_E_NO_RESOURCES,
                               "its reader table is full: close a reader, or raise it with "
                               "mdb_env_set_maxreaders");
    case MDB_VERSION_MISMATCH:
        return environment_say(environment, -PST_E_FOREIGN,
                               "its lock file is of another version of LMDB than 0.9");
    case MDB_DBS_FULL:
        return environment_say(environment, -PST_E_NO_RESOURCES, "it has too many tables");
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_NOTFOUND:
        return environment_say(environment, -PST_E_DAMAGED, mdb_strerror(rc));
    default:
        return environment_say(environment, -EIO, mdb_strerror(rc));
    }
}

int environment_begin(struct environment *environment)
{
    return environment_error(environment,
                             lmdb_txn_begin(environment->env, 0, &environment->writer));
}

int environment_renew(struct environment *environment)
{
    return environment_error(environment, lmdb_txn_renew(environment->env, environment->reader));
}

static int open_files(struct environment *environment, struct stat *status)
{
    int rc = 0;
    int error =
        lmdb_files_open(environment->guard, environment->env, environment->answer->text, &rc);
    if (error)
        return error;
    if (rc == EROFS)
        return environment_say(environment, -rc,
                               "LMDB's lock and reader table cannot be written there: back up a "
                               "snapshot, which nobody can write, as dir:, or the original");
    if (rc == EACCES)
        return environment_say(environment, -rc,
                               "may not be written to, which LMDB's lock and reader table need");
    if (rc == 0)
        rc = mdb_env_get_fd(environment->env, &environment->fd);
    if (rc)
        return environment_error(environment, rc);
    return fstat(environment->fd, status) < 0 ? -errno : 0;
}

static int look_at(struct environment *environment)
{
    MDB_stat stat;
    int dead = 0;
    int rc = mdb_env_stat(environment->env, &stat);
    if (rc == 0)
        rc = mdb_reader_check(environment->env, &dead);
    if (rc)
        return environment_error(environment, rc);
    environment->page_bytes = stat.ms_psize;
    environment->shared->stale_readers = (uint32_t)dead;
    return environment->page_bytes <= LMDB_PAGE_BYTES_MAX ? 0 : -PST_E_DAMAGED;
}

int environment_open(struct environment *environment)
{
    struct stat status;
    int rc = mdb_env_create(&environment->env);
    if (rc)
        return environment_error(environment, rc);
    if (environment->guard->has_tables)
        rc = mdb_env_set_maxdbs(environment->env, LMDB_TABLES_MAX);
    if (rc)
        return environment_error(environment, rc);
    int error = open_files(environment, &status);
    if (!error)
        error = look_at(environment);
    if (error)
        return error;
    rc = lmdb_txn_begin(environment->env, MDB_RDONLY, &environment->reader); /* claims the slot */
    if (rc == EAGAIN)
        return environment_say(
            environment, -rc,
            "one of its users has, in a PID namespace of its own, the process id "
            "of this one, which LMDB cannot tell apart: run both in one PID "
            "namespace, or start this one again");
    if (rc)
        return environment_error(environment, rc);
    mdb_txn_reset(environment->reader);
    environment->shared->inodes.device = status.st_dev;
    environment->shared->inodes.inode = status.st_ino;
    return 0;
}

void environment_close(struct environment *environment)
{
    if (environment->reader)
        mdb_txn_abort(environment->reader);
    if (environment->env)
        mdb_env_close(environment->env);
}
