/*
 * A restore from its first look at the backup to the target's own name: it calls the passes in
 * their order. pst_restore() and pst_tables_list() may be called on any thread, which does all but
 * what the crew's threads do.
 */
#include "engine/restore/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/restore_passes.h"

static int take_catalogue(void *context, uint32_t worker, const struct pst_part_map *part,
                          const void *buffer)
{
    (void)worker;
    struct restore_run *run = context;
    const struct pst_chunk_header *header = pst_chunk_header_of(buffer);
    const uint8_t *payload = pst_chunk_payload_of(buffer);
    int error = 0;
    size_t offset = 0, before = 0;
    while (!error && offset < header->raw_bytes) {
        struct pst_object object;
        before = offset;
        error = pst_object_decode(payload, header->raw_bytes, &offset, &object);
        if (!error && restore_is_chosen(run, part->node_index, object.id))
            error = objects_add(&run->objects, part->node_index, payload + before, offset - before,
                                &object);
    }
    if (!error || error == -ENOMEM)
        return error;
    const struct pst_damage damage = {PST_CHUNK_HEADER_BYTES + before, header->raw_bytes - before,
                                      "catalogue entry"};
    pst_findings_add_damage(&run->findings, &part->file, header->file_offset, &damage, error);
    return error;
}

static int look_through_parts(struct restore_run *run)
{
    int error =
        chunk_map_parts(&run->options->crew, &run->set, &run->findings, &run->looked_bytes, true);
    return run->findings.damages ? restore_fail(run, error, "%s", run->findings.first) : error;
}

static int gather_objects(struct restore_run *run)
{
    int error = restore_read_chunks(run, PST_CHUNK_CATALOGUE, false, take_catalogue);
    if (error)
        return error;
    const struct object_record *clash = NULL;
    error = objects_sort(&run->objects, &clash);
    if (clash)
        restore_fail_object(run, error, clash, "the backup has two objects named");
    return error;
}

static int check_cancel(const struct restore_run *run)
{
    return crew_is_cancelled(&run->options->crew) ? -ECANCELED : 0;
}

static int fill_target(struct restore_run *run)
{
    if (run->options->export)
        return restore_export(run);
    static int (*const passes[])(struct restore_run *) = {
        restore_make_directories, restore_write_data, restore_finish_files,
        restore_write_rows,       restore_make_links, restore_finish_directories,
    };
    int error = 0;
    for (size_t i = 0; !error && i < sizeof(passes) / sizeof(passes[0]); i++) {
        error = passes[i](run);
        if (!error)
            error = check_cancel(run);
    }
    restore_close_sources(run);
    return error;
}

static int restore_into_target(struct restore_run *run, const char *path)
{
    int error =
        target_open(&run->target, path, run->backup->cluster.common.uid, run->options->force);
    if (error)
        return restore_fail(run, error, "%s: %s%s (%s)", path, run->target.step,
                            error == -ENOTEMPTY && !run->options->export ? ", or use --force" : "",
                            pst_error_text(error));
    error = fill_target(run);
    if (!error) {
        error = target_commit(&run->target);
        if (error)
            restore_fail(run, error, "%s: %s (%s)", path, run->target.step, pst_error_text(error));
    }
    if (error) {
        int left = target_abandon(&run->target);
        if (left)
            pst_log(PST_LOG_ERROR, "%s beside %s could not be removed: %s", run->target.temporary,
                    path, pst_error_text(left));
    }
    target_close(&run->target);
    return error;
}

static void note_owners(struct restore_run *run)
{
    run->is_root = geteuid() == 0;
    run->result->owners_skipped = !run->is_root;
    if (!run->is_root && !run->options->export)
        pst_log(PST_LOG_INFO, "not root: the restored files will belong to the caller");
}

static int restore_backup(struct restore_run *run, const char *target)
{
    int error = restore_choose(run);
    if (!error)
        error = pst_backup_parts_make(run->backup, &run->set, NULL);
    if (error)
        return error;
    restore_drop_parts(run);
    error = look_through_parts(run);
    if (error)
        goto err_after_set;
    error = objects_init(&run->objects);
    if (error)
        goto err_after_set;
    error = gather_objects(run);
    if (!error)
        error = check_cancel(run);
    if (!error && run->each_table) {
        error = restore_list_tables(run);
    } else if (!error && target) {
        note_owners(run);
        error = restore_into_target(run, target);
    } else if (!error) {
        error = restore_write_rows(run);
    }
    objects_release(&run->objects);
err_after_set:
    pst_backup_parts_free(&run->set);
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
static int run_restore(struct restore_run *run, const char *target)
{
    pthread_mutex_init(&run->mutex, NULL);
    pst_findings_init(&run->findings, NULL, NULL);
    run->has_target = target;
    int error = 0;
    if (read_umask(&run->mode_mask) < 0)
        error = restore_fail(run, -EIO, "no Umask in /proc/self/status: mount proc there");
    if (!error)
        error = restore_backup(run, target);
    if (error)
        restore_fail(run, error, "backup %u: %s", run->backup->number, pst_error_text(error));
    run->result->objects = atomic_load(&run->made);
    run->result->bytes = atomic_load(&run->bytes);
    pthread_mutex_destroy(&run->mutex);
    return error;
}

int pst_restore(const struct pst_backup *backup, const char *target,
                const struct pst_restore_options *options, struct pst_restore_result *result)
{
    *result = (struct pst_restore_result){0};
    struct restore_run *run = calloc(1, sizeof(*run));
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
    struct restore_run *run = calloc(1, sizeof(*run));
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
