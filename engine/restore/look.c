/*
 * Finds objects of a backup by name, and reads the contents of one. The calls run on the caller's
 * thread, what reads chunks on the crew's.
 */
#include "engine/restore/look.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore/chunk_reader.h"
#include "engine/restore/look_origins.h"
#include "engine/restore/name_glob.h"
#include "engine/restore/object_order.h"
#include "engine/restore/objects.h"
#include "engine/restore/row_map.h"
#include "engine/restore/row_reading.h"

#define PREFIX_BYTES 80u /* "255/NAME" */
#define NAME_BYTES (PREFIX_BYTES + PST_PATH_BYTES_MAX + 1)

#define CONTENTS_TYPES                                                                             \
    (1u << PST_OBJECT_FILE | 1u << PST_OBJECT_ENVIRONMENT | 1u << PST_OBJECT_BLOCK_IMAGE)

/* One source, and where the name that is looked for lies in it. */
struct look_source {
    uint32_t node_index;
    uint32_t instance;
    const char *name;
    char prefix[PREFIX_BYTES]; /* of its objects' names; "": none */
    bool is_wanted;
    const char *path; /* is_wanted: in the source */
    size_t path_bytes;
};

struct pst_look {
    const struct pst_backup *backup;
    struct crew *crew;
    struct pst_part_set set;
    struct pst_findings findings;
    struct look_source *sources;
    uint32_t sources_count;
    struct objects objects; /* of the last query */
    bool has_objects;
    uint64_t read_bytes;
    struct object_record *found; /* pst_look_find's */
    char name[NAME_BYTES];       /* of the object that is handed on */
    struct pst_object object;
};

/* What is read for: the objects of a query, or one by its id. */
struct look_pass {
    struct pst_look *look;
    const struct pst_look_query *query; /* NULL: the object of this id */
    bool is_exact;                      /* of the query's name alone */
    struct name_glob glob;              /* of the query's pattern, if it has one */
    uint32_t node_index;
    uint64_t id;
    bool is_data;
    struct row_map *map; /* is_data: takes its pieces */
};

static int fail(char *message, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(char *message, int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, PST_MESSAGE_BYTES, format, arguments);
    va_end(arguments);
    return error;
}

/* Of a reading of the backup: with the first finding, where there is one. */
static int fail_reading(const struct pst_look *look, int error, char *message)
{
    const struct pst_findings *findings = &look->findings;
    return fail(message, error, "%s", findings->damages ? findings->first : pst_error_text(error));
}

/* ---- opening ---- */

static int list_sources(struct pst_look *look)
{
    const struct pst_backup *backup = look->backup;
    uint32_t missing[PST_NODES_MAX], count = 0;
    bool has_nodes = backup->cluster.nodes_count + pst_backup_missing(backup, missing) > 1;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++)
        count += backup->nodes[i].sources_count;
    look->sources = calloc(count + 1, sizeof(*look->sources));
    if (!look->sources)
        return -ENOMEM;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &backup->nodes[i];
        for (uint32_t j = 0; j < node->sources_count; j++) {
            struct look_source *source = &look->sources[look->sources_count++];
            source->node_index = i;
            source->instance = node->sources[j].instance;
            source->name = node->sources[j].name;
            bool has_name = node->sources_count > 1;
            if (has_nodes)
                snprintf(source->prefix, sizeof(source->prefix), "%u/%s", node->node, source->name);
            else if (has_name)
                snprintf(source->prefix, sizeof(source->prefix), "%s", source->name);
        }
    }
    return 0;
}

static int map_parts(struct pst_look *look, char *message)
{
    int error = pst_backup_parts_make(look->backup, &look->set, NULL);
    if (!error)
        error = chunk_map_parts(look->crew, &look->set, &look->findings, &look->read_bytes, true);
    if (!error && look->findings.damages)
        error = look->findings.first_error;
    return error ? fail_reading(look, error, message) : 0;
}

