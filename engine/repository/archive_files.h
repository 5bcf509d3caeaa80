/*
 * What all parts of the archive stand on: its messages, its manifests on disk, and what must hold
 * of it. Private to engine/repository; the archive's thread.
 */
#ifndef PST_ENGINE_REPOSITORY_ARCHIVE_FILES_H
#define PST_ENGINE_REPOSITORY_ARCHIVE_FILES_H

#include "engine/repository/archive_state.h"
#include "engine/repository/decision.h"

/* Asserts what must hold of the archive between two steps, and that its thread calls. Each entry of
 * the archive begins and ends with it. */
void archive_check(const struct pst_archive *archive);

/* Logs that a step on a name failed, step NULL being the repository's, and returns the error. The
 * second: of a name in the directory of a backup. */
int archive_fail(const struct pst_archive *archive, const char *name, const char *step, int error);
int archive_fail_inside(const struct pst_archive *archive, uint32_t number, const char *name,
                        const char *step, int error);

/* A manifest on this node's disk, and which backup it is of. */
struct archive_file {
    int error; /* -ENOENT: there is none; else it cannot be read, or not be understood */
    uint8_t uid[16];
    uint64_t bytes;
    struct pst_digest digest;
    uint32_t cluster_id;
    uint32_t master_node;
    struct pst_set nodes;      /* of a node manifest: those that took part */
    uint64_t finished_unix_ns; /* likewise */
};

/* This node's manifest in the directory of a backup. */
void archive_read_node(const struct pst_archive *archive, int directory, uint32_t number,
                       struct archive_file *file);

/* The cluster manifest there, by either of its two files. */
void archive_read_cluster(const struct pst_archive *archive, int directory, uint32_t number,
                          struct pst_cluster_manifest *manifest, struct archive_file *file);

/* What is noted of a backup only until it is decided goes from its directory, if it is there. */
void archive_end_decided(const struct pst_archive *archive, int directory, uint32_t number);

/* Writes the second file of a decision whose first one is durable. The backup is complete without
 * it: what fails is only logged, and the next start tries again. reads_back: as of
 * repository_write_durably(). */
void archive_write_copy(const struct pst_archive *archive, int directory, uint32_t number,
                        enum decision_which which, const char *text, size_t bytes, bool reads_back);

/* Stores this node's copy of a cluster manifest, whichever backup is in work: both files of it.
 * reads_back: likewise. */
PST_MUST_USE int archive_store_cluster(const struct pst_archive *archive, uint32_t number,
                                       const char *bytes, size_t size, bool reads_back);

#endif
