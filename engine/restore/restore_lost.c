/*
 * What damage costs a restore that goes on past it: which objects are hit. Lost chunks are noted on
 * the crew's threads, the rest runs on the restore's.
 */
#include <errno.h>
#include <stdlib.h>

#include "engine/restore/restore_object.h"
#include "engine/restore/restore_passes.h"

/* Objects of which contents may be lost: their chunk is known by the index alone. */
struct lost_range {
    uint32_t node;
    uint64_t first;
    uint64_t last;
};

static void add_range(struct restore_run *run, uint32_t node, uint64_t first, uint64_t last)
{
    struct lost_range *ranges =
        realloc(run->ranges, (run->ranges_count + 1) * sizeof(*run->ranges));
    if (!ranges) {
        run->lost_anything = true;
        return;
    }
    ranges[run->ranges_count++] = (struct lost_range){node, first, last};
    run->ranges = ranges;
}

void restore_note_hit(struct restore_run *run, const struct pst_part_map *part,
                      const struct pst_chunk_header *header)
{
    for (uint32_t i = 0; i < header->pieces_count; i++) {
        const struct pst_chunk_piece *piece = &header->pieces[i];
        struct object_record *record =
            run->objects.listed ? objects_find(&run->objects, part->node_index, piece->object)
                                : NULL;
        if (record && piece->bytes > 0)
            atomic_store(&record->is_hit, true);
    }
}

void restore_note_lost(void *context, const struct pst_part_map *part,
                       const struct pst_index_entry *entry, const struct pst_chunk_header *header)
{
    struct restore_run *run = context;
    bool is_catalogue = !entry || entry->type == PST_CHUNK_CATALOGUE;
    if (header)
        restore_note_hit(run, part, header);
    pthread_mutex_lock(&run->mutex);
    run->lost_catalogue |= is_catalogue;
    if (!entry)
        add_range(run, part->node_index, 0, UINT64_MAX);
    else if (!header && entry->type == PST_CHUNK_DATA)
        add_range(run, part->node_index, entry->object_first, entry->object_last);
    pthread_mutex_unlock(&run->mutex);
}

void restore_note_unmapped(struct restore_run *run)
{
    for (uint32_t i = 0; i < run->set.count; i++) {
        if (!run->set.parts[i].is_mapped)
            restore_note_lost(run, &run->set.parts[i], NULL, NULL);
    }
}

void restore_note_unmapped_origins(struct restore_run *run)
{
    for (uint32_t i = 0; i < run->origins.set.count; i++) {
        if (!run->origins.set.parts[i].is_mapped)
            origins_note_lost(&run->origins, &run->origins.set.parts[i], NULL, NULL);
    }
}

static bool is_hit(const struct restore_run *run, const struct object_record *record,
                   const struct pst_object *object)
{
    if (atomic_load(&record->is_hit) || record->lacks_origin)
        return true;
    /* whole checksums of objects have told by now which they are */
    if (atomic_load(&record->received) >= object->size ||
        contents_sums_are_whole(&run->contents, record->node))
        return false;
    for (size_t i = 0; i < run->ranges_count; i++) {
        const struct lost_range *range = &run->ranges[i];
        if (range->node == record->node && range->first <= object->id && object->id <= range->last)
            return true;
    }
    return run->lost_anything;
}

/* Nodes of which there is no manifest, and objects of which there is no entry. */
static void report_unnamed(struct restore_run *run)
{
    const struct pst_backup *backup = run->backup;
    for (uint32_t i = 0; i < backup->cluster.nodes_count; i++) {
        if (run->only[i] == 0)
            continue;
        uint64_t found = 0, wanted = backup->nodes[i].common.sums.objects;
        struct pst_restore_trouble trouble = {
            .source = "", .node = backup->cluster.nodes[i].node, .error = -PST_E_CORRUPT};
        for (size_t j = 0; j < run->objects.count; j++)
            found += run->objects.listed[j]->node == i;
        trouble.what = "objects are lost, with their names: the catalogue is damaged";
        if (backup->nodes[i].parts_count == 0) {
            trouble.what = backup->is_elsewhere[i]
                               ? "nothing is restored: the files of the node are not in the "
                                 "directories given"
                               : "nothing is restored: the manifest of the node is damaged or "
                                 "missing";
            restore_miss_unnamed(run, 1, &trouble);
        } else if (run->lost_catalogue && (run->options->only_count > 0 || restore_selects(run))) {
            trouble.what = "objects may be missing: the catalogue is damaged";
            restore_miss_unnamed(run, 1, &trouble);
        } else if (run->lost_catalogue && found < wanted) {
            restore_miss_unnamed(run, wanted - found, &trouble);
        }
    }
}

int restore_report_lost(struct restore_run *run)
{
    int error = 0;
    if (!run->options->keep_going)
        return 0;
    report_unnamed(run);
    for (size_t i = 0; !error && i < run->objects.count; i++) {
        struct object_record *record = run->objects.listed[i];
        const struct pst_object object = object_of(record);
        if (restore_is_file(&object) && is_hit(run, record, &object))
            error = restore_miss(run, record->lacks_origin ? -PST_E_BASE_MISSING : -PST_E_CORRUPT,
                                 record, "the backup has not all of");
    }
    return error;
}
