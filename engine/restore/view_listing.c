/*
 * What the directories of a view have, of which the ones that were used last are kept. Called on
 * the thread of whoever shows the view.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore/view_state.h"

struct listing_entry {
    const char *name;
    const struct object_record *record; /* NULL: a source, or a node */
    uint64_t ino;
    uint32_t source; /* index; of a node: their count */
};

struct pst_view_listing {
    uint64_t ino;
    uint32_t holds;
    bool is_kept; /* among view->listings */
    struct objects objects;
    struct listing_entry *entries;
    size_t count;
};

void view_release_listing(struct pst_view_listing *listing)
{
    if (!listing)
        return;
    objects_release(&listing->objects);
    free(listing->entries);
    free(listing);
}

/* ---- making one ---- */

static const char *number_text(struct objects *objects, uint32_t number)
{
    char *text = objects_take_memory(objects, 16);
    if (text)
        snprintf(text, 16, "%u", number);
    return text;
}

static int list_nodes(const struct pst_view *view, struct pst_view_listing *listing)
{
    const struct pst_look *look = view->look;
    for (uint32_t i = 0; i < look->sources_count; i++) {
        const struct look_source *source = &look->sources[i];
        if (i > 0 && source->node_index == look->sources[i - 1].node_index)
            continue;
        listing->entries[listing->count++] = (struct listing_entry){
            .name = number_text(&listing->objects,
                                look->backup->cluster.nodes[source->node_index].node),
            .ino = view_node_ino(source->node_index),
            .source = look->sources_count};
        if (!listing->entries[listing->count - 1].name)
            return -ENOMEM;
    }
    return 0;
}

/* Those of one node, or all. */
static int list_sources(const struct pst_view *view, bool is_of_node,
                        struct pst_view_listing *listing)
{
    for (uint32_t i = 0; i < view->look->sources_count; i++) {
        const struct look_source *source = &view->look->sources[i];
        if (is_of_node && view_node_ino(source->node_index) != listing->ino)
            continue;
        listing->entries[listing->count++] = (struct listing_entry){
            .name = source->name, .ino = view_root_ino(view, i), .source = i};
    }
    return 0;
}

static int list_above(const struct pst_view *view, struct pst_view_listing *listing)
{
    listing->entries = calloc(view->look->sources_count + 1, sizeof(*listing->entries));
    if (!listing->entries)
        return -ENOMEM;
    if (listing->ino == PST_VIEW_ROOT && view_has_nodes(view))
        return list_nodes(view, listing);
    return list_sources(view, listing->ino != PST_VIEW_ROOT, listing);
}

static struct listing_entry entry_of(uint32_t source, const struct object_record *record)
{
    const char *path = object_path(record), *slash = strrchr(path, '/');
    bool is_link = object_type(record) == PST_OBJECT_HARD_LINK;
    return (struct listing_entry){
        .name = slash ? slash + 1 : path,
        .record = record,
        .ino = view_ino(source, is_link ? object_of(record).linked_object : object_id(record)),
        .source = source,
    };
}

static bool is_shown(enum pst_object_type type)
{
    return type != PST_OBJECT_TABLE && type != PST_OBJECT_ROWS && type != PST_OBJECT_DATABASE;
}

