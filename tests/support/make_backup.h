/* Writes a whole, valid backup with the format's encoders: what the pipeline does, in miniature. */
#ifndef PST_TESTS_SUPPORT_MAKE_BACKUP_H
#define PST_TESTS_SUPPORT_MAKE_BACKUP_H

#include <limits.h>
#include <stdbool.h>

#include "engine/format/manifest.h"
#include "engine/format/object.h"
#include "engine/format/part.h"
#include "engine/repository/catalog.h"
#include "engine/restore/verify.h"
#include "tests/support/scratch.h"

/* A run of bytes of an object; the byte at offset o of object id is made_byte(id, o). */
struct made_data {
    uint32_t part; /* from 0: the part that holds it */
    uint64_t object;
    uint64_t offset;
    uint32_t bytes; /* at most PST_CHUNK_BYTES_MIN */
};

/* Bytes of an object that lie in a backup that was made before in this process. */
struct made_reference {
    uint32_t part; /* from 0: the part that has it */
    uint64_t object;
    uint64_t offset;
    uint64_t bytes;
    uint32_t origin; /* number of the backup; its uid is the default one */
    uint64_t origin_object;
    bool is_run; /* by the hash of its bytes, which are made_byte(origin_object, …) */
};

struct made_backup {
    uint32_t number;
    uint8_t uid;             /* of the bytes of the uid; 0: 0xB0 + number */
    uint32_t cluster_ids[3]; /* in the cluster's manifest, the node's, the parts */
    uint32_t parts;
    uint32_t sources;
    const struct pst_object *objects; /* entry in each part that has its data, else in part 0 */
    uint32_t objects_count;
    const struct made_data *data;
    uint32_t data_count;
    const struct made_reference *references; /* ascending by object and offset */
    uint32_t references_count;
    uint32_t chunks_per_index; /* 0: one INDEX chunk */
    bool no_cluster_manifest;
    bool in_doubt; /* node 9 took part too */
    /* NULL, or what overwrites the path of the last object, which is as long */
    const char *unsafe_path;
    bool no_object_sums; /* as before parts had checksums of objects */
    /* NULL, or what begins the checksums of objects, whose count no trailer has: as before this
     * rule of theirs */
    const char *sums_magic;
    /* NULL, or what changes the sums: of each part, before its trailer is sealed; of the manifests,
     * after they were added up */
    void (*spoil_part)(struct pst_part *part);
    void (*spoil_manifests)(struct pst_node_manifest *node, struct pst_cluster_manifest *cluster);
    /* NULL, or what changes a DATA chunk before it is sealed; the checksums of its objects stay
     * those of what it was */
    void (*spoil_chunk)(void *chunk);
    /* NULL, or what changes a REFERENCES chunk before it is sealed */
    void (*spoil_references)(void *payload);
    /* NULL, or the contents of each object, by its id */
    const uint8_t *const *contents;
};

/* Lists the backups of one directory; asserts that it can. The caller's: pst_backup_list_release.
 */
void list_backups(const char *from, struct pst_backup_list *list);

/* Verifies backup 1 of one directory. */
int verify_backup(const char *from, const struct pst_verify_options *options,
                  struct pst_verify_result *result);

uint8_t made_byte(uint64_t object, uint64_t offset);

/* Writes BACKUP-<number> into directory `to`. Asserts that all goes well. */
void make_backup(const char *to, const struct made_backup *made);

/* A small tree with one of everything, in two parts: files small, large, empty and sparse,
 * directories, symlinks, hard links, a FIFO. large_bytes: of the large file. */
struct made_backup made_tree(uint32_t large_bytes);

#endif
