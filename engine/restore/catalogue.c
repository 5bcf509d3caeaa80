/*
 * Reads catalogues into objects on the crew's threads, and checks that they describe trees, on the
 * thread of the verify or restore.
 */
#include "engine/restore/catalogue.h"

#include <errno.h>
#include <string.h>

struct check {
    const struct objects *objects;
    const struct pst_backup *backup;
    struct pst_findings *findings;
    const struct object_record *parent; /* that the object before had */
};

int catalogue_take(struct objects *objects, const struct pst_part_map *part, const void *chunk,
                   struct pst_findings *findings, uint32_t *count)
{
    const struct pst_chunk_header *header = pst_chunk_header_of(chunk);
    const uint8_t *payload = pst_chunk_payload_of(chunk);
    int error = 0;
    size_t offset = 0, before = 0;
    *count = 0;
    while (!error && offset < header->raw_bytes) {
        struct pst_object object;
        before = offset;
        error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && objects_want(objects, part->node_index, object.id))
            error =
                objects_add(objects, part->node_index, payload + before, offset - before, &object);
        *count += !error;
    }
    if (!error || error == -ENOMEM)
        return error;
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + before, header->raw_bytes - before,
                                      "catalogue entry"};
    pst_findings_add_damage(findings, &part->file, header->file_offset, &damage, error);
    return error;
}

static void report(struct check *check, const struct object_record *record, const char *what)
{
    const struct pst_object object = object_of(record);
    pst_findings_add_object(check->findings, check->backup, record->node, &object, what, true);
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
 * below the root, which need not be in it. */
static bool has_parent(struct check *check, const struct object_record *record,
                       const struct pst_object *object)
{
    const char *slash = strrchr(object->path, '/');
    if (!slash || object->type == PST_OBJECT_ROWS)
        return true;
    size_t bytes = (size_t)(slash - object->path);
    if (!check->parent || !is_at(check->parent, record, object->path, bytes))
        check->parent = objects_at(check->objects, record, object->path, bytes);
    return check->parent && object_type(check->parent) == PST_OBJECT_DIRECTORY;
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

static void check_object(struct check *check, const struct object_record *record)
{
    const struct pst_object object = object_of(record);
    if (!has_source(&check->backup->nodes[record->node], object.id))
        report(check, record, "the manifest does not name its source");
    else if (!has_parent(check, record, &object))
        report(check, record, "the directory that it is in is not in the backup");
    else if (!has_linked_object(check, record, &object))
        report(check, record, "a hard link to what is no file of the backup");
    else if (object.type == PST_OBJECT_DATABASE && !pst_object_name_is_safe(object.path))
        report(check, record, "a database that has no name of a file");
}

static void check_counts(const struct check *check)
{
    uint64_t counts[PST_NODES_MAX] = {0};
    for (size_t i = 0; i < check->objects->count; i++)
        counts[check->objects->sorted[i]->node]++;
    pst_backup_check_sums(check->backup, counts, check->findings);
}

int catalogue_finish(struct objects *objects, const struct pst_backup *backup, bool check,
                     struct pst_findings *findings)
{
    struct check job = {.objects = objects, .backup = backup, .findings = findings};
    const struct object_record *clash = NULL;
    int error = objects_sort(objects, &clash);
    if (error && !clash)
        return error;
    if (clash)
        report(&job, clash, "the backup has two objects of this name");
    for (size_t i = 0; check && i < objects->count; i++)
        check_object(&job, objects->sorted[i]);
    if (check && !objects->only)
        check_counts(&job);
    return error;
}