static int list_objects(struct pst_view *view, const struct pst_view_node *directory,
                        struct pst_view_listing *listing, char *message)
{
    const struct view_wanted wanted = {.source = directory->source, .path = directory->object.path};
    size_t bytes = strlen(wanted.path);
    int error = view_gather(view, &wanted, &listing->objects, message);
    if (error)
        return error;
    listing->entries = calloc(listing->objects.count + 1, sizeof(*listing->entries));
    if (!listing->entries)
        return look_fail(message, -ENOMEM, "out of memory");
    for (size_t i = 0; i < listing->objects.count; i++) {
        const struct object_record *record = listing->objects.listed[i];
        if (object_path_bytes(record) > bytes && is_shown(object_type(record)))
            listing->entries[listing->count++] = entry_of(directory->source, record);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct listing_entry *left = a, *right = b;
    return strcmp(left->name, right->name);
}

static int make(struct pst_view *view, const struct pst_view_node *directory,
                struct pst_view_listing **made, char *message)
{
    struct pst_view_listing *listing = calloc(1, sizeof(*listing));
    if (!listing || objects_init(&listing->objects) != 0) {
        free(listing);
        return look_fail(message, -ENOMEM, "out of memory");
    }
    listing->ino = directory->ino;
    int error;
    if (directory->source < view->look->sources_count)
        error = list_objects(view, directory, listing, message);
    else if ((error = list_above(view, listing)) != 0)
        look_fail(message, error, "out of memory");
    if (error) {
        view_release_listing(listing);
        return error;
    }
    if (listing->count > 0)
        qsort(listing->entries, listing->count, sizeof(*listing->entries), by_name);
    *made = listing;
    return 0;
}

/* ---- keeping them ---- */

/* To the front, of those that are kept up to the i-th. */
static void move_first(struct pst_view *view, uint32_t i, struct pst_view_listing *listing)
{
    memmove(&view->listings[1], &view->listings[0], i * sizeof(view->listings[0]));
    view->listings[0] = listing;
}

static void keep(struct pst_view *view, struct pst_view_listing *listing)
{
    struct pst_view_listing *oldest = view->listings[VIEW_LISTINGS - 1];
    move_first(view, VIEW_LISTINGS - 1, listing);
    listing->is_kept = true;
    if (!oldest)
        return;
    oldest->is_kept = false;
    if (oldest->holds == 0)
        view_release_listing(oldest);
}

int pst_view_list(struct pst_view *view, const struct pst_view_node *directory,
                  struct pst_view_listing **listing, char *message)
{
    if (directory->object.type != PST_OBJECT_DIRECTORY)
        return look_fail(message, -ENOTDIR, "%s", pst_error_text(-ENOTDIR));
    for (uint32_t i = 0; i < VIEW_LISTINGS && view->listings[i]; i++) {
        *listing = view->listings[i];
        if ((*listing)->ino != directory->ino)
            continue;
        move_first(view, i, *listing);
        (*listing)->holds++;
        return 0;
    }
    int error = make(view, directory, listing, message);
    if (error)
        return error;
    (*listing)->holds++;
    keep(view, *listing);
    return 0;
}

void pst_view_unlist(struct pst_view *view, struct pst_view_listing *listing)
{
    (void)view;
    if (--listing->holds == 0 && !listing->is_kept)
        view_release_listing(listing);
}

size_t pst_view_count(const struct pst_view_listing *listing)
{
    return listing->count;
}

const char *pst_view_name_at(const struct pst_view_listing *listing, size_t i)
{
    return listing->entries[i].name;
}

uint64_t pst_view_ino_at(const struct pst_view_listing *listing, size_t i)
{
    return listing->entries[i].ino;
}

/* ---- their nodes ---- */

/* The directory that a source is: its own object, if the backup has one. */
static int hold_source(struct pst_view *view, uint32_t source, struct pst_view_node **node,
                       char *message)
{
    const struct view_wanted wanted = {.source = source, .path = ""};
    const struct object_record *record = NULL;
    uint64_t ino = view_root_ino(view, source);
    struct objects objects;
    int error = objects_init(&objects);
    if (error)
        return look_fail(message, error, "out of memory");
    error = view_gather(view, &wanted, &objects, message);
    for (size_t i = 0; !error && i < objects.count; i++) {
        if (object_path_bytes(objects.listed[i]) == 0 &&
            object_type(objects.listed[i]) == PST_OBJECT_DIRECTORY)
            record = objects.listed[i];
    }
    if (!error)
        error = view_hold(view, source, ino, record, node, message);
    objects_release(&objects);
    return error;
}

int view_hold_top(struct pst_view *view, char *message)
{
    struct pst_view_node *node;
    const struct pst_look *look = view->look;
    return look->sources_count == 1 && !look->sources[0].prefix[0]
               ? hold_source(view, 0, &node, message)
               : view_hold(view, look->sources_count, PST_VIEW_ROOT, NULL, &node, message);
}

int pst_view_node_at(struct pst_view *view, const struct pst_view_listing *listing, size_t i,
                     struct pst_view_node **node, char *message)
{
    const struct listing_entry *entry = &listing->entries[i];
    if (!entry->record && entry->source < view->look->sources_count &&
        !pst_view_node(view, entry->ino))
        return hold_source(view, entry->source, node, message);
    return view_hold(view, entry->source, entry->ino, entry->record, node, message);
}

int pst_view_find(struct pst_view *view, const struct pst_view_node *directory, const char *name,
                  struct pst_view_node **node, char *message)
{
    const struct listing_entry wanted = {.name = name};
    struct pst_view_listing *listing;
    int error = pst_view_list(view, directory, &listing, message);
    if (error)
        return error;
    const struct listing_entry *entry =
        listing->count > 0
            ? bsearch(&wanted, listing->entries, listing->count, sizeof(wanted), by_name)
            : NULL;
    error = entry
                ? pst_view_node_at(view, listing, (size_t)(entry - listing->entries), node, message)
                : -ENOENT;
    pst_view_unlist(view, listing);
    return error;
}
