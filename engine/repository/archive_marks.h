/*
 * One directory for several nodes: a backup of several nodes has a mark of each node that is at
 * work in its directory, a file with the uid. Private to engine/repository; the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_MARKS_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_MARKS_H

#include "engine/repository/archive_state.h"

/* Makes the directory with this node's mark, or joins it where another node of the same backup has
 * made it. -EEXIST: it is another backup's; -ENOLCK: that node's lock is not seen here, which is
 * logged. */
PST_MUST_USE int archive_make_shared(const struct pst_archive *archive,
                                     const struct pst_define_backup_req *define);

/* 1: other nodes are at work in a directory, and this one is not; 0: they are not, or this one is
 * too; an error: that could not be found out. */
PST_MUST_USE int archive_is_others(const struct pst_archive *archive, int directory,
                                   uint32_t number);

/* Whether any node has its mark in a directory: 1, 0, or an error. */
PST_MUST_USE int archive_is_marked(struct pst_repository *repository, int directory,
                                   uint32_t number);

/* Removes a directory of that name, if it is one that this node left half-made. */
void archive_sweep_unmarked(const struct pst_archive *archive, const char *name);

#endif