int pst_look_open(const struct pst_backup *backup, const struct pst_crew *crew,
                  struct pst_look **opened, char *message)
{
    *opened = NULL;
    if (!pst_backup_is_usable(backup->state))
        return fail(message, backup->error, "%s", backup->reason);
    struct pst_look *look = calloc(1, sizeof(*look));
    if (!look)
        return fail(message, -ENOMEM, "out of memory");
    look->backup = backup;
    pst_findings_init(&look->findings, NULL, NULL);
    int error = crew_open(crew, &look->crew);
    if (error)
        goto err_after_alloc;
    error = list_sources(look);
    if (!error)
        error = map_parts(look, message);
    if (!error) {
        *opened = look;
        return 0;
    }
    pst_look_close(look);
    return error;
err_after_alloc:
    free(look);
    return fail(message, error, "%s", pst_error_text(error));
}

void pst_look_close(struct pst_look *look)
{
    if (look->has_objects)
        objects_release(&look->objects);
    crew_close(look->crew);
    pst_backup_parts_free(&look->set);
    free(look->sources);
    free(look);
}

struct pst_look_bytes pst_look_bytes(const struct pst_look *look)
{
    return (struct pst_look_bytes){.total = look->set.file_bytes, .read = look->read_bytes};
}

/* ---- names ---- */

/* What follows a directory in a name: "" for itself, NULL where it does not lie there. */
static const char *below(const char *name, const char *directory, size_t bytes)
{
    if (bytes == 0)
        return name;
    if (strncmp(name, directory, bytes) != 0 || (name[bytes] != '\0' && name[bytes] != '/'))
        return NULL;
    return name[bytes] == '/' ? name + bytes + 1 : name + bytes;
}

/* How much of a name is looked for: a slash behind it means nothing. */
static size_t name_bytes(const char *name)
{
    size_t bytes = name ? strlen(name) : 0;
    while (bytes > 0 && name[bytes - 1] == '/')
        bytes--;
    return bytes;
}

/* In each source, or none, the path that the name means there. */
static void aim(struct pst_look *look, const struct pst_look_query *query)
{
    const char *name = query->name ? query->name : "";
    size_t bytes = name_bytes(name);
    for (uint32_t i = 0; i < look->sources_count; i++) {
        struct look_source *source = &look->sources[i];
        const char *path = below(name, source->prefix, strlen(source->prefix));
        bool is_inside = path && path < name + bytes;
        source->is_wanted = path || (query->is_deep && below(source->prefix, name, bytes));
        source->path = is_inside ? path : "";
        source->path_bytes = is_inside ? (size_t)(name + bytes - path) : 0;
    }
}

static const struct look_source *source_of(const struct pst_look *look, uint32_t node_index,
                                           uint64_t id)
{
    for (uint32_t i = 0; i < look->sources_count; i++) {
        const struct look_source *source = &look->sources[i];
        if (source->node_index == node_index && source->instance == pst_object_source(id))
            return source;
    }
    return NULL;
}

/* name: NAME_BYTES, for the found one. */
static struct pst_look_object name_object(const struct pst_look *look,
                                          const struct look_source *source,
                                          const struct pst_object *object, char *name)
{
    bool has_both = source->prefix[0] && object->path[0];
    snprintf(name, NAME_BYTES, "%s%s%s", source->prefix, has_both ? "/" : "", object->path);
    return (struct pst_look_object){
        .node = look->backup->cluster.nodes[source->node_index].node,
        .source = source->name,
        .name = name,
        .object = object,
    };
}

/* ---- catalogues ---- */

static bool query_wants(const struct look_pass *pass, const struct look_source *source,
                        const struct pst_object *object)
{
    const struct pst_look_query *query = pass->query;
    char name[NAME_BYTES];
    if (!source || !source->is_wanted)
        return false;
    const char *rest = below(object->path, source->path, source->path_bytes);
    if (!rest || (!query->is_deep && strchr(rest, '/')) || (pass->is_exact && *rest))
        return false;
    if (!query->pattern)
        return true;
    name_object(pass->look, source, object, name);
    return name_glob_match(&pass->glob, name) == NAME_MATCHES;
}

static bool pass_wants(const struct look_pass *pass, uint32_t node_index,
                       const struct pst_object *object)
{
    if (!pass->query)
        return node_index == pass->node_index && object->id == pass->id;
    return query_wants(pass, source_of(pass->look, node_index, object->id), object);
}

static int damaged(struct pst_look *look, const struct pst_part_map *part,
                   const struct pst_chunk_header *header, size_t offset, int error)
{
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + offset, header->raw_bytes - offset,
                                      "catalogue entry"};
    pst_findings_add_damage(&look->findings, &part->file, header->file_offset, &damage, error);
    return error;
}

