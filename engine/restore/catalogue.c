/*
 * Reads catalogues into objects on the crew's threads, and checks that they describe trees, on the
 * thread of the verify or restore.
 */
#include "engine/restore/catalogue.h"

#include <errno.h>
#include <string.h>

#include "engine/restore/object_order.h"

struct check {
    const struct objects *objects;
    const struct pst_backup *backup;
    struct pst_findings *findings;
    atomic_bool has_fault;
};

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

static bool has_source(const struct pst_node_manifest *node, uint64_t id)
{
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (node->sources[i].instance == pst_object_source(id))
            return true;
    }
    return false;
}

/* Whether the record is of the object at the first path_bytes of path, in the source of `of`. */
static bool is_at(const struct object_record *record, const struct object_record *of,
                  const char *path, size_t path_bytes)
{
    const char *own = object_path(record);
    return record->node == of->node && strncmp(own, path, path_bytes) == 0 &&
           own[path_bytes] == '\0' &&
           pst_object_source(object_id(record)) == pst_object_source(object_id(of));
}

/* Every object that is made in a file system lies in a directory of the backup, but those directly
 * below the root, which need not be in it. *parent: that the object before had. */
static bool has_parent(const struct check *check, const struct object_record *record,
                       const struct pst_object *object, const struct object_record **parent)
{
    const char *slash = strrchr(object->path, '/');
    if (!slash || object->type == PST_OBJECT_ROWS)
        return true;
    size_t bytes = (size_t)(slash - object->path);
    if (!*parent || !is_at(*parent, record, object->path, bytes))
        *parent = objects_at(check->objects, record, object->path, bytes);
    return *parent && object_type(*parent) == PST_OBJECT_DIRECTORY;
}

static bool has_linked_object(const struct check *check, const struct object_record *record,
                              const struct pst_object *object)
{
    if (object->type != PST_OBJECT_HARD_LINK)
        return true;
    const struct object_record *first =
        objects_find(check->objects, record->node, object->linked_object);
    enum pst_object_type type = first ? object_type(first) : PST_OBJECT_DIRECTORY;
    return type != PST_OBJECT_DIRECTORY && type != PST_OBJECT_HARD_LINK &&
           type != PST_OBJECT_ROWS && type != PST_OBJECT_DATABASE;
}

/* NULL: nothing is wrong. */
static const char *fault_of(const struct check *check, const struct object_record *record,
                            const struct object_record **parent)
{
    const struct pst_object object = object_of(record);
    if (!has_source(&check->backup->nodes[record->node], object.id))
        return "the manifest does not name its source";
    if (!has_parent(check, record, &object, parent))
        return "the directory that it is in is not in the backup";
    if (!has_linked_object(check, record, &object))
        return "a hard link to what is no file of the backup";
    if (object.type == PST_OBJECT_DATABASE && !pst_object_name_is_safe(object.path))
        return "a database that has no name of a file";
    return NULL;
}

static void look_for_faults(void *context, size_t from, size_t end)
{
    struct check *check = context;
    const struct object_record *parent = NULL;
    for (size_t i = from; i < end; i++) {
        if (fault_of(check, check->objects->sorted[i], &parent))
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
    const struct object_record *parent = NULL;
    int error = crew_each(crew, check->objects->count, look_for_faults, check);
    for (size_t i = 0; atomic_load(&check->has_fault) && i < check->objects->count; i++) {
        const char *what = fault_of(check, check->objects->sorted[i], &parent);
        if (what)
            report(check, check->objects->sorted[i], what);
    }
    return error;
}

int catalogue_finish(struct objects *objects, const struct pst_backup *backup, struct crew *crew,
                     bool check, struct pst_findings *findings)
{
    struct check job = {.objects = objects, .backup = backup, .findings = findings};
    const struct object_record *clash = NULL;
    int error = objects_sort(objects, &clash);
    if (error && !clash)
        return error;
    if (clash)
        report(&job, clash, "the backup has two objects of this name");
    int checked = check ? check_objects(&job, crew) : 0;
    if (check && !objects->only)
        pst_backup_check_sums(backup, objects->counts, findings);
    return checked ? checked : error;
}
