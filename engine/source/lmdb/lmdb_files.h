/*
 * The two files of an environment, opened without following a link of its owner's: liblmdb opens
 * files by name and follows whatever stands there. Private to the guard's process, one thread.
 */
#ifndef PST_ENGINE_SOURCE_LMDB_LMDB_FILES_H
#define PST_ENGINE_SOURCE_LMDB_LMDB_FILES_H

#include <lmdb.h>

#include "engine/source/lmdb/lmdb_orders.h"

/* Takes the identity of the environment's owner, then opens env, which
 * mdb_env_create() has made, on exactly the files that were checked; makes the lock file where
 * there is none and the process is the owner. 0: *rc is what mdb_env_open() returned; else -errno,
 * of which text (LMDB_TEXT_BYTES) says more. */
PST_MUST_USE int lmdb_files_open(const struct lmdb_guard *guard, MDB_env *env, char *text, int *rc);

#endif
