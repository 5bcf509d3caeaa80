/*
 * Which objects are restored, where options->paths or options->tables choose some: what matches,
 * what lies below that, and the directories above it. Called by restore.c on its thread, in place
 * of reading all catalogues; entries are taken on the crew's threads.
 */
#include "engine/restore/restore_select.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/rows.h"
#include "engine/restore/name_glob.h"
#include "engine/restore/object_order.h"
#include "engine/restore/object_paths.h"
#include "engine/restore/restore_passes.h"

/* A file that is chosen only by another of its names gets that one. */
struct moved {
    uint32_t node;
    uint64_t id;
    const struct object_record *link; /* the first of its names that is chosen */
};

struct selecting {
    struct restore_run *run;
    struct name_glob *globs; /* of options->paths */
    bool *has_match;         /* by path, then by table; with the mutex of the run */
    struct objects found;    /* what matches or leads there, as the catalogues have it */
    struct moved *moved;     /* by node and id */
    size_t moved_count;
    uint8_t *entry; /* room for one that is written anew */
};

/* Of the records of `found`: it is restored. */
static bool is_kept(const struct object_record *record)
{
    return atomic_load(&record->made);
}

/* ---- what matches ---- */

static void note_match(struct selecting *selecting, uint32_t i)
{
    pthread_mutex_lock(&selecting->run->mutex);
    selecting->has_match[i] = true;
    pthread_mutex_unlock(&selecting->run->mutex);
}

static enum name_match match_tables(struct selecting *selecting, const struct pst_object *object)
{
    const struct pst_restore_options *options = selecting->run->options;
    if (options->tables_count == 0 || object->type != PST_OBJECT_ROWS)
        return object->type == PST_OBJECT_DATABASE || object->path[0] == '\0' ? NAME_LEADS_THERE
                                                                              : NAME_DIFFERS;
    const struct pst_share share = pst_share_of(object);
    for (uint32_t i = 0; i < options->tables_count; i++) {
        if (!pst_table_name_is(options->tables[i], share.name, share.name_bytes))
            continue;
        note_match(selecting, options->paths_count + i);
        return NAME_MATCHES;
    }
    return NAME_DIFFERS;
}

static const char *source_name(const struct restore_run *run, uint32_t node_index, uint64_t id)
{
    const struct object_record record = {.node = node_index};
    return restore_source_name(run, &record, id);
}

static enum name_match match(struct selecting *selecting, uint32_t node_index,
                             const struct pst_object *object)
{
    struct restore_run *run = selecting->run;
    enum name_match best = match_tables(selecting, object);
    char place[RESTORE_PLACE_BYTES], name[RESTORE_PLACE_BYTES + PST_PATH_BYTES_MAX + 1];
    restore_place(run, node_index, source_name(run, node_index, object->id), place);
    const char *slash = place[0] && object->path[0] ? "/" : "";
    snprintf(name, sizeof(name), "%s%s%s", place, slash, object->path);
    for (uint32_t i = 0; i < run->options->paths_count; i++) {
        enum name_match one = name_glob_match(&selecting->globs[i], name);
        if (one >= NAME_LIES_BELOW)
            note_match(selecting, i);
        best = one > best ? one : best;
    }
    return best;
}

static int take_matching(void *context, uint32_t worker, const struct pst_part_map *part,
                         const void *chunk)
{
    struct restore_run *run = context;
    struct selecting *selecting = run->selecting;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    (void)worker;
    for (size_t offset = 0; offset < header->raw_bytes;) {
        struct pst_object object;
        size_t begin = offset, end;
        uint32_t count = 0;
        int error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && objects_want(&selecting->found, part->node_index, object.id)) {
            enum name_match how = match(selecting, part->node_index, &object);
            bool is_taken = how >= NAME_LIES_BELOW || object.type == PST_OBJECT_DATABASE ||
                            (how == NAME_LEADS_THERE && object.type == PST_OBJECT_DIRECTORY);
            if (is_taken)
                error = objects_add(&selecting->found, part->node_index, payload + begin,
                                    offset - begin, &end, &count);
        }
        if (error)
            return restore_bad_entry(run, part, chunk, begin, error);
    }
    return 0;
}

/* ---- what is kept of it ---- */

static void keep(struct object_record *record)
{
    atomic_store(&record->made, true);
}

