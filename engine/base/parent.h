/*
 * Where a file or directory would lie that is not there yet. Any thread.
 */
#ifndef PST_ENGINE_BASE_PARENT_H
#define PST_ENGINE_BASE_PARENT_H

#include "penstock/error.h"

/* The directory of path, by its text alone. parent: PATH_MAX. -ENAMETOOLONG. */
PST_MUST_USE int pst_new_directory(const char *path, char *parent);

/* Whether something could be made at path: its directory is there, and the process may write into
 * it. -errno. */
PST_MUST_USE int pst_new_is_possible(const char *path);

/* The path as it is now, wherever the process goes later: absolute, symlinks and all. malloced;
 * NULL with errno set. */
char *pst_absolute_path(const char *path);

#endif
