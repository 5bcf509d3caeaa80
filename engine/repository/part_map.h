/*
 * The parts of a backup, looked through to where their chunks are. For engine/repository/ and
 * engine/restore/.
 */
#ifndef PST_ENGINE_REPOSITORY_PART_MAP_H
#define PST_ENGINE_REPOSITORY_PART_MAP_H

#include "engine/format/index.h"
#include "engine/format/seal.h"
#include "engine/format/tail.h"
#include "engine/repository/backup.h"
#include "engine/repository/reader.h"

/* Where an INDEX chunk lies, how many chunks it names, and the lowest and highest id of the objects
 * that those of data and references have something of. */
struct pst_part_link {
    struct pst_index_link link;
    uint32_t entries_count;
    uint64_t object_first;
    uint64_t object_last; /* below object_first: of none */
};

/* One part: what the manifest says of it, and its chain of index chunks, last one first. */
struct pst_part_map {
    struct pst_file_name file;
    struct pst_repository *repository; /* that it is in; borrowed */
    int from_fd; /* the backup directory, for io_uring; borrowed; -1: it has no descriptors */
    /* How its file is opened, the caller's. PST_DIRECT_UNLESS_CACHED becomes what comes of it when
     * it is mapped: to ask takes as much as 4 ms a GiB. */
    enum pst_direct direct;
    struct pst_part_identity identity;
    uint32_t node_index; /* in the cluster manifest */
    uint32_t origin;     /* of an origin of the backup that is read: engine/restore's; else 0 */
    uint32_t chunk_bytes;
    uint64_t file_bytes;
    struct pst_digest digest;
    struct pst_part_sums sums;
    uint64_t object_sums;           /* records in its chunks of sums; set by pst_backup_map_part */
    uint64_t references;            /* records in its REFERENCES chunks; likewise */
    uint64_t referenced_bytes;      /* of these */
    const struct pst_data_key *key; /* of its node; NULL, or without a secret: it is not known */
    bool is_sealed;                 /* set by pst_backup_map_part, like bound */
    uint8_t bound[PST_PART_BOUND_BYTES]; /* of its header: what its key comes from */
    uint64_t tail_at; /* where its tail begins, which lies in a file of its own; 0: it has none */
    uint64_t tail_chunk; /* that begins there; set by pst_backup_map_part, as is the next one */
    uint8_t tail_bound[PST_TAIL_BOUND_BYTES]; /* likewise */
    struct pst_part_link *links;
    uint32_t links_count;
    /* Its chunks, where it salvages and they are not all in the index: links has one of file_bytes
     * 0 then, in place of those of the index. */
    struct pst_index_entry *salvaged;
    uint32_t salvaged_count;
    bool salvages;   /* the caller's: chunks that no whole index names are found all the same */
    bool is_mapped;  /* the links are all there */
    uint64_t walked; /* its chunks that are whole, where they were looked at without a key */
};

struct pst_part_set {
    struct pst_part_map *parts;
    uint32_t count;
    uint32_t chunk_bytes;   /* the largest */
    uint64_t file_bytes;    /* of all */
    bool salvages;          /* each of them does, once chunk_map_parts() begins */
    enum pst_direct direct; /* of each, likewise */
};

/* Lists the parts that the manifests name, each once; their maps are empty. copies: those files of
 * them that further directories hold; may be NULL. -ENOMEM. */
int pst_backup_parts_make(const struct pst_backup *backup, struct pst_part_set *set,
                          struct pst_part_set *copies) PST_MUST_USE;
void pst_backup_parts_free(struct pst_part_set *set);

/* "part 1 of node 2", for the damage of a part as a whole. */
struct pst_part_title {
    char text[48];
};
struct pst_part_title part_title(const struct pst_part_map *part);

/* Fills in the links of a part: checks size, header, trailer, digest and each INDEX chunk. What is
 * wrong goes to findings; the links before a damaged INDEX chunk are then missing. buffer: 4096 +
 * set->chunk_bytes, aligned to 4096. *checked_bytes grows by what was read and is whole. A sealed
 * part whose data key is not known gets no links: each of its chunks is checked by what is stored.
 * -errno only for what is not the backup's fault. */
int pst_backup_map_part(struct pst_part_map *part, struct pst_reader *reader, void *buffer,
                        struct pst_findings *findings, uint64_t *checked_bytes) PST_MUST_USE;

#endif
