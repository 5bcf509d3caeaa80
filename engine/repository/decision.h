/*
 * The decision of a backup, its cluster manifest, which each directory of a backup keeps twice:
 * the manifest and a copy, either of which will do. The copy is written when the manifest is
 * durable: where there is a copy, the decision was made. Private to engine/repository; any thread.
 */
#ifndef PST_ENGINE_REPOSITORY_DECISION_H
#define PST_ENGINE_REPOSITORY_DECISION_H

#include "engine/format/manifest.h"
#include "engine/repository/layout.h"
#include "engine/repository/repository.h"

enum decision_which {
    DECISION_MANIFEST,
    DECISION_COPY,
    DECISION_FILES,
};

/* One of the two files. */
struct decision_file {
    int error; /* -ENOENT: it is not there; -PST_E_…, -errno: what is wrong with it */
    struct pst_damage damage;
    struct pst_digest digest;
    uint64_t bytes;
};

/* Both. */
struct decision_pair {
    struct decision_file files[DECISION_FILES];
    bool is_whole; /* one of them is, at least */
};

struct layout_name decision_name(uint32_t number, enum decision_which which);

/* Reads one; after 0 *manifest is set, and *text, where text is given, is the caller's. A
 * manifest of another number is -PST_E_MISPLACED. Returns file->error. */
int decision_read_file(struct pst_repository *repository, int directory, uint32_t number,
                       enum decision_which which, struct pst_cluster_manifest *manifest,
                       struct decision_file *file, char **text);

/* Reads both; *manifest is set if one is whole, from the first that is, and else untouched. 0, or
 * an error of our own.
 */
PST_MUST_USE int decision_read_pair(struct pst_repository *repository, int directory,
                                    uint32_t number, struct pst_cluster_manifest *manifest,
                                    struct decision_pair *pair);

/* Whether both are whole, and differ. */
bool decision_contradicts(const struct decision_pair *pair);

/* Reads whichever is whole. -ENOENT: neither is there; -PST_E_CORRUPT: two that are whole differ;
 * else what is wrong with the one that is there. Returns file->error. */
int decision_read(struct pst_repository *repository, int directory, uint32_t number,
                  struct pst_cluster_manifest *manifest, struct decision_file *file, char **text);

/* Whether one of the two is there, whole or not: 1, 0 or an error. */
PST_MUST_USE int decision_is_there(struct pst_repository *repository, int directory,
                                   uint32_t number);

/* Writes the one that is missing, from the text of the other, which is durable. node: whose
 * temporary name is used; reads_back: as of repository_write_durably(). One that is there
 * already is synced. */
PST_MUST_USE int decision_write(struct pst_repository *repository, int directory, uint32_t number,
                                uint32_t node, enum decision_which which, const char *text,
                                size_t bytes, bool reads_back);

#endif
