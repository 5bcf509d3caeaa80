/*
 * A restore from its first look at the backup to the target's own name: it calls the passes in
 * their order. pst_restore() and pst_tables_list() may be called on any thread, which does all but
 * what the crew's threads do.
 */
#include "engine/restore/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/restore/catalogue.h"
#include "engine/restore/restore_flush.h"
#include "engine/restore/restore_passes.h"
#include "engine/restore/restore_placed.h"
#include "engine/restore/restore_select.h"

static int take_catalogue(void *context, uint32_t worker, const struct pst_part_map *part,
                          const void *buffer)
{
    (void)worker;
    struct restore_run *run = context;
    uint32_t count;
    int error = catalogue_take(&run->objects, part, buffer, &run->findings, &count);
    if (!error || error == -ENOMEM || !run->options->keep_going)
        return error;
    restore_note_lost(run, part, NULL, NULL);
    return 0;
}

static int take_sums(void *context, uint32_t worker, const struct pst_part_map *part,
                     const void *buffer)
{
    (void)worker;
    struct restore_run *run = context;
    struct pst_damage damage;
    int error = contents_add_sums(&run->contents, part, buffer, &damage);
    if (error)
        pst_findings_add_damage(&run->findings, &part->file,
                                pst_chunk_header_of(buffer)->file_offset, &damage, error);
    return run->options->keep_going ? 0 : error;
}

static int take_references(void *context, uint32_t worker, const struct pst_part_map *part,
                           const void *buffer)
{
    (void)worker;
    struct restore_run *run = context;
    struct pst_damage damage;
    int error = origins_take(&run->origins, part, buffer, &damage);
    if (error && error != -ENOMEM)
        pst_findings_add_damage(&run->findings, &part->file,
                                pst_chunk_header_of(buffer)->file_offset, &damage, error);
    return error == -ENOMEM || !run->options->keep_going ? error : 0;
}

/* Where its references are damaged, what they are of is missed, and named. */
static int open_origins(struct restore_run *run)
{
    bool keep_going = run->options->keep_going;
    if (!origins_may_be(run->backup) || run->each_table)
        return 0;
    int error =
        restore_read_chunks(run, PST_CHUNK_REFERENCES, CHUNK_WHOLE, take_references, NULL, NULL);
    if (!error)
        error =
            origins_open(&run->origins, run->crew, &run->findings, &run->looked_bytes, !keep_going);
    restore_note_unmapped_origins(run);
    int damaged = restore_check_findings(run);
    return damaged ? damaged : error;
}

static int look_through_parts(struct restore_run *run)
{
    bool keep_going = run->options->keep_going;
    run->set.salvages = keep_going;
    run->set.direct = PST_DIRECT_UNLESS_CACHED;
    int error =
        chunk_map_parts(run->crew, &run->set, &run->findings, &run->looked_bytes, !keep_going);
    if (keep_going)
        restore_note_unmapped(run);
    else if (run->findings.damages)
        return restore_fail(run, error, "%s", run->findings.first);
    return error;
}

static int read_catalogues(struct restore_run *run)
{
    memset(run->filled, restore_selects(run) ? 0 : 0xFF, sizeof(run->filled));
    if (restore_selects(run))
        return restore_select(run);
    return restore_read_chunks(run, PST_CHUNK_CATALOGUE, CHUNK_WHOLE, take_catalogue, NULL, NULL);
}

/* The checksums of objects are of all of them; of a few, those of the chunks do. */
static int read_sums(struct restore_run *run)
{
    if (restore_selects(run))
        return restore_list_ids(run);
    return restore_read_chunks(run, CHUNK_SUMS, CHUNK_WHOLE, take_sums, NULL, NULL);
}

static int gather_objects(struct restore_run *run)
{
    int error = read_catalogues(run);
    if (error)
        return error;
    error = catalogue_finish(&run->objects, run->backup, run->crew, true, !run->lost_catalogue,
                             &run->findings);
    run->has_all_parents = !error && !run->lost_catalogue && run->findings.damages == 0;
    if (error == -PST_E_CORRUPT && run->options->strip > 0)
        return restore_fail(run, -ENOKEY, "--strip %u gives two objects the same name: %s",
                            run->options->strip, run->findings.first);
    if (error == -PST_E_CORRUPT)
        return restore_fail(run, error, "%s", run->findings.first);
    if (!error)
        error = restore_check_findings(run);
    return error ? error : read_sums(run);
}