static int take_catalogue(void *context, uint32_t worker, const struct pst_part_map *part,
                          const void *chunk)
{
    const struct look_pass *pass = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    (void)worker;
    for (size_t offset = 0; offset < header->raw_bytes;) {
        struct pst_object object;
        size_t begin = offset, end = 0;
        uint32_t count = 0;
        int error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && pass_wants(pass, part->node_index, &object))
            error = objects_add(&pass->look->objects, part->node_index, payload + begin,
                                offset - begin, &end, &count);
        if (error)
            return error == -ENOMEM ? error : damaged(pass->look, part, header, begin, error);
    }
    return 0;
}

static int take_data(void *context, uint32_t worker, const struct pst_part_map *part,
                     const void *chunk)
{
    const struct look_pass *pass = context;
    (void)worker;
    return row_map_add(pass->map, &pass->look->objects, &pass->look->set, part,
                       pst_chunk_header_of(chunk));
}

/* Whether a chunk may hold what the pass is for, as the index says. */
static bool chunk_is_wanted(void *context, const struct pst_part_map *part,
                            const struct pst_index_entry *entry)
{
    const struct look_pass *pass = context;
    if (pass->query)
        return true;
    return part->node_index == pass->node_index && entry->object_first <= pass->id &&
           pass->id <= entry->object_last;
}

static int run_pass(struct look_pass *pass, char *message)
{
    struct pst_look *look = pass->look;
    struct chunk_reading reading = {
        .crew = look->crew,
        .set = &look->set,
        .types = 1u << (pass->is_data ? PST_CHUNK_DATA : PST_CHUNK_CATALOGUE),
        .extent = pass->is_data ? CHUNK_HEADER : CHUNK_WHOLE,
        .wants = chunk_is_wanted,
        .take = pass->is_data ? take_data : take_catalogue,
        .findings = &look->findings,
        .stop_at_damage = true,
        .context = pass,
    };
    int error = chunk_reading_run(&reading);
    look->read_bytes += atomic_load(&reading.bytes_done) + atomic_load(&reading.index_bytes);
    return error ? fail_reading(look, error, message) : 0;
}

static int gather(struct look_pass *pass, char *message)
{
    struct pst_look *look = pass->look;
    const struct object_record *clash;
    if (look->has_objects)
        objects_release(&look->objects);
    look->found = NULL;
    int error = objects_init(&look->objects);
    look->has_objects = !error;
    if (error)
        return fail(message, error, "out of memory");
    look->objects.is_partial = true;
    error = run_pass(pass, message);
    if (error)
        return error;
    error = objects_gather(&look->objects);
    if (!error)
        error = objects_sort(&look->objects, &clash);
    return error ? fail(message, error, "%s", pst_error_text(error)) : 0;
}

/* ---- lists ---- */

static int hand_on(struct pst_look *look, struct object_record *record, pst_look_each *each,
                   void *context)
{
    const struct look_source *source = source_of(look, record->node, object_id(record));
    look->object = object_of(record);
    const struct pst_look_object found = name_object(look, source, &look->object, look->name);
    return each(context, &found);
}

/* A source below the name, which the catalogues do not have as a directory there. */
static int hand_on_source(struct pst_look *look, const struct look_source *source,
                          pst_look_each *each, void *context)
{
    const struct pst_object object = {.type = PST_OBJECT_DIRECTORY, .path = "", .mode = 0755};
    const struct pst_look_object found = name_object(look, source, &object, look->name);
    return each(context, &found);
}

static int list_sources_below(struct pst_look *look, const struct pst_look_query *query,
                              pst_look_each *each, void *context, uint32_t *count)
{
    size_t bytes = name_bytes(query->name);
    int result = 0;
    for (uint32_t i = 0; !result && i < look->sources_count; i++) {
        const struct look_source *source = &look->sources[i];
        if (source->is_wanted || !source->prefix[0] || !below(source->prefix, query->name, bytes))
            continue;
        result = hand_on_source(look, source, each, context);
        ++*count;
    }
    return result;
}

