/*
 * The lock file of an LMDB environment that a restore is to replace. Private to engine/restore/;
 * blocking, any thread.
 *
 * Every process that has an environment of LMDB 0.9 open, but with MDB_NOLOCK, holds a lock of
 * fcntl(2) on the first byte of its lock file: lock.mdb beside data.mdb, or FILE-lock.
 */
#ifndef PST_ENGINE_RESTORE_LMDB_LOCK_H
#define PST_ENGINE_RESTORE_LMDB_LOCK_H

#include <stdbool.h>

#include "penstock/error.h"

/* Whether a process has the file `name` in dirfd open as an environment: -EBUSY, or an error where
 * that could not be found out, with why (PST_MESSAGE_BYTES) naming the lock file. 0: no. */
PST_MUST_USE int lmdb_lock_check(int dirfd, const char *name, char *why);

/* Removes the lock file of `name`: what it says of the last transaction is not true of another
 * data file. is_environment: the file surely is one; else only lock.mdb beside data.mdb goes. Not
 * there: 0. */
PST_MUST_USE int lmdb_lock_remove(int dirfd, const char *name, bool is_environment);

#endif
