/*
 * Recognises databases that are in use below a directory: a copy of their files, read one after the
 * other while a server writes them, is none that it can open. By names alone, and by the locks that
 * servers hold: no file is opened, and a name that is none of these costs a comparison.
 *
 * Known are PostgreSQL, MySQL and MariaDB (InnoDB), SQLite, RocksDB and LevelDB, and LMDB. On the
 * source's thread.
 */
#ifndef PST_ENGINE_SOURCE_DIR_DATABASES_H
#define PST_ENGINE_SOURCE_DIR_DATABASES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "engine/base/limits.h"
#include "engine/source/dir/exclude.h"
#include "engine/source/dir/locks.h"
#include "engine/source/dir/notes.h"

struct databases {
    struct notes *notes;             /* that report them */
    const struct excludes *excludes; /* what is left out is none of them */
    /* All zeros at the start: */
    struct locks locks;
    bool has_locks;                /* they were read */
    char path[PST_PATH_BYTES_MAX]; /* of the database that was found */
};

/* Reports a database in use if the regular file name in an open directory, at path below the root,
 * is one by which it is known. Each has one such file, which may itself be left out: a database
 * without its log is no better. */
void databases_look(struct databases *databases, int directory, const char *name, const char *path,
                    const struct stat *status);

/* Likewise of a file that is the whole source, whose neighbours are not in it. */
void databases_look_alone(struct databases *databases, const char *path, const struct stat *status);

void databases_free(struct databases *databases);

#endif
