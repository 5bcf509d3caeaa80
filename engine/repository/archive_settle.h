/*
 * Backups in doubt: the outcome of one as far as this node's disk shows it, and carrying out an
 * outcome that other nodes know. The archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_SETTLE_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_SETTLE_H

#include "engine/repository/archive_state.h"

/* Sets the outcome of a backup as the disk shows it. -PST_E_BUSY: it is in work. Other errors: the
 * disk cannot be read, or not be understood. */
PST_MUST_USE int pst_archive_outcome(struct pst_archive *archive, struct pst_outcome *asked);

/* Carries out an outcome. Aborted: removes all that this node has of it; -PST_E_WRONG_STATE: it is
 * committed; -PST_E_REFERRED: or was, for another has data in it. Committed: stores the bytes, or
 * for NULL looks at what is there; -PST_E_MISPLACED: that is not of this backup, or does not list
 * this node's manifest. */
PST_MUST_USE int pst_archive_settle_aborted(struct pst_archive *archive,
                                            const struct pst_outcome *settled);
PST_MUST_USE int pst_archive_settle_committed(struct pst_archive *archive,
                                              const struct pst_outcome *settled, const char *bytes,
                                              size_t size);

#endif
