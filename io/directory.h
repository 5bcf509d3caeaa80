/*
 * The names in a directory, one after the other. A read error is an error and never looks like the
 * end: whoever removes or counts what a directory holds must know that it saw all of it.
 *
 * Blocking; one thread for one directory. Sources: readdir(3).
 */
#ifndef PST_IO_DIRECTORY_H
#define PST_IO_DIRECTORY_H

#include <dirent.h>

#include "penstock/error.h"

/* Owned by the caller; what it points to is io's own. */
struct pst_directory {
    DIR *stream;
};

/* Opens the directory `name` below dirfd ("." for dirfd itself), not through a symlink. dirfd stays
 * the caller's: the directory has a descriptor of its own. After an error there is nothing to
 * close. */
PST_MUST_USE int pst_directory_open(struct pst_directory *directory, int dirfd, const char *name);

/* 1: *name is the next one, valid until the next call; 0: there are no more; or -errno. "." and
 * ".." are left out. */
PST_MUST_USE int pst_directory_next(struct pst_directory *directory, const char **name);

/* The descriptor; the directory's, until it is closed. */
int io_directory_fd(const struct pst_directory *directory);

void pst_directory_close(struct pst_directory *directory);

#endif