static void keep_parents(const struct objects *found, const struct object_record *record)
{
    const char *path = object_path(record);
    size_t bytes = object_path_bytes(record);
    while (bytes > 0) {
        const char *slash = memrchr(path, '/', bytes);
        bytes = slash ? (size_t)(slash - path) : 0;
        const struct object_record *parent = objects_at(found, record, path, bytes);
        if (!parent)
            continue;
        if (is_kept(parent))
            return;
        keep(objects_find(found, parent->node, object_id(parent)));
    }
}

/* The database of rows that are kept. */
static void keep_databases(const struct selecting *selecting, const uint64_t *rows)
{
    const struct objects *found = &selecting->found;
    for (size_t i = 0; i < found->count; i++) {
        struct object_record *record = found->listed[i];
        uint32_t instance = pst_object_source(object_id(record));
        bool has_rows = (rows[record->node] >> instance & 1) != 0;
        if (object_type(record) != PST_OBJECT_DATABASE || !has_rows)
            continue;
        keep(record);
        keep_parents(found, record);
    }
}

static void choose(struct selecting *selecting)
{
    struct objects *found = &selecting->found;
    uint64_t rows[PST_NODES_MAX] = {0};
    for (size_t i = 0; i < found->count; i++) {
        struct object_record *record = found->listed[i];
        const struct pst_object object = object_of(record);
        if (object.type == PST_OBJECT_DATABASE ||
            match(selecting, record->node, &object) < NAME_LIES_BELOW)
            continue;
        keep(record);
        keep_parents(found, record);
        if (object.type == PST_OBJECT_ROWS)
            rows[record->node] |= UINT64_C(1) << pst_object_source(object.id);
    }
    keep_databases(selecting, rows);
}

/* ---- files that are chosen by another name alone ---- */

