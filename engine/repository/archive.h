/*
 * The archive: the node's half of the repository that writes. Numbers, directories, manifests,
 * removal: all blocking file work that no LDM does, by one thread, the archive's. What earlier
 * backups left is archive_sweep.h's, what is in doubt archive_settle.h's.
 *
 * Functions return 0 or a negative error, having logged what failed on which file. The archive is
 * its caller's (archive_state.h).
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_H

#include "engine/repository/archive_state.h"

/* The number to use: wanted, if it is free, or for 0 the highest that exists + 1. */
PST_MUST_USE int pst_archive_number(struct pst_archive *archive, uint32_t wanted, uint32_t *number);

/* Makes the directories of a backup. -PST_E_NUMBER_EXISTS: *highest is the highest that does.
 * -PST_E_BUSY: another is in work. */
PST_MUST_USE int pst_archive_define(struct pst_archive *archive,
                                    const struct pst_define_backup_req *define, uint32_t *highest);

void pst_archive_add_part(struct pst_archive *archive, const struct pst_archive_item *part);
/* How many chunks of this part, which was added before, have which codec. */
void pst_archive_add_codecs(struct pst_archive *archive, uint32_t part, uint64_t lz4_chunks,
                            uint64_t zstd_chunks);
void pst_archive_add_node(struct pst_archive *archive, const struct pst_archive_item *node);

/* Makes the parts' names durable and writes the node manifest, or the cluster manifest: the
 * decision. After an error nothing of that file is left. */
PST_MUST_USE int pst_archive_write_node(struct pst_archive *archive, const struct pst_gci *gci,
                                        struct pst_commit *written);
PST_MUST_USE int pst_archive_write_cluster(struct pst_archive *archive, const struct pst_gci *gci,
                                           struct pst_commit *written);

/* Whether the cluster manifest of the backup in work is here; stores a copy of one; reads the one
 * of any backup: malloc'd bytes. */
bool pst_archive_is_committed(const struct pst_archive *archive);
PST_MUST_USE int pst_archive_store_cluster(struct pst_archive *archive, uint32_t number,
                                           const char *bytes, size_t size);
PST_MUST_USE int pst_archive_load_cluster(const struct pst_archive *archive, uint32_t number,
                                          char **bytes, size_t *size);

/* Whether this node has its copy of the cluster manifest. Ends the work on the backup, which is in
 * doubt after an error. */
PST_MUST_USE int pst_archive_commit(struct pst_archive *archive);

/* Ends the work on the backup with its outcome not known: what is prepared stays, in doubt. */
void pst_archive_leave(struct pst_archive *archive);

/* Removes what pst_archive_define() and the manifests made, LDMs having removed their parts. Ends
 * the work on the backup, which may be in doubt after an error. */
PST_MUST_USE int pst_archive_clean_up(struct pst_archive *archive);

#endif
