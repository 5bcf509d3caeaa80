/*
 * A backup read with engine/format alone, and compared with what it was made from. A second reader,
 * independent of engine/restore.
 */
#ifndef PST_TESTS_SUPPORT_DECODED_H
#define PST_TESTS_SUPPORT_DECODED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/format/manifest.h"
#include "engine/format/object.h"
#include "engine/source/source.h"

struct decoded_object {
    struct pst_object object; /* strings lie in the mapped part; flags of all entries joined */
    uint32_t parts;           /* in how many catalogues */
    uint32_t last_part;
};

struct decoded_piece {
    struct pst_chunk_piece piece;
    const uint8_t *data;
    uint32_t part;
};

struct decoded {
    struct pst_cluster_manifest *cluster;
    struct pst_node_manifest *node;
    struct decoded_object *objects; /* ascending by id */
    size_t objects_count;
    size_t objects_room;
    struct decoded_piece *pieces; /* ascending by (object, offset) */
    size_t pieces_count;
    size_t pieces_room;
    uint64_t index_chunks;
    uint64_t pieces_most; /* in one chunk */
    uint32_t mapped_count;
    struct {
        void *data;
        size_t bytes;
    } mapped[PST_LDMS_MAX];
};

/* Reads and checks every byte of backup number below to. false: something is wrong, printed. */
bool decoded_open(struct decoded *decoded, const char *to, uint32_t number);
void decoded_close(struct decoded *decoded);

const struct decoded_object *decoded_find(const struct decoded *decoded, uint32_t source,
                                          const char *path);
/* In how many parts there are pieces of an object. */
uint32_t decoded_parts_of(const struct decoded *decoded, uint64_t object);

/* Whether the backup has, of a source, exactly the tree at root, whole. Printed if not. */
bool decoded_is_tree(const struct decoded *decoded, uint32_t source, const char *root);

/* The same for the rows that a source of rows produces. It must be idle. */
bool decoded_is_rows(const struct decoded *decoded, struct pst_source *source);

#endif
