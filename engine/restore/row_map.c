/*
 * Gathers where the rows of a backup lie. Any thread of the crew adds; the thread of the verify or
 * restore sorts.
 */
#include "engine/restore/row_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/grow.h"
#include "engine/restore/contents.h"
#include "engine/restore/origins.h"

void row_map_init(struct row_map *map)
{
    *map = (struct row_map){.types = 1u << PST_OBJECT_ROWS};
    pthread_mutex_init(&map->mutex, NULL);
}

void row_map_release(struct row_map *map)
{
    free(map->pieces);
    free(map->chunks);
    pthread_mutex_destroy(&map->mutex);
}

static int add_chunk(struct row_map *map, uint32_t index, const struct pst_chunk_header *header)
{
    void *chunks = map->chunks;
    int error = pst_grow(&chunks, map->chunks_count, &map->chunks_room, sizeof(*map->chunks));
    map->chunks = chunks;
    if (error)
        return error;
    map->chunks[map->chunks_count++] = (struct row_chunk){
        .part = index,
        .stored_bytes = header->stored_bytes,
        .file_offset = header->file_offset,
        .chunk = header->head.chunk,
        .checksum = header->head.checksum,
    };
    return 0;
}

/* Of this object, which has another id where it is referred to. */
static int add_piece(struct row_map *map, uint32_t node, uint64_t object,
                     const struct pst_chunk_piece *piece)
{
    void *pieces = map->pieces;
    int error = pst_grow(&pieces, map->pieces_count, &map->pieces_room, sizeof(*map->pieces));
    map->pieces = pieces;
    if (error)
        return error;
    map->pieces[map->pieces_count++] = (struct row_piece){
        .node = node,
        .bytes = piece->bytes,
        .object = object,
        .object_offset = piece->object_offset,
        .payload_offset = piece->payload_offset,
        .chunk = (uint32_t)map->chunks_count - 1,
    };
    return 0;
}

/* Of something else, or outside of its object: contents_add() reports that. */
static bool is_mapped(const struct row_map *map, const struct object_record *record,
                      const struct pst_chunk_piece *piece)
{
    return record && (map->types & 1u << object_type(record)) != 0 &&
           (!map->wants || map->wants(record)) && contents_has_bytes(record, piece);
}

int row_map_add(struct row_map *map, const struct objects *objects, const struct pst_part_set *set,
                const struct pst_part_map *part, const struct pst_chunk_header *header)
{
    bool has_chunk = false;
    int error = 0;
    pthread_mutex_lock(&map->mutex);
    assert(!map->is_sorted);
    for (uint32_t i = 0; !error && i < header->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &header->pieces[i];
        if (piece->bytes == 0 ||
            !is_mapped(map, objects_find(objects, part->node_index, piece->object), piece))
            continue;
        if (!has_chunk)
            error = add_chunk(map, (uint32_t)(part - set->parts), header);
        has_chunk = true;
        if (!error)
            error = add_piece(map, part->node_index, piece->object, piece);
    }
    pthread_mutex_unlock(&map->mutex);
    return error;
}

static int add_referred(struct row_map *map, const struct origins *origins,
                        const struct pst_part_map *part, const struct pst_chunk_piece *piece)
{
    int error = 0;
    for (struct origin_walk walk = origins_walk(origins, part, piece);
         !error && origins_next(origins, &walk);) {
        if (is_mapped(map, walk.record, piece))
            error = add_piece(map, walk.record->node, object_id(walk.record), piece);
    }
    return error;
}

int row_map_add_referred(struct row_map *map, const struct origins *origins, uint32_t index,
                         const struct pst_part_map *part, const struct pst_chunk_header *header)
{
    pthread_mutex_lock(&map->mutex);
    assert(!map->is_sorted);
    int error = add_chunk(map, index, header);
    for (uint32_t i = 0; !error && i < header->pieces_count; i++)
        error = add_referred(map, origins, part, &header->pieces[i]);
    pthread_mutex_unlock(&map->mutex);
    return error;
}

static int by_place(const void *a, const void *b)
{
    const struct row_piece *left = a, *right = b;
    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    if (left->object != right->object)
        return left->object < right->object ? -1 : 1;
    if (left->object_offset != right->object_offset)
        return left->object_offset < right->object_offset ? -1 : 1;
    return 0;
}

void row_map_sort(struct row_map *map)
{
    assert(!map->is_sorted);
    map->is_sorted = true;
    if (map->pieces_count > 0)
        qsort(map->pieces, map->pieces_count, sizeof(*map->pieces), by_place);
}

size_t row_map_find(const struct row_map *map, uint32_t node, uint64_t object)
{
    const struct row_piece wanted = {.node = node, .object = object};
    size_t low = 0, high = map->pieces_count;
    assert(map->is_sorted || map->pieces_count == 0);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_place(&map->pieces[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
