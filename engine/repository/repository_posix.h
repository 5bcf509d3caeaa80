/*
 * A directory of a file system as a repository: handles are descriptors, locks flock(2). Blocking.
 */
#ifndef PST_ENGINE_REPOSITORY_REPOSITORY_POSIX_H
#define PST_ENGINE_REPOSITORY_REPOSITORY_POSIX_H

#include "engine/repository/repository.h"

struct pst_io_fault;

/* Opens the directory at path, by which messages name it; path is borrowed while it is used.
 * fault (io/fault.h): of durable steps; NULL outside tests. repository_close() of its root ends it.
 * -errno: there is nothing to close. */
PST_MUST_USE int repository_posix_open(struct pst_repository *repository, const char *path,
                                       struct pst_io_fault *fault);

/* Makes the directory's own name durable, in its parent. */
PST_MUST_USE int repository_posix_sync_name(struct pst_repository *repository);

/* 0, or why this process may not make names in the directory. */
PST_MUST_USE int repository_posix_check_writable(struct pst_repository *repository);

#endif
