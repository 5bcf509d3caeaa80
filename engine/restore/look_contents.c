/*
 * Reads the contents of an object of a backup in their order. Called by whoever looks into it, on
 * that thread; headers are read on the crew's.
 */
#include <errno.h>
#include <stdio.h>

#include "engine/restore/look_origins.h"
#include "engine/restore/look_state.h"
#include "engine/restore/row_map.h"
#include "engine/restore/row_reading.h"

#define CONTENTS_TYPES                                                                             \
    (1u << PST_OBJECT_FILE | 1u << PST_OBJECT_ENVIRONMENT | 1u << PST_OBJECT_BLOCK_IMAGE)

static int take_data(void *context, uint32_t worker, const struct pst_part_map *part,
                     const void *chunk)
{
    const struct look_pass *pass = context;
    (void)worker;
    return row_map_add(pass->map, &pass->look->objects, &pass->look->set, part,
                       pst_chunk_header_of(chunk));
}

/* Where the contents stand that are handed on. */
struct look_stream {
    int (*take)(void *context, const void *data, size_t bytes);
    void *context;
    uint64_t offset;
    int taken; /* what take returned, not 0 */
};

static int hand_zeros(struct look_stream *stream, uint64_t end)
{
    static const uint8_t zeros[64 << 10];
    while (!stream->taken && stream->offset < end) {
        uint64_t left = end - stream->offset;
        size_t bytes = left < sizeof(zeros) ? (size_t)left : sizeof(zeros);
        stream->taken = stream->take(stream->context, zeros, bytes);
        stream->offset += bytes;
    }
    return stream->taken;
}

static int take_piece(void *context, const struct row_piece *piece, const void *data)
{
    struct look_stream *stream = context;
    if (piece->object_offset < stream->offset)
        return -PST_E_INCONSISTENT;
    if (hand_zeros(stream, piece->object_offset) == 0)
        stream->taken = stream->take(stream->context, data, piece->bytes);
    stream->offset += piece->bytes;
    return stream->taken;
}

static int stream_pieces(struct pst_look *look, const struct pst_part_set *set,
                         const struct row_map *map, struct look_stream *stream, char *message)
{
    atomic_uint_least64_t read_bytes = 0;
    struct row_reading reading = {.crew = look->crew,
                                  .set = set,
                                  .map = map,
                                  .findings = &look->findings,
                                  .bytes_done = &read_bytes};
    int error = row_reading_open(&reading);
    if (error)
        return look_fail(message, error, "%s", pst_error_text(error));
    error = row_reading_run(&reading, 0, map->pieces_count, take_piece, stream);
    row_reading_close(&reading);
    look->read_bytes += atomic_load(&read_bytes);
    if (!error || stream->taken)
        return error;
    return look_fail_reading(look, error, message);
}

static uint64_t bytes_of(const struct row_map *map)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < map->pieces_count; i++)
        bytes += map->pieces[i].bytes;
    return bytes;
}

/* Whether what the backup has of the object is what it had: docs/format.md, *Catalogue*. */
static int judge(const struct pst_look *look, const struct row_map *map, bool *is_cut,
                 char *message)
{
    const struct pst_object *object = &look->object;
    uint64_t wanted, bytes = bytes_of(map);
    bool is_known = pst_object_data_bytes(object, &wanted);
    *is_cut = false;
    if ((object->flags & PST_OBJECT_UNREADABLE) && bytes == 0)
        return look_fail(message, -PST_E_SCAN, "%s: it could not be read during the backup",
                         look->name);
    if (!is_known || bytes == wanted)
        return 0;
    *is_cut = object->type == PST_OBJECT_FILE && object->flags == PST_OBJECT_CHANGED;
    if (bytes > wanted || object->flags == 0)
        return look_fail(message, -PST_E_CORRUPT, "%s: %s", look->name,
                         bytes > wanted ? "it has more contents than were listed"
                                        : "pieces of its contents are missing");
    return 0;
}

static int stream_object(struct pst_look *look, const struct pst_part_set *set,
                         const struct row_map *map, struct look_stream *stream, char *message)
{
    bool is_cut;
    int error = judge(look, map, &is_cut, message);
    if (!error)
        error = stream_pieces(look, set, map, stream, message);
    if (!error && !is_cut)
        error = hand_zeros(stream, look->object.size);
    if (error || !look->object.flags)
        return error;
    return look_fail(message, -PST_E_SCAN, "%s: it %s the backup", look->name,
                     look->object.flags & PST_OBJECT_UNREADABLE ? "could not be read wholly during"
                                                                : "changed during");
}

int pst_look_contents(struct pst_look *look,
                      int (*take)(void *context, const void *data, size_t bytes), void *context,
                      char *message)
{
    struct row_map map;
    struct look_stream stream = {.take = take, .context = context};
    const struct pst_object *object = &look->object;
    if ((CONTENTS_TYPES & 1u << object->type) == 0)
        return look_fail(message, object->type == PST_OBJECT_DIRECTORY ? -EISDIR : -ENOTSUP,
                         "%s: %s", look->name,
                         object->type == PST_OBJECT_DIRECTORY ? "it is a directory"
                                                              : "it is no file");
    struct look_pass pass = {
        .look = look, .node_index = look->found->node, .id = object->id, .map = &map};
    struct look_origins origins = {.backup = look->backup,
                                   .own = &look->set,
                                   .objects = &look->objects,
                                   .crew = look->crew,
                                   .findings = &look->findings,
                                   .map = &map,
                                   .read_bytes = &look->read_bytes};
    bool has_origins = object->size > 0 && origins_may_be(look->backup);
    row_map_init(&map);
    map.types = CONTENTS_TYPES;
    int error = object->size > 0
                    ? look_read_chunks(&pass, PST_CHUNK_DATA, CHUNK_HEADER, take_data, message)
                    : 0;
    if (!error && has_origins) {
        error = look_origins_add(&origins, pass.node_index, pass.id);
        error = error ? look_fail_reading(look, error, message) : 0;
    }
    row_map_sort(&map);
    if (!error)
        error =
            stream_object(look, has_origins ? &origins.set : &look->set, &map, &stream, message);
    if (has_origins)
        look_origins_release(&origins);
    row_map_release(&map);
    return error;
}
