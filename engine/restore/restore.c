#include "engine/restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore_internal.h"

void pst_restore_make_printable(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7F)
            *text = '?';
    }
}

int pst_restore_fail(struct pst_restore_run *run, int error, const char *format, ...)
{
    pthread_mutex_lock(&run->mutex);
    if (run->result->message[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(run->result->message, sizeof(run->result->message), format, arguments);
        va_end(arguments);
        pst_restore_make_printable(run->result->message);
    }
    pthread_mutex_unlock(&run->mutex);
    return error;
}

const char *pst_restore_source_name(const struct pst_restore_run *run,
                                    const struct pst_object_record *record, uint64_t id)
{
    const struct pst_node_manifest *node = &run->backup->nodes[record->node];
    for (uint32_t i = 0; i < node->sources_count; i++) {
        if (node->sources[i].instance == pst_object_source(id))
            return node->sources[i].name;
    }
    return "?";
}

int pst_restore_fail_object(struct pst_restore_run *run, int error,
                            const struct pst_object_record *record, const char *what)
{
    const struct pst_object object = pst_object_of(record);
    return pst_restore_fail(run, error, "%s %s/%s: %s", what,
                            pst_restore_source_name(run, record, object.id), object.path,
                            pst_error_text(error));
}

void pst_restore_tell_progress(void *context)
{
    struct pst_restore_run *run = context;
    /* Where rows and files lie in the same parts, some of it is read twice. */
    uint64_t done = run->looked_bytes + run->scanned_bytes + atomic_load(&run->scan.bytes_done) +
                    atomic_load(&run->rows_bytes);
    const struct pst_crew_progress progress = {
        .bytes_done = done < run->set.file_bytes ? done : run->set.file_bytes,
        .bytes_total = run->set.file_bytes,
        .objects_done = atomic_load(&run->made),
    };
    if (run->options->progress)
        run->options->progress(run->options->context, &progress);
}

int pst_restore_scan(struct pst_restore_run *run, enum pst_chunk_type type, bool headers_only,
                     int (*chunk)(void *context, uint32_t worker, const struct pst_part_map *part,
                                  const void *buffer))
{
    run->scan = (struct pst_scan){
        .crew = &run->options->crew,
        .set = &run->set,
        .types = 1u << type,
        .headers_only = headers_only,
        .chunk = chunk,
        .findings = &run->findings,
        .stop_at_damage = true,
        .tick = pst_restore_tell_progress,
        .context = run,
    };
    int error = pst_scan_run(&run->scan);
    run->scanned_bytes += atomic_exchange(&run->scan.bytes_done, 0);
    if (run->findings.damages)
        return pst_restore_fail(run, run->findings.first_error, "%s", run->findings.first);
    return error;
}

static int take_catalogue(void *context, uint32_t worker, const struct pst_part_map *part,
                          const void *buffer)
{
    (void)worker;
    struct pst_restore_run *run = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    const uint8_t *payload = pst_chunk_payload_of(buffer);
    int error = 0;
    size_t offset = 0, before = 0;
    while (!error && offset < header->raw_bytes) {
        struct pst_object object;
        before = offset;
        error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && pst_restore_is_chosen(run, part->node_index, object.id))
            error = pst_objects_add(&run->objects, part->node_index, payload + before,
                                    offset - before, &object);
    }
    if (!error || error == -ENOMEM)
        return error;
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + before, header->raw_bytes - before,
                                      "catalogue entry"};
    pst_findings_add_damage(&run->findings, &part->file, header->file_offset, &damage, error);
    return error;
}

static int look_through_parts(struct pst_restore_run *run)
{
    size_t bytes = PST_CHUNK_HEADER_BYTES + (size_t)run->set.chunk_bytes;
    void *buffer = aligned_alloc(PST_BLOCK_BYTES, bytes);
    if (!buffer)
        return -ENOMEM;
    struct pst_reader reader;
    int error = pst_reader_open(&reader, 1);
    if (error) {
        free(buffer);
        return error;
    }
    for (uint32_t i = 0; !error && i < run->set.count; i++) {
        error = pst_part_map_fill(&run->set.parts[i], &reader, buffer, &run->findings,
                                  &run->looked_bytes);
        if (!error && run->findings.damages)
            error = pst_restore_fail(run, run->findings.first_error, "%s", run->findings.first);
    }
    pst_reader_close(&reader);
    free(buffer);
    return error;
}

static int gather_objects(struct pst_restore_run *run)
{
    int error = pst_restore_scan(run, PST_CHUNK_CATALOGUE, false, take_catalogue);
    if (error)
        return error;
    const struct pst_object_record *clash = NULL;
    error = pst_objects_sort(&run->objects, &clash);
    if (clash)
        pst_restore_fail_object(run, error, clash, "the backup has two objects named");
    return error;
}