static int by_node_and_id(const void *a, const void *b)
{
    const struct moved *left = a, *right = b;
    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static int find_moved(struct selecting *selecting)
{
    const struct objects *found = &selecting->found;
    size_t count = 0;
    selecting->moved = calloc(found->count + 1, sizeof(*selecting->moved));
    if (!selecting->moved)
        return -ENOMEM;
    for (size_t i = 0; i < found->count; i++) {
        const struct object_record *record = found->listed[i];
        if (!is_kept(record) || object_type(record) != PST_OBJECT_HARD_LINK)
            continue;
        uint64_t id = object_of(record).linked_object;
        const struct object_record *first = objects_find(found, record->node, id);
        if (!first || !is_kept(first))
            selecting->moved[count++] = (struct moved){record->node, id, record};
    }
    qsort(selecting->moved, count, sizeof(*selecting->moved), by_node_and_id);
    for (size_t i = 0; i < count; i++) {
        const struct moved *moved = &selecting->moved[i];
        if (selecting->moved_count == 0 ||
            by_node_and_id(moved, &selecting->moved[selecting->moved_count - 1]) != 0)
            selecting->moved[selecting->moved_count++] = *moved;
    }
    return 0;
}

/* The first one of at least this id, in a node. */
static const struct moved *moved_from(const struct selecting *selecting, uint32_t node, uint64_t id)
{
    size_t low = 0, high = selecting->moved_count;
    const struct moved wanted = {.node = node, .id = id};
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_node_and_id(&selecting->moved[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_there = low < selecting->moved_count && selecting->moved[low].node == node;
    return is_there ? &selecting->moved[low] : NULL;
}

/* ---- what is restored ---- */

/* "b/c" of "a/b/c"; NULL: nothing is left. */
static const char *stripped(const struct restore_run *run, const char *path)
{
    for (uint32_t i = 0; i < run->options->strip; i++) {
        const char *slash = strchr(path, '/');
        if (!slash)
            return NULL;
        path = slash + 1;
    }
    return path;
}

struct short_directory {
    struct object_record *record;
    const char *path; /* stripped */
};

static int by_place(const void *a, const void *b)
{
    const struct short_directory *left = a, *right = b;
    uint64_t left_source = pst_object_source(object_id(left->record));
    uint64_t right_source = pst_object_source(object_id(right->record));
    if (left->record->node != right->record->node)
        return left->record->node < right->record->node ? -1 : 1;
    if (left_source != right_source)
        return left_source < right_source ? -1 : 1;
    int order = strcmp(left->path, right->path);
    return order ? order : strcmp(object_path(left->record), object_path(right->record));
}

/* Whether --strip gives both one path. */
static bool are_one(const struct short_directory *a, const struct short_directory *b)
{
    return a->record->node == b->record->node &&
           pst_object_source(object_id(a->record)) == pst_object_source(object_id(b->record)) &&
           strcmp(a->path, b->path) == 0;
}

/* Of directories that come to have one path, the first by name in the backup gives the metadata. */
static int merge_directories(struct selecting *selecting)
{
    const struct objects *found = &selecting->found;
    size_t count = 0;
    struct short_directory *directories = calloc(found->count + 1, sizeof(*directories));
    if (!directories)
        return -ENOMEM;
    for (size_t i = 0; i < found->count; i++) {
        struct object_record *record = found->listed[i];
        const char *path = stripped(selecting->run, object_path(record));
        if (path && is_kept(record) && object_type(record) == PST_OBJECT_DIRECTORY)
            directories[count++] = (struct short_directory){record, path};
    }
    qsort(directories, count, sizeof(*directories), by_place);
    for (size_t i = 1; i < count; i++) {
        if (are_one(&directories[i - 1], &directories[i]))
            atomic_store(&directories[i].record->made, false);
    }
    free(directories);
    return 0;
}

/* Enters an object by a path of its source, or none. */
static int enter(struct selecting *selecting, uint32_t node, struct pst_object *object,
                 const char *path)
{
    struct restore_run *run = selecting->run;
    size_t bytes = 0, end;
    uint32_t count = 0;
    bool is_of_rows = object->type == PST_OBJECT_ROWS || object->type == PST_OBJECT_DATABASE;
    object->path = is_of_rows ? path : stripped(run, path);
    if (!object->path && object->type != PST_OBJECT_DIRECTORY)
        return restore_fail(run, -ENOKEY, "--strip %u leaves nothing of the name %s",
                            run->options->strip, path);
    if (!object->path)
        return 0;
    int error = pst_object_encode(object, selecting->entry, PST_OBJECT_BYTES_MAX, &bytes);
    if (!error)
        error = objects_add(&run->objects, node, selecting->entry, bytes, &end, &count);
    run->filled[node] |= UINT64_C(1) << pst_object_source(object->id);
    return error;
}

static int take_moved(void *context, uint32_t worker, const struct pst_part_map *part,
                      const void *chunk)
{
    struct restore_run *run = context;
    struct selecting *selecting = run->selecting;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    (void)worker;
    for (size_t offset = 0; offset < header->raw_bytes;) {
        struct pst_object object;
        size_t begin = offset;
        int error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (error)
            return restore_bad_entry(run, part, chunk, begin, error);
        const struct moved *moved = moved_from(selecting, part->node_index, object.id);
        if (!moved || moved->id != object.id)
            continue;
        pthread_mutex_lock(&selecting->run->files); /* of selecting->entry */
        error = enter(selecting, part->node_index, &object, object_path(moved->link));
        pthread_mutex_unlock(&selecting->run->files);
        if (error)
            return error;
    }
    return 0;
}

/* Whether it is only a name that its file gets now. */
static bool is_given_away(const struct selecting *selecting, const struct object_record *record,
                          const struct pst_object *object)
{
    if (object->type != PST_OBJECT_HARD_LINK)
        return false;
    const struct moved *moved = moved_from(selecting, record->node, object->linked_object);
    return moved && moved->id == object->linked_object && moved->link == record;
}

static int enter_kept(struct selecting *selecting)
{
    const struct objects *found = &selecting->found;
    int error = 0;
    for (size_t i = 0; !error && i < found->count; i++) {
        const struct object_record *record = found->listed[i];
        struct pst_object object = object_of(record);
        if (is_kept(record) && !is_given_away(selecting, record, &object))
            error = enter(selecting, record->node, &object, object.path);
    }
    return error;
}

static int check_matches(const struct selecting *selecting)
{
    const struct pst_restore_options *options = selecting->run->options;
    for (uint32_t i = 0; i < options->paths_count + options->tables_count; i++) {
        bool is_path = i < options->paths_count;
        if (!selecting->has_match[i])
            return restore_fail(selecting->run, -ENOKEY, "backup %u has no %s %s",
                                selecting->run->backup->number, is_path ? "object" : "table",
                                is_path ? options->paths[i]
                                        : options->tables[i - options->paths_count]);
    }
    return 0;
}

static bool holds_moved(void *context, const struct pst_part_map *part,
                        const struct pst_index_entry *entry)
{
    const struct restore_run *run = context;
    const struct moved *moved = moved_from(run->selecting, part->node_index, entry->object_first);
    return moved && moved->id <= entry->object_last;
}

static int read_and_choose(struct selecting *selecting)
{
    struct restore_run *run = selecting->run;
    bool has_clash;
    int error =
        restore_read_chunks(run, PST_CHUNK_CATALOGUE, CHUNK_WHOLE, take_matching, NULL, NULL);
    if (!error)
        error = check_matches(selecting);
    if (!error)
        error = objects_gather(&selecting->found);
    if (!error)
        error = objects_enter_paths(&selecting->found, run->crew, &has_clash);
    if (error)
        return error;
    choose(selecting);
    error = find_moved(selecting);
    if (!error && run->options->strip > 0)
        error = merge_directories(selecting);
    if (!error)
        error = enter_kept(selecting);
    if (error || selecting->moved_count == 0)
        return error;
    run->wants = holds_moved;
    error = restore_read_chunks(run, PST_CHUNK_CATALOGUE, CHUNK_WHOLE, take_moved, NULL, NULL);
    run->wants = NULL;
    return error;
}

static int make_globs(struct selecting *selecting)
{
    const struct pst_restore_options *options = selecting->run->options;
    selecting->globs = calloc(options->paths_count + 1, sizeof(*selecting->globs));
    selecting->has_match =
        calloc(options->paths_count + options->tables_count, sizeof(*selecting->has_match));
    selecting->entry = malloc(PST_OBJECT_BYTES_MAX);
    if (!selecting->globs || !selecting->has_match || !selecting->entry)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->paths_count; i++) {
        int error = name_glob_make(&selecting->globs[i], options->paths[i]);
        if (error)
            return error;
    }
    return 0;
}

int restore_select(struct restore_run *run)
{
    struct selecting selecting = {.run = run};
    int error = make_globs(&selecting);
    bool has_found = !error && objects_init(&selecting.found) == 0;
    if (!error && !has_found)
        error = -ENOMEM;
    selecting.found.only = run->objects.only;
    run->objects.only = NULL; /* what is entered was chosen */
    run->objects.is_partial = true;
    run->selecting = &selecting;
    if (!error)
        error = read_and_choose(&selecting);
    run->selecting = NULL;
    if (has_found)
        objects_release(&selecting.found);
    for (uint32_t i = 0; selecting.globs && i < run->options->paths_count; i++)
        name_glob_release(&selecting.globs[i]);
    free(selecting.globs);
    free(selecting.has_match);
    free(selecting.moved);
    free(selecting.entry);
    return error;
}

/* ---- the chunks that have their data ---- */

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* By node: the ids of its objects, ascending. */
struct restore_ids {
    uint64_t *ids;
    size_t first[PST_NODES_MAX + 1];
};

int restore_list_ids(struct restore_run *run)
{
    const struct objects *objects = &run->objects;
    size_t next[PST_NODES_MAX] = {0};
    struct restore_ids *list = calloc(1, sizeof(*list));
    run->ids = list;
    if (list)
        list->ids = calloc(objects->count + 1, sizeof(*list->ids));
    if (!list || !list->ids)
        return -ENOMEM;
    for (uint32_t i = 0; i < PST_NODES_MAX; i++) {
        next[i] = list->first[i];
        list->first[i + 1] = list->first[i] + objects->counts[i];
    }
    for (size_t i = 0; i < objects->count; i++)
        list->ids[next[objects->listed[i]->node]++] = object_id(objects->listed[i]);
    for (uint32_t i = 0; i < PST_NODES_MAX; i++)
        qsort(list->ids + list->first[i], list->first[i + 1] - list->first[i], sizeof(*list->ids),
              by_value);
    run->wants = restore_wants_chunk;
    return 0;
}

void restore_forget_ids(struct restore_run *run)
{
    if (run->ids)
        free(run->ids->ids);
    free(run->ids);
    run->ids = NULL;
    run->wants = NULL;
}

bool restore_wants_chunk(void *context, const struct pst_part_map *part,
                         const struct pst_index_entry *entry)
{
    const struct restore_run *run = context;
    size_t low = run->ids->first[part->node_index], end = run->ids->first[part->node_index + 1];
    size_t high = end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run->ids->ids[middle] < entry->object_first)
            low = middle + 1;
        else
            high = middle;
    }
    return low < end && run->ids->ids[low] <= entry->object_last;
}
