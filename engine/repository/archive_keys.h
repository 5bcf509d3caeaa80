/*
 * The files of wrapped keys of what the archive's node writes. Private to engine/repository; the
 * archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_KEYS_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_KEYS_H

#include "engine/repository/archive_state.h"

/* Writes those of the backup in work, which is sealed, durably, into its directory. */
PST_MUST_USE int archive_write_keys(const struct pst_archive *archive);

/* Whether this node seals its backups, and has a key that opens what it seals. */
bool archive_opens(const struct pst_archive *archive);

/* The data key of what this node wrote of a backup, by the keys that the node has; directory: of
 * the backup. -PST_E_NO_KEY: none of them opens it; or why the files cannot be read. The caller
 * releases it. */
PST_MUST_USE int archive_open_key(const struct pst_archive *archive, int directory,
                                  const struct pst_node_manifest *manifest,
                                  struct pst_data_key *key);

#endif
