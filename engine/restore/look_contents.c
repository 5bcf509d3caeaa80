/*
 * Reads the contents of an object of a backup in their order. Called by whoever looks into it, on
 * that thread; headers are read on the crew's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/digest.h"
#include "engine/restore/look_origins.h"
#include "engine/restore/look_state.h"
#include "engine/restore/row_map.h"
#include "engine/restore/row_reading.h"

static int take_data(void *context, uint32_t worker, const struct pst_part_map *part,
                     const void *chunk)
{
    const struct look_pass *pass = context;
    (void)worker;
    return row_map_add(pass->map, &pass->look->objects, &pass->look->set, part,
                       pst_chunk_header_of(chunk));
}

static struct look_origins origins_of(const struct look_pass *pass)
{
    return (struct look_origins){.backup = pass->look->backup,
                                 .own = &pass->look->set,
                                 .objects = &pass->look->objects,
                                 .crew = pass->look->crew,
                                 .findings = &pass->look->findings,
                                 .map = pass->map,
                                 .read_bytes = &pass->look->read_bytes,
                                 .is_of_all = pass->is_of_all,
                                 .node_index = pass->node_index,
                                 .id = pass->id};
}

/* Of what the pass is for, here and in the backups that this one refers to. */
static int map_pieces(struct look_pass *pass, struct look_origins *origins, char *message)
{
    int error = look_read_chunks(pass, PST_CHUNK_DATA, CHUNK_HEADER, take_data, message);
    if (error)
        return error;
    error = look_origins_add(origins);
    row_map_sort(pass->map);
    return error ? look_fail_reading(pass->look, error, message) : 0;
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

typedef int piece_taker(void *context, const struct row_piece *piece, const void *data);

static int read_pieces(struct pst_look *look, const struct pst_part_set *set,
                       const struct row_map *map, piece_taker *take, void *context)
{
    atomic_uint_least64_t read_bytes = 0;
    struct row_reading reading = {.crew = look->crew,
                                  .set = set,
                                  .map = map,
                                  .findings = &look->findings,
                                  .bytes_done = &read_bytes};
    int error = row_reading_open(&reading);
    if (error)
        return error;
    error = row_reading_run(&reading, 0, map->pieces_count, take, context);
    row_reading_close(&reading);
    look->read_bytes += atomic_load(&read_bytes);
    return error;
}

static int stream_pieces(struct pst_look *look, const struct pst_part_set *set,
                         const struct row_map *map, struct look_stream *stream, char *message)
{
    int error = read_pieces(look, set, map, take_piece, stream);
    return !error || stream->taken ? error : look_fail_reading(look, error, message);
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
    if (!is_known && object->flags == 0 && look_lacks_chunks(look, look->found->node))
        return look_fail(message, -PST_E_CORRUPT, "%s: pieces of its contents may be missing",
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
    if ((LOOK_CONTENTS_TYPES & 1u << object->type) == 0)
        return look_fail(message, object->type == PST_OBJECT_DIRECTORY ? -EISDIR : -ENOTSUP,
                         "%s: %s", look->name,
                         object->type == PST_OBJECT_DIRECTORY ? "it is a directory"
                                                              : "it is no file");
    struct look_pass pass = {
        .look = look, .node_index = look->found->node, .id = object->id, .map = &map};
    struct look_origins origins = origins_of(&pass);
    row_map_init(&map);
    map.types = LOOK_CONTENTS_TYPES;
    int error = object->size > 0 ? map_pieces(&pass, &origins, message) : 0;
    if (!error)
        error = stream_object(look, &origins.set, &map, &stream, message);
    look_origins_release(&origins);
    row_map_release(&map);
    return error;
}

/* ---- sums of many ---- */

#define BLOCK_BYTES ((size_t)64 << 10)

/* The block of an object that is being filled. */
struct summing {
    struct pst_look *look;
    struct object_record *record; /* NULL: none is */
    uint64_t block;               /* number */
    uint8_t bytes[BLOCK_BYTES];
};

/* Blocks of zeros do not count: they may be holes. */
static void end_block(struct summing *summing)
{
    static const uint8_t zeros[BLOCK_BYTES];
    uint64_t halves[2];
    if (!summing->record || memcmp(summing->bytes, zeros, BLOCK_BYTES) == 0)
        return;
    const struct pst_digest digest = pst_digest_of(summing->bytes, BLOCK_BYTES, summing->block);
    memcpy(halves, digest.bytes, sizeof(halves));
    atomic_fetch_add(&summing->record->sum[0], halves[0]);
    atomic_fetch_add(&summing->record->sum[1], halves[1]);
    memset(summing->bytes, 0, BLOCK_BYTES);
}

static int sum_piece(void *context, const struct row_piece *piece, const void *data)
{
    struct summing *summing = context;
    struct object_record *record =
        objects_find(&summing->look->objects, piece->node, piece->object);
    const uint8_t *rest = data;
    for (uint64_t at = piece->object_offset, end = at + piece->bytes; at < end;) {
        uint64_t block = at / BLOCK_BYTES, room = BLOCK_BYTES - at % BLOCK_BYTES;
        size_t bytes = (size_t)(end - at < room ? end - at : room);
        if (record != summing->record || block != summing->block)
            end_block(summing);
        summing->record = record;
        summing->block = block;
        memcpy(summing->bytes + at % BLOCK_BYTES, rest, bytes);
        rest += bytes;
        at += bytes;
    }
    return 0;
}

static bool is_marked(const struct object_record *record)
{
    return atomic_load(&record->made);
}

static int sum_pieces(struct pst_look *look, const struct pst_part_set *set,
                      const struct row_map *map)
{
    struct summing *summing = calloc(1, sizeof(*summing));
    if (!summing)
        return -ENOMEM;
    summing->look = look;
    int error = read_pieces(look, set, map, sum_piece, summing);
    if (!error)
        end_block(summing);
    free(summing);
    return error;
}

int look_sum_contents(struct pst_look *look, char *message)
{
    struct row_map map;
    row_map_init(&map);
    map.types = LOOK_CONTENTS_TYPES;
    map.wants = is_marked;
    struct look_pass pass = {.look = look, .is_of_all = true, .map = &map};
    struct look_origins origins = origins_of(&pass);
    int error = map_pieces(&pass, &origins, message);
    if (!error) {
        error = sum_pieces(look, &origins.set, &map);
        error = error ? look_fail_reading(look, error, message) : 0;
    }
    look_origins_release(&origins);
    row_map_release(&map);
    return error;
}
