/*
 * A verify from the manifests to the rows. pst_verify() may be called on any thread, which does all
 * but what the crew's threads do.
 */
#include "engine/restore/verify.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/format/object.h"
#include "engine/repository/strangers.h"
#include "engine/restore/chunk_reader.h"
#include "engine/restore/objects.h"
#include "engine/restore/verify_rows.h"

struct verify {
    const struct pst_verify_options *options;
    struct pst_verify_result *result;
    struct pst_backup backup;
    struct pst_part_set set;
    struct pst_part_set copies; /* of files of the set, in further directories */
    struct pst_findings findings;
    struct chunk_reading reading;
    atomic_uint_least64_t rows_bytes; /* being read in their order */
    uint64_t checked_bytes; /* manifests, and what was read while the parts were looked through */
    atomic_uint_least64_t objects;
    struct objects rows; /* those of logical backups alone */
};

static void tell_progress(void *context)
{
    struct verify *verify = context;
    const struct pst_crew_progress progress = {
        .bytes_done = verify->checked_bytes + atomic_load(&verify->reading.bytes_done) +
                      atomic_load(&verify->rows_bytes),
        .bytes_total = verify->set.file_bytes + verify->copies.file_bytes,
        .objects_done = atomic_load(&verify->objects),
    };
    if (verify->options->progress)
        verify->options->progress(verify->options->context, &progress);
}

static void damaged_entry(struct verify *verify, const struct pst_part_map *part,
                          const struct pst_chunk_header *header, size_t offset, int error)
{
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + offset, header->raw_bytes - offset,
                                      "catalogue entry"};
    pst_findings_add_damage(&verify->findings, &part->file, header->file_offset, &damage, error);
}

/* The chunk's checksums are right; its contents must be legal too. */
static int check_chunk(void *context, uint32_t worker, const struct pst_part_map *part,
                       const void *buffer)
{
    (void)worker;
    struct verify *verify = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    if (header->type != PST_CHUNK_CATALOGUE)
        return 0;
    const uint8_t *payload = pst_chunk_payload_of(buffer);
    for (size_t offset = 0; offset < header->raw_bytes;) {
        struct pst_object object;
        size_t before = offset;
        int error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && (object.type == PST_OBJECT_ROWS || object.type == PST_OBJECT_DATABASE))
            error = objects_add(&verify->rows, part->node_index, payload + before, offset - before,
                                &object);
        if (error == -ENOMEM)
            return error;
        if (error) {
            damaged_entry(verify, part, header, before, error);
            return 0;
        }
        atomic_fetch_add(&verify->objects, 1);
    }
    return 0;
}

static int look_through_parts(struct verify *verify, struct pst_part_set *set)
{
    verify->result->files += set->count;
    return chunk_map_parts(&verify->options->crew, set, &verify->findings, &verify->checked_bytes,
                           false);
}

/* The checksums of a copy have been checked by now; its contents were checked with the original. */
static int check_copy(void *context, uint32_t worker, const struct pst_part_map *part,
                      const void *buffer)
{
    (void)context, (void)worker, (void)part, (void)buffer;
    return 0;
}

/* types: bits 1 << enum pst_chunk_type. */
static int read_parts(struct verify *verify, const struct pst_part_set *set, uint32_t types)
{
    verify->reading = (struct chunk_reading){
        .crew = &verify->options->crew,
        .set = set,
        .types = types,
        .take = set == &verify->copies ? check_copy : check_chunk,
        .findings = &verify->findings,
        .tick = tell_progress,
        .context = verify,
    };
    int error = chunk_reading_run(&verify->reading);
    verify->result->chunks += atomic_load(&verify->reading.chunks_done);
    verify->checked_bytes += atomic_exchange(&verify->reading.bytes_done, 0);
    return error;
}

static int sort_rows(struct verify *verify)
{
    const struct object_record *clash = NULL;
    int error = objects_sort(&verify->rows, &clash);
    if (!clash)
        return error;
    const struct pst_damage damage = {.what = "catalogue: two objects of one path"};
    pst_findings_add_damage(&verify->findings, &verify->set.parts[0].file, 0, &damage, error);
    return 0;
}

