/*
 * One backup on disk: its manifests, and its parts looked through to where their chunks are.
 * For engine/repository/ and engine/restore/.
 */
#ifndef PST_ENGINE_REPOSITORY_BACKUP_H
#define PST_ENGINE_REPOSITORY_BACKUP_H

#include "engine/format/index.h"
#include "engine/repository/catalog.h"
#include "engine/repository/findings.h"
#include "engine/repository/layout.h"
#include "engine/repository/reader.h"

/* Reads the manifests of a backup, of which number, directories and found_in are set; what is wrong
 * goes to findings. Returns -errno only where reading itself failed (memory). Sets has_cluster,
 * cluster, nodes (an element whose manifest could not be had has parts_count 0); *manifest_bytes
 * and *files count what was read. -PST_E_INCOMPLETE, -PST_E_NO_BACKUP, without a finding: no
 * cluster manifest, no directory. */
int pst_backup_load(struct pst_backup *backup, struct pst_findings *findings, uint64_t *files,
                    uint64_t *manifest_bytes) PST_MUST_USE;

/* Frees what pst_backup_load allocated, not the backup. */
void pst_backup_unload(struct pst_backup *backup);

/* What the directory BACKUP-<number>, open as backup_fd, is: the uid, by whatever is whole of
 * cluster manifest, node manifest, a part's header. False: nothing says it. *is_prepared: no
 * cluster manifest is there, but the manifest of a node of several. */
bool pst_backup_identify(int backup_fd, uint32_t number, uint8_t uid[PST_UID_BYTES],
                         bool *is_prepared);

/* The i-th directory; PST_DIRECTORIES_MAX: none. */
struct pst_file_name pst_backup_file_name(const struct pst_backup *backup, uint32_t i,
                                          struct pst_name name);

/* The first of the directories that hold some of a backup, from i on; PST_DIRECTORIES_MAX: none.
 *     for (uint32_t i = pst_backup_next_in(b, 0); i < …MAX; i = pst_backup_next_in(b, i + 1)) */
uint32_t pst_backup_next_in(const struct pst_backup *backup, uint32_t i);

/* Where an INDEX chunk lies, and how many chunks it names. */
struct pst_part_link {
    struct pst_index_link link;
    uint32_t entries_count;
};

/* One part: what the manifest says of it, and its chain of index chunks, last one first. */
struct pst_part_map {
    struct pst_file_name file;
    int from_fd; /* the directory of backups that it is in; borrowed */
    struct pst_part_identity identity;
    uint32_t node_index; /* in the cluster manifest */
    uint32_t chunk_bytes;
    uint64_t file_bytes;
    struct pst_digest digest;
    struct pst_part_link *links;
    uint32_t links_count;
};

struct pst_part_set {
    struct pst_part_map *parts;
    uint32_t count;
    uint32_t chunk_bytes; /* the largest */
    uint64_t file_bytes;  /* of all */
};

/* Lists the parts that the manifests name, each once; their maps are empty. copies: those files of
 * them that further directories hold; may be NULL. -ENOMEM. */
int pst_part_set_make(const struct pst_backup *backup, struct pst_part_set *set,
                      struct pst_part_set *copies) PST_MUST_USE;
void pst_part_set_free(struct pst_part_set *set);

/* "part 1 of node 2", for the damage of a part as a whole. */
struct pst_part_title {
    char text[48];
};
struct pst_part_title pst_part_title(const struct pst_part_map *part);

/* Fills in the links of a part: checks size, header, trailer, digest and each INDEX chunk. What is
 * wrong goes to findings; the links before a damaged INDEX chunk are then missing. buffer: 4096 +
 * set->chunk_bytes, aligned to 4096. *checked_bytes grows by what was read and is whole. -errno
 * only for what is not the backup's fault. */
int pst_part_map_fill(struct pst_part_map *part, struct pst_reader *reader, void *buffer,
                      struct pst_findings *findings, uint64_t *checked_bytes) PST_MUST_USE;

#endif