static int check_cancel(const struct restore_run *run)
{
    return crew_is_cancelled(run->crew) ? -ECANCELED : 0;
}

static int fill_target(struct restore_run *run)
{
    if (run->options->export)
        return restore_export(run);
    static int (*const passes[])(struct restore_run *) = {
        restore_make_directories,   restore_write_data, restore_report_lost,
        restore_finish_files,       restore_write_rows, restore_make_links,
        restore_finish_directories,
    };
    int error = restore_flush_begin(run);
    for (size_t i = 0; !error && i < sizeof(passes) / sizeof(passes[0]); i++) {
        error = passes[i](run);
        if (!error)
            error = check_cancel(run);
    }
    int flushed = restore_flush_end(run);
    error = error ? error : flushed;
    restore_forget_directories(run);
    return error;
}

static int fail_target(struct restore_run *run, const char *path, int error)
{
    return error ? restore_fail(run, error, "%s: %s (%s)", path, run->target.step,
                                pst_error_text(error))
                 : 0;
}

static void abandon(struct restore_run *run, const char *path, bool is_begun)
{
    int left =
        PST_ACTIVITY_STEP("remove what was restored beside", path, target_abandon(&run->target));
    if (left)
        pst_log(PST_LOG_ERROR, "%s beside %s could not be removed: %s", run->target.temporary, path,
                pst_error_text(left));
    else if (run->target.in_place && is_begun)
        pst_log(
            PST_LOG_WARNING,
            "%s holds what was restored so far, and the file %s: run the same restore again, or "
            "remove both",
            path, PST_RESTORE_MARKER);
}

static int restore_into_target(struct restore_run *run, const char *path)
{
    const uint8_t *uid = run->backup->cluster.common.uid;
    int error =
        PST_ACTIVITY_STEP("open", path, target_open(&run->target, path, uid, run->options->force));
    if (error)
        return restore_fail(run, error, "%s: %s%s (%s)", path, run->target.step,
                            error == -ENOTEMPTY && !run->options->export ? ", or use --force" : "",
                            pst_error_text(error));
    run->swaps = run->target.in_place && run->options->keep_going && !run->options->export;
    if (run->target.in_place)
        error = restore_placed_open(&run->placed);
    if (!error && run->target.in_place)
        error = restore_check_room(run);
    if (!error)
        error = fail_target(run, path, PST_ACTIVITY_STEP("mark", path, target_begin(&run->target)));
    bool is_begun = !error;
    if (!error)
        error = fill_target(run);
    if (!error)
        error =
            fail_target(run, path, PST_ACTIVITY_STEP("sync", path, target_settle(&run->target)));
    if (!error)
        error = PST_ACTIVITY_STEP("finish", path, restore_finish_root(run));
    if (!error)
        error =
            fail_target(run, path, PST_ACTIVITY_STEP("sync", path, target_commit(&run->target)));
    if (error)
        abandon(run, path, is_begun);
    else
        restore_set_flags(run);
    restore_placed_close(run->placed);
    restore_close_sources(run);
    target_close(&run->target);
    return error;
}

static void note_owners(struct restore_run *run)
{
    run->is_root = geteuid() == 0;
    run->set_owners = run->is_root && !run->options->no_owner;
    run->result->owners_skipped = !run->set_owners;
    if (!run->is_root && !run->options->export)
        pst_log(PST_LOG_INFO, "not root: the restored files will belong to the caller");
}

/* The directory of backups, the backup's own, the part's, and the part: the first that is another
 * user's. */