static int check_cancel(const struct pst_restore_run *run)
{
    return pst_crew_is_cancelled(&run->options->crew) ? -ECANCELED : 0;
}

static int fill_target(struct pst_restore_run *run)
{
    if (run->options->export)
        return pst_restore_export(run);
    static int (*const passes[])(struct pst_restore_run *) = {
        pst_restore_make_directories, pst_restore_write_data, pst_restore_finish_files,
        pst_restore_write_rows,       pst_restore_make_links, pst_restore_finish_directories,
    };
    int error = 0;
    for (size_t i = 0; !error && i < sizeof(passes) / sizeof(passes[0]); i++) {
        error = passes[i](run);
        if (!error)
            error = check_cancel(run);
    }
    pst_restore_close_sources(run);
    return error;
}

static int restore_into_target(struct pst_restore_run *run, const char *path)
{
    int error =
        pst_target_open(&run->target, path, run->backup->cluster.common.uid, run->options->force);
    if (error)
        return pst_restore_fail(run, error, "%s: %s (%s)", path, run->target.step,
                                pst_error_text(error));
    error = fill_target(run);
    if (!error) {
        error = pst_target_commit(&run->target);
        if (error)
            pst_restore_fail(run, error, "%s: %s (%s)", path, run->target.step,
                             pst_error_text(error));
    }
    if (error) {
        int left = pst_target_abandon(&run->target);
        if (left)
            pst_log(PST_LOG_ERROR, "%s beside %s could not be removed: %s", run->target.temporary,
                    path, pst_error_text(left));
    }
    pst_target_close(&run->target);
    return error;
}

static void say_owners(struct pst_restore_run *run)
{
    run->is_root = geteuid() == 0;
    run->result->owners_skipped = !run->is_root;
    if (!run->is_root && !run->options->export)
        pst_log(PST_LOG_INFO, "not root: the restored files will belong to the caller");
}

static int restore_backup(struct pst_restore_run *run, const char *target)
{
    int error = pst_restore_choose(run);
    if (!error)
        error = pst_part_set_make(run->backup, &run->set, NULL);
    if (error)
        return error;
    pst_restore_drop_parts(run);
    error = look_through_parts(run);
    if (error)
        goto err_after_set;
    error = pst_objects_init(&run->objects);
    if (error)
        goto err_after_set;
    error = gather_objects(run);
    if (!error)
        error = check_cancel(run);
    if (!error && run->each_table) {
        error = pst_restore_tell_tables(run);
    } else if (!error && target) {
        say_owners(run);
        error = restore_into_target(run, target);
    } else if (!error) {
        error = pst_restore_write_rows(run);
    }
    pst_objects_release(&run->objects);
err_after_set:
    pst_part_set_free(&run->set);
    return error;
}

/* umask(2) could only be read by changing it, under the feet of the process's other threads. */
static int read_umask(mode_t *mask)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned read_mask = 0;
    int found = 0;
    while (status && found != 1 && fgets(line, sizeof(line), status))
        found = sscanf(line, "Umask: %o", &read_mask);
    if (status)
        fclose(status);
    *mask = (mode_t)read_mask;
    return found == 1 ? 0 : -ENOENT;
}

/* run has nothing set but what is to be done. */
static int run_restore(struct pst_restore_run *run, const char *target)
{
    pthread_mutex_init(&run->mutex, NULL);
    pst_findings_init(&run->findings, NULL, NULL);
    run->has_target = target;
    int error = 0;
    if (read_umask(&run->mode_mask) < 0)
        error = pst_restore_fail(run, -EIO, "no Umask in /proc/self/status: mount proc there");
    if (!error)
        error = restore_backup(run, target);
    if (error)
        pst_restore_fail(run, error, "backup %u: %s", run->backup->number, pst_error_text(error));
    run->result->objects = atomic_load(&run->made);
    run->result->bytes = atomic_load(&run->bytes);
    pthread_mutex_destroy(&run->mutex);
    return error;
}

int pst_restore(const struct pst_backup *backup, const char *target,
                const struct pst_restore_options *options, struct pst_restore_result *result)
{
    *result = (struct pst_restore_result){0};
    struct pst_restore_run *run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    run->backup = backup;
    run->options = options;
    run->result = result;
    int error = run_restore(run, target);
    free(run);
    return error;
}

int pst_tables_list(const struct pst_backup *backup,
                    int (*each)(void *context, const struct pst_table_entry *table), void *context,
                    char *message)
{
    const struct pst_restore_options options = {.crew = {.workers = 1}};
    struct pst_restore_result result = {0};
    message[0] = '\0';
    struct pst_restore_run *run = calloc(1, sizeof(*run));
    if (!run)
        return -ENOMEM;
    run->backup = backup;
    run->options = &options;
    run->result = &result;
    run->each_table = each;
    run->each_context = context;
    int error = run_restore(run, NULL);
    memcpy(message, result.message, sizeof(result.message));
    free(run);
    return error;
}
