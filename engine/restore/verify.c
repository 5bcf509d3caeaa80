/*
 * A verify from the manifests to the rows. pst_verify() may be called on any thread, which does all
 * but what the crew's threads do.
 */
#include "engine/restore/verify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/format/object.h"
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
    size_t bytes = PST_CHUNK_HEADER_BYTES + (size_t)set->chunk_bytes;
    void *buffer = aligned_alloc(PST_BLOCK_BYTES, bytes);
    if (!buffer)
        return -ENOMEM;
    struct pst_reader reader;
    int error = pst_reader_open(&reader, 1);
    if (error)
        goto err_after_alloc;
    for (uint32_t i = 0; !error && i < set->count; i++) {
        error = pst_part_map_fill(&set->parts[i], &reader, buffer, &verify->findings,
                                  &verify->checked_bytes);
        if (!error && crew_is_cancelled(&verify->options->crew))
            error = -ECANCELED;
        verify->result->files++;
    }
    pst_reader_close(&reader);
err_after_alloc:
    free(buffer);
    return error;
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

static bool part_is_known(const struct pst_part_set *set, const char *file)
{
    for (uint32_t i = 0; i < set->count; i++) {
        const char *known = set->parts[i].file.text;
        size_t length = strlen(file);
        if (strncmp(known, file, length) == 0 && (known[length] == '\0' || known[length] == '/'))
            return true;
    }
    return false;
}

static bool manifest_is_known(const struct verify *verify, const char *name)
{
    uint32_t number = verify->backup.number;
    if (strcmp(name, pst_name_cluster_manifest(number).text) == 0)
        return true;
    for (uint32_t i = 0; i < verify->backup.cluster.nodes_count; i++) {
        uint32_t node = verify->backup.cluster.nodes[i].node;
        if (strcmp(name, pst_name_node_manifest(number, node).text) == 0)
            return true;
    }
    return false;
}

static void warn_of(struct verify *verify, uint32_t directory, const char *file)
{
    const struct pst_directories *directories = verify->backup.directories;
    const struct pst_finding finding = {
        .directory = directories->count > 1 ? directories->paths[directory] : NULL,
        .file = file,
        .what = "does not belong to the backup",
        .warning = true,
    };
    pst_findings_add(&verify->findings, &finding);
}

/* Warns of what lies in a directory of the backup and is named nowhere; a directory of parts is
 * looked into. path: relative to the directory of backups. */
static int find_strangers(struct verify *verify, uint32_t directory, const char *path, bool is_top)
{
    int from_fd = verify->backup.directories->fds[directory];
    int fd = openat(from_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    int error = 0;
    const struct dirent *entry;
    while (!error && (errno = 0, entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        char file[2 * PST_NAME_BYTES + NAME_MAX + 2];
        snprintf(file, sizeof(file), "%s/%s", path, name);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            (is_top && manifest_is_known(verify, name)))
            continue;
        if (!part_is_known(&verify->set, file))
            warn_of(verify, directory, file);
        else if (is_top)
            error = find_strangers(verify, directory, file, false);
    }
    if (!error && !entry)
        error = -errno;
    closedir(dir);
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

static int find_all_strangers(struct verify *verify)
{
    const struct pst_backup *backup = &verify->backup;
    int error = 0;
    for (uint32_t i = pst_backup_next_in(backup, 0); !error && i < PST_DIRECTORIES_MAX;
         i = pst_backup_next_in(backup, i + 1)) {
        error = find_strangers(verify, i, pst_name_backup(backup->number).text, true);
        /* a directory of parts that is missing, or none, is found when the part is opened */
        if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP)
            error = 0;
    }
    return error;
}

static int verify_parts(struct verify *verify)
{
    int error = pst_part_set_make(&verify->backup, &verify->set, &verify->copies);
    if (error)
        return error;
    if (manifests_are_whole(verify))
        error = find_all_strangers(verify);
    if (!error)
        error = look_through_parts(verify, &verify->set);
    if (!error)
        error = look_through_parts(verify, &verify->copies);
    if (!error)
        error = read_all(verify);
    pst_part_set_free(&verify->set);
    pst_part_set_free(&verify->copies);
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
