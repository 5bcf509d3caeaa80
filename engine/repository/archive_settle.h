/* Backups that are in doubt: what this node's disk says of one, and making its outcome so. The
 * archive's thread. */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_SETTLE_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_SETTLE_H

#include "engine/repository/archive_state.h"

/* What the disk says of a backup. -PST_E_BUSY: it is in work. Other errors: it cannot be said. */
PST_MUST_USE int pst_archive_outcome(struct pst_archive *archive, struct pst_outcome *asked);

/* Makes it so. Aborted: removes all that this node has of it; -PST_E_WRONG_STATE: it is committed.
 * Committed: stores the bytes, or for NULL looks at what is there; -PST_E_MISPLACED: that is not of
 * this backup, or does not say that this node's manifest belongs to it. */
PST_MUST_USE int pst_archive_settle_aborted(struct pst_archive *archive,
                                            const struct pst_outcome *settled);
PST_MUST_USE int pst_archive_settle_committed(struct pst_archive *archive,
                                              const struct pst_outcome *settled, const char *bytes,
                                              size_t size);

#endif