static bool wants_any(const struct pst_look *look)
{
    for (uint32_t i = 0; i < look->sources_count; i++) {
        if (look->sources[i].is_wanted)
            return true;
    }
    return false;
}

/* A pattern without a slash is one for the last component. */
static int make_glob(struct name_glob *glob, const char *pattern)
{
    char *anywhere = NULL;
    if (!strchr(pattern, '/') && asprintf(&anywhere, "**/%s", pattern) < 0)
        return -ENOMEM;
    int error = name_glob_make(glob, anywhere ? anywhere : pattern);
    free(anywhere);
    return error;
}

static int list_objects(struct look_pass *pass, pst_look_each *each, void *context, char *message)
{
    struct pst_look *look = pass->look;
    int result = gather(pass, message);
    for (size_t i = 0; !result && i < look->objects.count; i++)
        result = hand_on(look, look->objects.listed[i], each, context);
    return result;
}

static int fail_name(const struct pst_look *look, const char *name, char *message)
{
    return fail(message, -ENOKEY, "backup %u has no %s", look->backup->number, name);
}

int pst_look_list(struct pst_look *look, const struct pst_look_query *query, pst_look_each *each,
                  void *context, char *message)
{
    struct look_pass pass = {.look = look, .query = query};
    uint32_t count = 0;
    aim(look, query);
    int result = list_sources_below(look, query, each, context, &count);
    if (result)
        return result;
    if (!wants_any(look))
        return count > 0 ? 0 : fail_name(look, query->name, message);
    if (query->pattern && make_glob(&pass.glob, query->pattern) != 0)
        return fail(message, -ENOMEM, "out of memory");
    result = list_objects(&pass, each, context, message);
    if (query->pattern)
        name_glob_release(&pass.glob);
    if (!result && !query->pattern && name_bytes(query->name) > 0 && look->objects.count == 0)
        return fail_name(look, query->name, message);
    return result;
}

/* ---- contents ---- */

int pst_look_find(struct pst_look *look, const char *name, struct pst_look_object *found,
                  char *message)
{
    const struct pst_look_query query = {.name = name};
    struct look_pass pass = {.look = look, .query = &query, .is_exact = true};
    aim(look, &query);
    int error = gather(&pass, message);
    if (error)
        return error;
    if (look->objects.count > 0 && object_type(look->objects.listed[0]) == PST_OBJECT_HARD_LINK) {
        const struct object_record *link = look->objects.listed[0];
        struct look_pass linked = {
            .look = look, .node_index = link->node, .id = object_of(link).linked_object};
        error = gather(&linked, message);
        if (error)
            return error;
    }
    if (look->objects.count == 0)
        return fail_name(look, name, message);
    look->found = look->objects.listed[0];
    look->object = object_of(look->found);
    *found = name_object(look, source_of(look, look->found->node, look->object.id), &look->object,
                         look->name);
    return 0;
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
        return fail(message, error, "%s", pst_error_text(error));
    error = row_reading_run(&reading, 0, map->pieces_count, take_piece, stream);
    row_reading_close(&reading);
    look->read_bytes += atomic_load(&read_bytes);
    if (!error || stream->taken)
        return error;
    return fail_reading(look, error, message);
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
        return fail(message, -PST_E_SCAN, "%s: it could not be read during the backup", look->name);
    if (!is_known || bytes == wanted)
        return 0;
    *is_cut = object->type == PST_OBJECT_FILE && object->flags == PST_OBJECT_CHANGED;
    if (bytes > wanted || object->flags == 0)
        return fail(message, -PST_E_CORRUPT, "%s: %s", look->name,
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
    return fail(message, -PST_E_SCAN, "%s: it %s the backup", look->name,
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
        return fail(message, object->type == PST_OBJECT_DIRECTORY ? -EISDIR : -ENOTSUP, "%s: %s",
                    look->name,
                    object->type == PST_OBJECT_DIRECTORY ? "it is a directory" : "it is no file");
    struct look_pass pass = {.look = look,
                             .node_index = look->found->node,
                             .id = object->id,
                             .is_data = true,
                             .map = &map};
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
    int error = object->size > 0 ? run_pass(&pass, message) : 0;
    if (!error && has_origins) {
        error = look_origins_add(&origins, pass.node_index, pass.id);
        error = error ? fail_reading(look, error, message) : 0;
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
