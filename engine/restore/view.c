/*
 * Opens a view of a backup. Called by whoever shows the backup as a file system, on that thread;
 * the catalogues are read on the crew's.
 */
#include "engine/restore/view.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/grow.h"
#include "engine/restore/view_state.h"

static int note_catalogue(struct pst_view *view, const struct pst_part_map *part,
                          const struct pst_chunk_header *header,
                          const struct pst_object_range *range)
{
    struct pst_chunk_header *copy = malloc(sizeof(*copy));
    void *catalogues = view->catalogues;
    int error = copy ? pst_grow(&catalogues, view->catalogues_count, &view->catalogues_room,
                                sizeof(*view->catalogues))
                     : -ENOMEM;
    view->catalogues = catalogues;
    if (error) {
        free(copy);
        return error;
    }
    *copy = *header;
    struct view_catalogue *catalogue = &view->catalogues[view->catalogues_count++];
    *catalogue = (struct view_catalogue){.part = part, .header = copy};
    pst_index_entry_fill(&catalogue->entry, header);
    catalogue->entry.object_first = range->first;
    catalogue->entry.object_last = range->last;
    return 0;
}

static int note_object(struct pst_view *view, uint32_t node, const struct pst_object *object,
                       struct pst_object_range *range)
{
    if (range->objects++ == 0 || object->id < range->first)
        range->first = object->id;
    if (object->id > range->last)
        range->last = object->id;
    view->types |= 1u << object->type;
    if (object->type != PST_OBJECT_HARD_LINK)
        return 0;
    void *links = view->links;
    int error = pst_grow(&links, view->links_count, &view->links_room, sizeof(*view->links));
    view->links = links;
    if (!error)
        view->links[view->links_count++] =
            (struct view_link){node, object->linked_object, object->id};
    return error;
}

static int take_catalogue(void *context, uint32_t worker, const struct pst_part_map *part,
                          const void *chunk)
{
    struct pst_view *view = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    struct pst_object_range range = {0};
    size_t offset = 0;
    int error = 0;
    (void)worker;
    pthread_mutex_lock(&view->mutex);
    while (!error && offset < header->raw_bytes) {
        struct pst_object object;
        size_t begin = offset;
        error = pst_object_decode(pst_chunk_payload_of(chunk), header->raw_bytes, &offset, &object);
        error = error ? look_damaged(&view->look->findings, part, header, begin, error)
                      : note_object(view, part->node_index, &object, &range);
    }
    if (!error)
        error = note_catalogue(view, part, header, &range);
    pthread_mutex_unlock(&view->mutex);
    return view->keeps_going && error != -ENOMEM ? 0 : error;
}

/* Several parts may have the entry of one name. */
static void sort_links(struct pst_view *view)
{
    size_t count = 0;
    if (view->links_count > 0)
        qsort(view->links, view->links_count, sizeof(*view->links), view_compare_links);
    for (size_t i = 0; i < view->links_count; i++) {
        if (count == 0 || view_compare_links(&view->links[count - 1], &view->links[i]) != 0)
            view->links[count++] = view->links[i];
    }
    view->links_count = count;
}

/* ---- opening ---- */

static int read_catalogues(struct pst_view *view, char *message)
{
    struct pst_look *look = view->look;
    struct chunk_reading reading = {
        .crew = look->crew,
        .set = &look->set,
        .types = 1u << PST_CHUNK_CATALOGUE,
        .extent = CHUNK_WHOLE,
        .take = take_catalogue,
        .findings = &look->findings,
        .stop_at_damage = !view->keeps_going,
        .context = view,
    };
    if (view->keeps_going)
        look_log_findings(look);
    int error = chunk_reading_run(&reading);
    view->cache.read_bytes += atomic_load(&reading.bytes_done) + atomic_load(&reading.index_bytes);
    if (view->keeps_going)
        error = look_pass_over(look, error, message);
    else if (error)
        error = look_fail_reading(look, error, message);
    if (!error)
        sort_links(view);
    return error;
}

int pst_view_open(struct pst_look *look, bool keep_going, struct pst_view **opened, char *message)
{
    *opened = NULL;
    struct pst_view *view = calloc(1, sizeof(*view));
    if (!view)
        return look_fail(message, -ENOMEM, "out of memory");
    view->look = look;
    view->keeps_going = keep_going;
    view->nodes_room = 1024;
    view->nodes = calloc(view->nodes_room, sizeof(struct pst_view_node *));
    int error = view->nodes ? chunk_cache_open(&view->cache, look->set.chunk_bytes) : -ENOMEM;
    if (error)
        goto err_after_alloc;
    pthread_mutex_init(&view->mutex, NULL);
    error = read_catalogues(view, message);
    if (!error)
        error = view_hold_top(view, message);
    if (!error) {
        *opened = view;
        return 0;
    }
    pst_view_close(view);
    return error;
err_after_alloc:
    free(view->nodes);
    free(view);
    return look_fail(message, error, "%s", pst_error_text(error));
}

void pst_view_close(struct pst_view *view)
{
    for (uint32_t i = 0; i < VIEW_LISTINGS; i++)
        view_release_listing(view->listings[i]);
    for (size_t i = 0; i < view->nodes_room; i++) {
        while (view->nodes[i]) {
            struct pst_view_node *node = view->nodes[i];
            view->nodes[i] = node->next;
            free(node);
        }
    }
    while (view->origins) {
        struct view_origin *origin = view->origins;
        view->origins = origin->next;
        pst_backup_parts_free(&origin->set);
        free(origin);
    }
    for (size_t i = 0; i < view->catalogues_count; i++)
        free(view->catalogues[i].header);
    chunk_cache_close(&view->cache);
    pthread_mutex_destroy(&view->mutex);
    free(view->catalogues);
    free(view->links);
    free(view->nodes);
    free(view);
}

bool pst_view_lacks_tables(const struct pst_view *view)
{
    return view->types &
           (1u << PST_OBJECT_TABLE | 1u << PST_OBJECT_ROWS | 1u << PST_OBJECT_DATABASE);
}

uint64_t pst_view_read_bytes(const struct pst_view *view)
{
    return view->cache.read_bytes;
}
