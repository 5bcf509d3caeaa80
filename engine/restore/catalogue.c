/*
 * Reads catalogues into objects on the crew's threads, and checks that they describe trees, on the
 * thread of the verify or restore.
 */
#include "engine/restore/catalogue.h"

#include <errno.h>
#include <string.h>

#include "engine/restore/object_order.h"
#include "engine/restore/object_paths.h"

struct check {
    struct objects *objects;
    const struct pst_backup *backup;
    struct pst_findings *findings;
    uint64_t sources[PST_NODES_MAX]; /* of each node, by its index: bits of instances */
    atomic_bool has_fault;
};

_Static_assert(PST_SOURCES_MAX <= 64, "a bit for each");

int catalogue_take(struct objects *objects, const struct pst_part_map *part, const void *chunk,
                   struct pst_findings *findings, uint32_t *count)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    size_t end;
    *count = 0;
    int error = objects_add(objects, part->node_index, pst_chunk_payload_of(chunk),
                            header->raw_bytes, &end, count);
    if (!error || error == -ENOMEM)
        return error;
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + end, header->raw_bytes - end,
                                      "catalogue entry"};
    pst_findings_add_damage(findings, &part->file, header->file_offset, &damage, error);
    return error;
}

static void note_sources(struct check *check)
{
    for (uint32_t i = 0; i < check->backup->cluster.nodes_count; i++) {
        const struct pst_node_manifest *node = &check->backup->nodes[i];
        for (uint32_t j = 0; j < node->sources_count; j++)
            check->sources[i] |= UINT64_C(1) << node->sources[j].instance;
    }
}

static bool has_source(const struct check *check, const struct object_record *record)
{
    return (check->sources[record->node] >> pst_object_source(object_id(record)) & 1) != 0;
}

/* Every object that is made in a file system lies in a directory of the backup, but those directly
 * below the root, which need not be in it. *parent: that the object before had. */
static bool has_parent(const struct check *check, const struct object_record *record,
                       const struct object_record **parent)
{
    const char *path = object_path(record);
    const char *slash = memrchr(path, '/', object_path_bytes(record));
    if (!slash || object_type(record) == PST_OBJECT_ROWS)
        return true;
    size_t bytes = (size_t)(slash - path);
    if (!*parent || !object_is_at(*parent, record, path, bytes))
        *parent = objects_at(check->objects, record, path, bytes);
    return *parent && object_type(*parent) == PST_OBJECT_DIRECTORY;
}

static bool has_linked_object(const struct check *check, const struct object_record *record)
{
    if (object_type(record) != PST_OBJECT_HARD_LINK)
        return true;
    const struct object_record *first =
        objects_find(check->objects, record->node, object_of(record).linked_object);
    enum pst_object_type type = first ? object_type(first) : PST_OBJECT_DIRECTORY;
    return type != PST_OBJECT_DIRECTORY && type != PST_OBJECT_HARD_LINK &&
           type != PST_OBJECT_ROWS && type != PST_OBJECT_DATABASE;
}

/* NULL: nothing is wrong. */
static const char *fault_of(const struct check *check, const struct object_record *record,
                            const struct object_record **parent)
{
    if (!has_source(check, record))
        return "the manifest does not name its source";
    if (!has_parent(check, record, parent))
        return "the directory that it is in is not in the backup";
    if (!has_linked_object(check, record))
        return "a hard link to what is no file of the backup";
    if (object_type(record) == PST_OBJECT_DATABASE && !pst_object_name_is_safe(object_path(record)))
        return "a database that has no name of a file";
    return NULL;
}

static void look_for_faults(void *context, size_t from, size_t end)
{
    struct check *check = context;
    const struct object_record *parent = NULL;
    for (size_t i = from; i < end; i++) {
        if (fault_of(check, check->objects->listed[i], &parent))
            atomic_store(&check->has_fault, true);
    }
}

static void report(struct check *check, const struct object_record *record, const char *what)
{
    const struct pst_object object = object_of(record);
    pst_findings_add_object(check->findings, check->backup, record->node, &object, what, true);
}

/* All threads look whether there is any fault; if so, this one names all of them in their order. */
static int check_objects(struct check *check, struct crew *crew)
{
    const struct object_record *parent = NULL, *clash;
    note_sources(check);
    int error = crew_each(crew, check->objects->count, look_for_faults, check);
    if (error || !atomic_load(&check->has_fault))
        return error;
    error = objects_sort(check->objects, &clash);
    for (size_t i = 0; !error && i < check->objects->count; i++) {
        const char *what = fault_of(check, check->objects->listed[i], &parent);
        if (what)
            report(check, check->objects->listed[i], what);
    }
    return error;
}

/* By path, so that each is found; sorted where two have one, which is then *clash, or where the
 * caller wants them so. */
static int arrange(struct objects *objects, struct crew *crew, bool sort,
                   const struct object_record **clash)
{
    bool has_clash = false;
    int error = objects_gather(objects);
    *clash = NULL;
    if (!error)
        error = objects_enter_paths(objects, crew, &has_clash);
    if (!error && (sort || has_clash))
        error = objects_sort(objects, clash);
    return error;
}

int catalogue_finish(struct objects *objects, const struct pst_backup *backup, struct crew *crew,
                     bool sort, bool check, struct pst_findings *findings)
{
    struct check job = {.objects = objects, .backup = backup, .findings = findings};
    const struct object_record *clash;
    int error = arrange(objects, crew, sort, &clash);
    if (error && !clash)
        return error;
    if (clash)
        report(&job, clash, "the backup has two objects of this name");
    int checked = check ? check_objects(&job, crew) : 0;
    if (check && !objects->only && !objects->is_partial)
        pst_backup_check_sums(backup, objects->counts, findings);
    return checked ? checked : error;
}