static bool is_of_another(const struct pst_part_map *part, uid_t *owner)
{
    char path[sizeof(part->file.text) + 2];
    struct stat status;
    snprintf(path, sizeof(path), "./%s", part->file.text);
    for (char *end = path + 1; end; end = strchr(end + 1, '/')) {
        char after = *end;
        *end = '\0';
        int rc = fstatat(part->from_fd, path, &status, AT_SYMLINK_NOFOLLOW);
        *end = after;
        *owner = status.st_uid;
        if (rc == 0 && *owner != 0)
            return true;
    }
    return fstatat(part->from_fd, path, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           (*owner = status.st_uid) != 0;
}

/* What root restores is made with all rights, whoever wrote it. */
static void warn_of_owner(const struct restore_run *run)
{
    uid_t owner = 0;
    bool is_other = false;
    for (uint32_t i = 0; run->is_root && !is_other && i < run->set.count; i++)
        is_other = run->set.parts[i].from_fd >= 0 && is_of_another(&run->set.parts[i], &owner);
    if (is_other)
        pst_log(PST_LOG_WARNING,
                "the backup belongs to user %u, who decides what root restores from it, owners, "
                "set-user-ID programs and devices too: see --no-owner, --no-set-id, --no-devices",
                (unsigned)owner);
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
    run->objects.only = run->options->only_count > 0 ? run->only : NULL;
    error = origins_init(&run->origins, run->backup, &run->set, &run->objects);
    int contents = contents_init(&run->contents, run->backup, &run->set, &run->objects);
    run->contents.origins = &run->origins;
    error = error ? error : contents;
    if (!error)
        error = gather_objects(run);
    if (!error)
        error = open_origins(run);
    if (!error)
        error = check_cancel(run);
    if (!error && run->each_table) {
        error = restore_list_tables(run);
    } else if (!error && target) {
        note_owners(run);
        warn_of_owner(run);
        error = restore_into_target(run, target);
    } else if (!error) {
        error = restore_write_rows(run);
        if (!error)
            error = restore_report_lost(run);
    }
    restore_forget_ids(run);
    contents_release(&run->contents);
    origins_release(&run->origins);
    objects_release(&run->objects);
err_after_set:
    pst_backup_parts_free(&run->set);
    return error;
}

/* umask(2) could only be read by changing it, under the feet of the process's other threads. */
static int read_umask(mode_t *mask)
{
    char line[256];
    errno = 0;
    FILE *status = fopen("/proc/self/status", "re");
    unsigned read_mask = 0;
    int found = 0;
    while (status && found != 1 && fgets(line, sizeof(line), status))
        found = sscanf(line, "Umask: %o", &read_mask);
    int error = found == 1 ? 0 : errno ? -errno : -ENOENT;
    if (status)
        fclose(status);
    *mask = (mode_t)read_mask;
    return error;
}

/* Damage that a restore goes on past. */
static void log_finding(void *context, const struct pst_finding *finding)
{
    char text[PST_MESSAGE_BYTES];
    (void)context;
    pst_finding_text(finding, text);
    pst_log(PST_LOG_WARNING, "%s", text);
}

/* run has nothing set but what is to be done. */
static int run_restore(struct restore_run *run, const char *target)
{
    pthread_mutex_init(&run->mutex, NULL);
    pthread_mutex_init(&run->files, NULL);
    bool keep_going = run->options->keep_going;
    pst_findings_init(&run->findings, keep_going ? log_finding : NULL, NULL);
    run->lost = keep_going ? restore_note_lost : NULL;
    run->has_target = target;
    int error = read_umask(&run->mode_mask);
    if (error == -ENOENT)
        error = restore_fail(run, -EIO, "no Umask in /proc/self/status: mount proc there");
    else if (error)
        error = restore_fail(run, error, "/proc/self/status: %s", pst_error_text(error));
    if (!error)
        error = crew_open(&run->options->crew, &run->crew);
    if (!error) {
        error = restore_backup(run, target);
        crew_close(run->crew);
    }
    if (error == -PST_E_INCONSISTENT)
        error = -PST_E_CORRUPT; /* to the caller it is damaged; the message says how */
    if (error)
        restore_fail(run, error, "backup %u: %s", run->backup->number, pst_error_text(error));
    /* names that --strip makes the same are none of the backup's */
    if (error != -ENOKEY || run->options->strip == 0)
        run->result->damages =
            run->findings.damages - run->findings.unverified - run->findings.newer;
    run->result->objects = atomic_load(&run->made);
    run->result->bytes = atomic_load(&run->bytes);
    free(run->ranges);
    pthread_mutex_destroy(&run->files);
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
