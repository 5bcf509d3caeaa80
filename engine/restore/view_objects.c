/*
 * The objects of a view, as its catalogues have them, and the nodes of those that are held. Called
 * by view.c and view_listing.c, and by whoever shows the view, on that thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/format/directories.h"
#include "engine/restore/view_state.h"

int view_fail(struct pst_findings *findings, int error, char *message)
{
    bool is_of_files = error == -ENOENT || error == -ENOTDIR;
    return look_fail(message, is_of_files ? -EIO : error, "%s",
                     findings->damages ? findings->first : pst_error_text(error));
}

/* ---- numbers of nodes ---- */

#define SOURCE_SHIFT PST_OBJECT_SOURCE_SHIFT

/* A source's root is number 0 of it, whatever its object is. */
uint64_t view_ino(uint32_t source, uint64_t id)
{
    return (source + UINT64_C(1)) << SOURCE_SHIFT | (id & PST_OBJECT_COUNTER_MAX);
}

uint64_t view_root_ino(const struct pst_view *view, uint32_t source)
{
    return view->look->sources[source].prefix[0] ? view_ino(source, 0) : PST_VIEW_ROOT;
}

uint64_t view_node_ino(uint32_t node_index)
{
    return PST_VIEW_ROOT + 1 + node_index;
}

bool view_has_nodes(const struct pst_view *view)
{
    return view->look->sources_count > 0 && strchr(view->look->sources[0].prefix, '/');
}

/* ---- further names ---- */

