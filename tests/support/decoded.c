/* Reads every byte of a backup into memory, and checks it; the test's main thread calls it. */
#include "tests/support/decoded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/format/part.h"
#include "engine/repository/layout.h"

#define WRONG(...) (printf("    decoded: " __VA_ARGS__), printf("\n"), false)

static bool map_file(struct decoded *decoded, const char *path, const void **data, size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || status.st_size == 0)
        return WRONG("%s: cannot be read, or is empty: %s", path, strerror(errno));
    void *mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (mapped == MAP_FAILED)
        return WRONG("%s: mmap: %s", path, strerror(errno));
    decoded->mapped[decoded->mapped_count].data = mapped;
    decoded->mapped[decoded->mapped_count++].bytes = (size_t)status.st_size;
    *data = mapped;
    *bytes = (size_t)status.st_size;
    return true;
}

static void *grow(void *array, size_t count, size_t *room, size_t element_bytes)
{
    if (count < *room)
        return array;
    *room = *room ? *room * 2 : 1024;
    array = realloc(array, *room * element_bytes);
    if (!array)
        abort();
    return array;
}

static bool take_catalogue(struct decoded *decoded, const void *chunk, uint32_t part)
{
    size_t offset = 0;
    uint32_t bytes = pst_chunk_header_of(chunk)->raw_bytes;
    while (offset < bytes) {
        decoded->objects = grow(decoded->objects, decoded->objects_count, &decoded->objects_room,
                                sizeof(*decoded->objects));
        struct decoded_object *object = &decoded->objects[decoded->objects_count];
        int error = pst_object_decode(pst_chunk_payload_of(chunk), bytes, &offset, &object->object);
        if (error)
            return WRONG("catalogue entry: %s", pst_error_text(error));
        object->parts = 1;
        object->last_part = part;
        decoded->objects_count++;
    }
    return true;
}

static void take_pieces(struct decoded *decoded, const void *chunk, uint32_t part)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    if (header->pieces_count > decoded->pieces_most)
        decoded->pieces_most = header->pieces_count;
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        decoded->pieces = grow(decoded->pieces, decoded->pieces_count, &decoded->pieces_room,
                               sizeof(*decoded->pieces));
        decoded->pieces[decoded->pieces_count++] = (struct decoded_piece){
            .piece = header->pieces[i],
            .data = (const uint8_t *)pst_chunk_payload_of(chunk) + header->pieces[i].payload_offset,
            .part = part};
    }
}

struct part_view {
    const char *data;
    uint64_t bytes;
    struct pst_part_identity identity;
    uint64_t covered; /* bytes of chunks */
};

static bool take_chunk(struct decoded *decoded, struct part_view *part,
                       const struct pst_index_entry *entry)
{
    struct pst_damage damage;
    const char *chunk = part->data + entry->file_offset;
    int error = entry->file_offset >= part->bytes
                    ? -ERANGE
                    : pst_index_check_chunk(entry, chunk, part->bytes - entry->file_offset,
                                            &part->identity, &damage);
    if (error)
        return WRONG("part %u, chunk %llu: %s", part->identity.part,
                     (unsigned long long)entry->chunk, pst_error_text(error));
    part->covered += pst_chunk_file_bytes(entry->stored_bytes);
    if (entry->type == PST_CHUNK_CATALOGUE)
        return take_catalogue(decoded, chunk, part->identity.part);
    take_pieces(decoded, chunk, part->identity.part);
    return true;
}

/* Follows the chain of indexes backwards. */
static bool take_indexes(struct decoded *decoded, struct part_view *part,
                         struct pst_index_link link, uint64_t *chunks)
{
    while (link.file_offset != 0) {
        struct pst_damage damage;
        struct pst_index_view view;
        const char *index = part->data + link.file_offset;
        if (link.file_offset >= part->bytes ||
            pst_index_check_link(&link, index, part->bytes - link.file_offset, &part->identity,
                                 &damage) < 0 ||
            pst_index_read(index, &view, &damage) < 0)
            return WRONG("part %u: bad index at %llu", part->identity.part,
                         (unsigned long long)link.file_offset);
        for (uint32_t i = 0; i < view.entries_count; i++) {
            if (!take_chunk(decoded, part, &view.entries[i]))
                return false;
        }
        *chunks += view.entries_count + 1;
        part->covered += link.file_bytes;
        decoded->index_chunks++;
        link = view.head->previous;
    }
    return true;
}

static bool take_part(struct decoded *decoded, const char *backup_dir,
                      const struct pst_manifest_part *line)
{
    char path[1024];
    const void *data;
    size_t bytes;
    struct pst_damage damage;
    struct pst_part_identity identity = {.number = decoded->node->common.number,
                                         .node = (uint16_t)decoded->node->node,
                                         .part = (uint16_t)line->part,
                                         .parts = (uint16_t)decoded->node->parts_count};
    memcpy(identity.uid, decoded->node->common.uid, sizeof(identity.uid));
    snprintf(path, sizeof(path), "%s/%s", backup_dir,
             layout_part(identity.number, identity.node, line->part, identity.parts).text);
    if (!map_file(decoded, path, &data, &bytes))
        return false;
    struct part_view part = {.data = data, .bytes = bytes, .identity = identity};
    const struct pst_part_trailer *trailer =
        (const struct pst_part_trailer *)(part.data + bytes - PST_BLOCK_BYTES);
    if (bytes != line->file_bytes || bytes % PST_BLOCK_BYTES != 0 || bytes < 2 * PST_BLOCK_BYTES)
        return WRONG("%s: %zu bytes", path, bytes);
    if (pst_part_header_check(data, bytes, &identity, &damage) < 0 ||
        pst_part_trailer_check(trailer, PST_BLOCK_BYTES, bytes, &identity, &damage) < 0)
        return WRONG("%s: bad header or trailer", path);
    struct pst_digest digest = pst_part_digest(trailer);
    if (!pst_digest_equal(&digest, &line->digest))
        return WRONG("%s: not the digest of the manifest", path);
    uint64_t chunks = 0;
    if (!take_indexes(decoded, &part, trailer->last_index, &chunks))
        return false;
    if (chunks != trailer->head.chunk || chunks != line->sums.chunks ||
        part.covered + 2 * PST_BLOCK_BYTES != bytes)
        return WRONG("%s: chunks do not fill it", path);
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct decoded_object *left = a, *right = b;
    return (left->object.id > right->object.id) - (left->object.id < right->object.id);
}

