/*
 * Where the rows of a backup lie: the pieces of all ROWS objects, in the order of the objects' ids
 * and of their bytes. Private to engine/restore/.
 *
 * Memory: 40 bytes for a piece, 48 for a chunk, which has one piece mostly.
 */
#ifndef PST_ENGINE_RESTORE_ROW_MAP_H
#define PST_ENGINE_RESTORE_ROW_MAP_H

#include <pthread.h>
#include <stdbool.h>

#include "engine/repository/part_map.h"
#include "engine/restore/objects.h"

struct row_chunk {
    uint32_t part; /* index in the set */
    uint32_t stored_bytes;
    uint64_t file_offset;
    uint64_t chunk;
    struct pst_digest checksum; /* the header's */
};

struct row_piece {
    uint32_t node; /* index in the cluster manifest */
    uint32_t bytes;
    uint64_t object;
    uint64_t object_offset;
    uint32_t payload_offset;
    uint32_t chunk; /* index */
};

struct row_map {
    uint32_t types; /* bits 1 << enum pst_object_type: of ROWS, unless the caller sets others */
    bool (*wants)(const struct object_record *record); /* of them; NULL: all */
    pthread_mutex_t mutex;
    struct row_piece *pieces;
    size_t pieces_count;
    size_t pieces_room;
    struct row_chunk *chunks;
    size_t chunks_count;
    size_t chunks_room;
    bool is_sorted;
};

void row_map_init(struct row_map *map);
void row_map_release(struct row_map *map);

/* Adds the pieces of a DATA chunk, whose header is whole, that belong to objects of these types.
 * Any thread. -ENOMEM. */
PST_MUST_USE int row_map_add(struct row_map *map, const struct objects *objects,
                             const struct pst_part_set *set, const struct pst_part_map *part,
                             const struct pst_chunk_header *header);

struct origins;

/* Likewise those of a chunk of an origin that the objects here refer to: the part is of
 * origins->set, and stands at this index in the set that the map is of. */
PST_MUST_USE int row_map_add_referred(struct row_map *map, const struct origins *origins,
                                      uint32_t index, const struct pst_part_map *part,
                                      const struct pst_chunk_header *header);

/* Puts them in order; after it, no more is added. */
void row_map_sort(struct row_map *map);

/* Index of the first piece of the object, or where it would be. */
size_t row_map_find(const struct row_map *map, uint32_t node, uint64_t object);

#endif