int view_compare_links(const void *a, const void *b)
{
    const struct view_link *left = a, *right = b;
    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    if (left->target != right->target)
        return left->target < right->target ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static uint32_t count_names(const struct pst_view *view, uint32_t node, uint64_t id)
{
    const struct view_link wanted = {node, id, 0};
    size_t low = 0, high = view->links_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view_compare_links(&view->links[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    uint32_t names = 1;
    for (;
         low < view->links_count && view->links[low].node == node && view->links[low].target == id;
         low++)
        names++;
    return names;
}

/* ---- gathering objects ---- */

/* Whether the path lies directly in the directory, or is the directory. */
static bool lies_in(const char *path, const char *directory)
{
    size_t bytes = strlen(directory);
    if (strncmp(path, directory, bytes) != 0)
        return false;
    if (path[bytes] == '\0')
        return true;
    return bytes == 0 ? !strchr(path, '/') : path[bytes] == '/' && !strchr(path + bytes + 1, '/');
}

static bool wants(const struct look_source *source, const struct view_wanted *wanted,
                  const struct pst_object *object)
{
    if (!wanted->path)
        return object->id == wanted->id;
    return pst_object_source(object->id) == source->instance && lies_in(object->path, wanted->path);
}

static bool may_have(const struct look_source *source, const struct view_wanted *wanted,
                     const struct view_catalogue *catalogue)
{
    if (catalogue->part->node_index != source->node_index)
        return false;
    if (!wanted->path)
        return catalogue->entry.object_first <= wanted->id &&
               wanted->id <= catalogue->entry.object_last;
    return pst_directories_may_have(catalogue->header, source->instance, wanted->path,
                                    strlen(wanted->path));
}

static int gather_from(const struct look_source *source, const struct view_wanted *wanted,
                       const struct view_catalogue *catalogue, const void *chunk,
                       struct objects *objects, struct pst_findings *findings)
{
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    int error = 0;
    for (size_t offset = 0; !error && offset < catalogue->entry.raw_bytes;) {
        struct pst_object object;
        size_t begin = offset, end = 0;
        uint32_t count = 0;
        error = pst_object_decode(payload, catalogue->entry.raw_bytes, &offset, &object);
        if (!error && wants(source, wanted, &object))
            error = objects_add(objects, source->node_index, payload + begin, offset - begin, &end,
                                &count);
        if (error && error != -ENOMEM)
            look_damaged(findings, catalogue->part, catalogue->header, begin, error);
    }
    return error;
}

int view_gather(struct pst_view *view, const struct view_wanted *wanted, struct objects *objects,
                char *message)
{
    const struct look_source *source = &view->look->sources[wanted->source];
    struct pst_findings findings;
    int error = 0;
    pst_findings_init(&findings, NULL, NULL);
    for (size_t i = 0; !error && i < view->catalogues_count; i++) {
        const struct view_catalogue *catalogue = &view->catalogues[i];
        const void *chunk;
        if (!may_have(source, wanted, catalogue))
            continue;
        error =
            chunk_cache_read(&view->cache, catalogue->part, &catalogue->entry, &findings, &chunk);
        if (!error)
            error = gather_from(source, wanted, catalogue, chunk, objects, &findings);
    }
    if (!error)
        error = objects_gather(objects);
    return error ? view_fail(&findings, error, message) : 0;
}

/* ---- nodes ---- */

static struct pst_view_node **bucket_of(const struct pst_view *view, uint64_t ino)
{
    return &view->nodes[(ino ^ ino >> SOURCE_SHIFT) & (view->nodes_room - 1)];
}

struct pst_view_node *pst_view_node(const struct pst_view *view, uint64_t ino)
{
    struct pst_view_node *node = *bucket_of(view, ino);
    while (node && node->ino != ino)
        node = node->next;
    return node;
}

/* More buckets, as long as there is memory for them. */
static void spread(struct pst_view *view)
{
    struct pst_view_node **old = view->nodes, **nodes;
    size_t room = view->nodes_room;
    if (view->nodes_count < room || !(nodes = calloc(2 * room, sizeof(struct pst_view_node *))))
        return;
    view->nodes = nodes;
    view->nodes_room = 2 * room;
    for (size_t i = 0; i < room; i++) {
        while (old[i]) {
            struct pst_view_node *node = old[i], **bucket = bucket_of(view, node->ino);
            old[i] = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(old);
}

/* Above the objects, or of a source that has none for its root. */
static struct pst_object made_directory(const struct pst_view *view)
{
    const struct pst_cluster_manifest *cluster = &view->look->backup->cluster;
    return (struct pst_object){.type = PST_OBJECT_DIRECTORY,
                               .path = "",
                               .mode = 0755,
                               .mtime_sec =
                                   (int64_t)(cluster->common.finished_unix_ns / 1000000000)};
}

/* Fills a node with a copy of the record behind it. */
static void fill(const struct pst_view *view, struct pst_view_node *node, uint32_t source,
                 const struct object_record *record)
{
    *node = (struct pst_view_node){
        .ino = node->ino, .links = 1, .source = source, .object = made_directory(view)};
    if (!record)
        return;
    memcpy(node + 1, record->entry, record->entry_bytes);
    node->object = pst_object_of_legal(node + 1);
    node->object.flags = record->flags;
    if (node->object.type != PST_OBJECT_DIRECTORY)
        node->links = count_names(view, record->node, node->object.id);
}

static int make_node(struct pst_view *view, uint32_t source, uint64_t ino,
                     const struct object_record *record, struct pst_view_node **made)
{
    struct pst_view_node *node = malloc(sizeof(*node) + (record ? record->entry_bytes : 0));
    if (!node)
        return -ENOMEM;
    node->ino = ino;
    fill(view, node, source, record);
    spread(view);
    struct pst_view_node **bucket = bucket_of(view, ino);
    node->next = *bucket;
    *bucket = node;
    view->nodes_count++;
    *made = node;
    return 0;
}

/* Of the object that a hard link is another name of. */
static int make_linked(struct pst_view *view, uint32_t source, uint64_t ino,
                       const struct object_record *link, struct pst_view_node **node, char *message)
{
    const struct view_wanted wanted = {.source = source, .id = object_of(link).linked_object};
    struct objects objects;
    int error = objects_init(&objects);
    if (error)
        return look_fail(message, error, "out of memory");
    error = view_gather(view, &wanted, &objects, message);
    if (!error && objects.count != 1)
        error =
            look_fail(message, -PST_E_CORRUPT, "%s is a hard link to nothing", object_path(link));
    if (!error)
        error = make_node(view, source, ino, objects.listed[0], node);
    objects_release(&objects);
    return error;
}

int view_hold(struct pst_view *view, uint32_t source, uint64_t ino,
              const struct object_record *record, struct pst_view_node **node, char *message)
{
    int error = 0;
    *node = pst_view_node(view, ino);
    if (!*node && record && object_type(record) == PST_OBJECT_HARD_LINK)
        error = make_linked(view, source, ino, record, node, message);
    else if (!*node)
        error = make_node(view, source, ino, record, node);
    if (error == -ENOMEM)
        return look_fail(message, error, "out of memory");
    if (!error)
        (*node)->holds++;
    return error;
}

void pst_view_forget(struct pst_view *view, uint64_t ino, uint64_t holds)
{
    struct pst_view_node *node = pst_view_node(view, ino);
    if (!node || ino == PST_VIEW_ROOT)
        return;
    node->holds -= holds < node->holds ? holds : node->holds;
    if (node->holds > 0)
        return;
    struct pst_view_node **at = bucket_of(view, ino);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    view->nodes_count--;
    free(node);
}

const char *pst_view_name(const struct pst_view *view, const struct pst_view_node *node,
                          char *buffer)
{
    if (node->source >= view->look->sources_count)
        return "/";
    const struct look_source *source = &view->look->sources[node->source];
    _Static_assert(NAME_BYTES <= PST_VIEW_NAME_BYTES, "names fit");
    look_name(view->look, source, &node->object, buffer);
    return buffer;
}
