/*
 * What earlier backups of this node left behind, judged by engine/protocol/debris.h. The archive's
 * thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_SWEEP_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_SWEEP_H

#include "engine/repository/archive_state.h"

/* Removes what backups of this node left that never came to a decision, and never will, and reports
 * those in doubt. What it cannot open or read it leaves alone, and says so. Error: the directory
 * cannot be read, or that of a backup which is open; memory or descriptors are out; or what is
 * decided cannot be synced. */
PST_MUST_USE int pst_archive_sweep(struct pst_archive *archive);

/* The same of one backup; uid: of the parts that may be removed, NULL: any. For the rest of the
 * archive. */
int archive_sweep_one(struct pst_archive *archive, uint32_t number, const uint8_t *uid);

/* Whether a backup that is decided, or in doubt, has data in one that is not decided: then that
 * was, too, and has lost both files of its decision. 1, 0, or why that cannot be known. uid: NULL:
 * not known. is_news: it is logged. */
int archive_is_held(const struct pst_archive *archive, uint32_t number, const uint8_t *uid,
                    bool is_news);

/* Removes, durably, what this node has of a backup, its manifest first; what others have in the
 * same directory stays. uid: whose parts; NULL: of any backup. */
int archive_remove(const struct pst_archive *archive, uint32_t number, const uint8_t *uid);

#endif