/* If all data is rows, and whole, it is read once, in the order of the rows. Otherwise it is read
 * in the order of the files, to find and name every damage; and if there is none, the rows are read
 * again in their order. */
static int check_data(struct verify *verify)
{
    const struct rows_check rows = {.crew = &verify->options->crew,
                                    .set = &verify->set,
                                    .objects = &verify->rows,
                                    .bytes_done = &verify->rows_bytes,
                                    .tick = tell_progress,
                                    .context = verify};
    struct rows_checked checked = {0};
    bool has_rows = verify->findings.damages == 0 && verify->rows.count > 0;
    int error = has_rows ? verify_rows_alone(&rows, &checked) : -PST_E_CORRUPT;
    atomic_store(&verify->rows_bytes, 0);
    verify->checked_bytes += checked.bytes;
    verify->result->chunks += checked.chunks;
    if (error != -PST_E_CORRUPT)
        return error;
    error = read_parts(verify, &verify->set, 1u << PST_CHUNK_DATA);
    if (!error && has_rows && verify->findings.damages == 0)
        error = verify_rows(&rows, &verify->findings);
    atomic_store(&verify->rows_bytes, 0);
    return error;
}

static int read_all(struct verify *verify)
{
    int error = objects_init(&verify->rows);
    if (error)
        return error;
    error = read_parts(verify, &verify->set, 1u << PST_CHUNK_CATALOGUE);
    if (!error)
        error = sort_rows(verify);
    if (!error)
        error = check_data(verify);
    if (!error && verify->copies.count > 0)
        error =
            read_parts(verify, &verify->copies, 1u << PST_CHUNK_DATA | 1u << PST_CHUNK_CATALOGUE);
    objects_release(&verify->rows);
    return error;
}

static bool manifests_are_whole(const struct verify *verify)
{
    for (uint32_t i = 0; i < verify->backup.cluster.nodes_count; i++) {
        if (verify->backup.nodes[i].parts_count == 0)
            return false;
    }
    return true;
}

static int verify_parts(struct verify *verify)
{
    int error = pst_backup_parts_make(&verify->backup, &verify->set, &verify->copies);
    if (error)
        return error;
    if (manifests_are_whole(verify))
        error = pst_backup_find_strangers(&verify->backup, &verify->set, &verify->findings);
    if (!error)
        error = look_through_parts(verify, &verify->set);
    if (!error)
        error = look_through_parts(verify, &verify->copies);
    if (!error)
        error = read_all(verify);
    pst_backup_parts_free(&verify->set);
    pst_backup_parts_free(&verify->copies);
    return error;
}

static int outcome(const struct verify *verify)
{
    if (verify->findings.damages == 0)
        return 0;
    return verify->findings.newer == verify->findings.damages ? -PST_E_NEWER : -PST_E_CORRUPT;
}

static int verify_backup(struct verify *verify)
{
    int error = pst_backup_load(&verify->backup, &verify->findings, &verify->result->files,
                                &verify->checked_bytes);
    if (error)
        return error;
    if (verify->backup.has_cluster)
        error = verify_parts(verify);
    pst_backup_unload(&verify->backup);
    return error ? error : outcome(verify);
}

int pst_verify(const struct pst_backup *backup, const struct pst_verify_options *options,
               struct pst_verify_result *result)
{
    *result = (struct pst_verify_result){0};
    struct verify *verify = calloc(1, sizeof(*verify));
    if (!verify)
        return -ENOMEM;
    verify->options = options;
    verify->result = result;
    verify->backup.number = backup->number;
    verify->backup.directories = backup->directories;
    verify->backup.found_in = backup->found_in;
    pst_findings_init(&verify->findings, options->found, options->context);
    int error = verify_backup(verify);
    result->bytes = verify->checked_bytes;
    result->objects = atomic_load(&verify->objects);
    result->damages = verify->findings.damages;
    result->warnings = verify->findings.warnings;
    free(verify);
    return error;
}