static int by_place(const void *a, const void *b)
{
    const struct pst_chunk_piece *left = &((const struct decoded_piece *)a)->piece;
    const struct pst_chunk_piece *right = &((const struct decoded_piece *)b)->piece;
    if (left->object != right->object)
        return left->object > right->object ? 1 : -1;
    return (left->object_offset > right->object_offset) -
           (left->object_offset < right->object_offset);
}

/* One of each object, flags joined; the entries must say the same. */
static bool join_objects(struct decoded *decoded)
{
    size_t kept = 0;
    for (size_t i = 0; i < decoded->objects_count; i++) {
        struct decoded_object *object = &decoded->objects[i];
        struct decoded_object *last = kept ? &decoded->objects[kept - 1] : NULL;
        if (!last || last->object.id != object->object.id) {
            decoded->objects[kept++] = *object;
            continue;
        }
        if (strcmp(last->object.path, object->object.path) != 0 ||
            last->object.size != object->object.size)
            return WRONG("object %llx is described in two ways",
                         (unsigned long long)object->object.id);
        last->object.flags |= object->object.flags;
        last->parts += object->last_part != last->last_part;
        last->last_part = object->last_part;
    }
    decoded->objects_count = kept;
    return true;
}

/* Pieces belong to objects of their part's catalogue, do not overlap, and add up to the sums. */
static bool check_whole(struct decoded *decoded)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < decoded->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &decoded->pieces[i].piece;
        const struct pst_chunk_piece *before = i ? &decoded->pieces[i - 1].piece : NULL;
        bytes += piece->bytes;
        if (before && before->object == piece->object &&
            before->object_offset + before->bytes > piece->object_offset)
            return WRONG("pieces of object %llx overlap", (unsigned long long)piece->object);
    }
    const struct pst_part_sums *sums = &decoded->node->common.sums;
    if (sums->objects != decoded->objects_count)
        return WRONG("%zu objects, the manifest says %llu", decoded->objects_count,
                     (unsigned long long)sums->objects);
    if (sums->source_bytes != bytes ||
        decoded->cluster->common.sums.source_bytes != sums->source_bytes)
        return WRONG("%llu bytes, the manifest says %llu", (unsigned long long)bytes,
                     (unsigned long long)sums->source_bytes);
    return true;
}

static bool read_manifests(struct decoded *decoded, const char *backup_dir, uint32_t number)
{
    char path[1024];
    const void *data;
    size_t bytes;
    struct pst_digest digest;
    struct pst_damage damage;
    snprintf(path, sizeof(path), "%s/%s", backup_dir, layout_cluster_manifest(number).text);
    if (!map_file(decoded, path, &data, &bytes) ||
        pst_manifest_decode_cluster(data, bytes, decoded->cluster, NULL, &damage) < 0)
        return WRONG("%s: no manifest", path);
    snprintf(path, sizeof(path), "%s/%s", backup_dir, layout_node_manifest(number, 1).text);
    if (!map_file(decoded, path, &data, &bytes) ||
        pst_manifest_decode_node(data, bytes, decoded->node, &digest, &damage) < 0)
        return WRONG("%s: no manifest", path);
    if (decoded->cluster->nodes_count != 1 || decoded->cluster->nodes[0].file_bytes != bytes ||
        !pst_digest_equal(&digest, &decoded->cluster->nodes[0].digest))
        return WRONG("%s: not the one that the cluster manifest names", path);
    if (decoded->node->master_node != 1 || decoded->node->participants_count != 1)
        return WRONG("%s: not of one node", path);
    return true;
}

bool decoded_open(struct decoded *decoded, const char *to, uint32_t number)
{
    char directory[512];
    memset(decoded, 0, sizeof(*decoded));
    decoded->cluster = calloc(1, sizeof(*decoded->cluster));
    decoded->node = calloc(1, sizeof(*decoded->node));
    if (!decoded->cluster || !decoded->node)
        abort();
    snprintf(directory, sizeof(directory), "%s/%s", to, layout_backup(number).text);
    if (!read_manifests(decoded, directory, number))
        return false;
    for (uint32_t i = 0; i < decoded->node->parts_count; i++) {
        if (!take_part(decoded, directory, &decoded->node->parts[i]))
            return false;
    }
    if (decoded->objects_count > 0)
        qsort(decoded->objects, decoded->objects_count, sizeof(*decoded->objects), by_id);
    if (decoded->pieces_count > 0)
        qsort(decoded->pieces, decoded->pieces_count, sizeof(*decoded->pieces), by_place);
    return join_objects(decoded) && check_whole(decoded);
}

void decoded_close(struct decoded *decoded)
{
    for (uint32_t i = 0; i < decoded->mapped_count; i++)
        munmap(decoded->mapped[i].data, decoded->mapped[i].bytes);
    pst_manifest_release_node(decoded->node);
    free(decoded->node);
    free(decoded->cluster);
    free(decoded->objects);
    free(decoded->pieces);
}
