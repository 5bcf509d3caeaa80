/*
 * Verify, restore and export as jobs: opens the backup that is meant, plans a crew near its disk
 * and runs it. Runs on the caller's thread: of `penstock verify`, `restore` and `export`, and of
 * programs that call pst_run_verify or pst_run_restore.
 */
#include "engine/api/read_job.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api/abi.h"
#include "engine/api/job_check.h"
#include "engine/api/job_pace.h"
#include "engine/api/placement.h"
#include "engine/api/read_watch.h"
#include "engine/api/reading.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/streams.h"
#include "engine/key/keyring.h"
#include "engine/restore/restore.h"
#include "engine/restore/verify.h"
#include "engine/source/lmdb/lmdb_sink.h"

/* The backup that a job reads, and its readers; on the heap, for its size. */
struct job_reader {
    const struct pst_run *run;
    void (*on_finding)(void *context, const struct pst_finding *finding); /* verify's; or NULL */
    void (*on_trouble)(void *context, const struct pst_restore_trouble *trouble); /* likewise */
    struct pst_keyring *keyring; /* of request's keys; NULL: none */
    struct pst_reading reading;
    struct pst_placements placements;
    struct pst_crew crew;
    struct pst_pace pace;
    struct read_watch watch;
    atomic_bool cancelled; /* run->cancel_fd became readable */
};

/* What every job asks of the backup that it reads. */
struct request {
    const char *directory;
    const char *const *more_directories;
    uint32_t more_directories_count;
    const char *id;
    enum pst_backup_pick pick;
    const struct pst_run *run;
    const char *job; /* "verify" … */
    const struct pst_keys *keys;
    const struct pst_keyring *keyring; /* of the caller's; NULL: keys */
    const char *pace;
    uint64_t min_rate;
    const atomic_bool *cancel; /* may be NULL */
};

static int place(struct job_reader *reader, const struct request *request, char *message)
{
    const struct pst_run *run = request->run;
    const struct pst_plan_request plan = {
        .ldms = run->ldms, .ldm_cpus = run->ldm_cpus, .hub_cpu = run->hub_cpu};
    int error = pst_placements_make(&plan, reader->reading.list.directories.paths[0],
                                    &reader->placements, message);
    reader->crew =
        (struct pst_crew){.workers = reader->placements.plan.ldms,
                          .cpus = reader->placements.cpus,
                          .pace = &reader->pace,
                          .activities = reader->watch.workers,
                          .cancel = request->cancel ? request->cancel : &reader->cancelled};
    return error;
}

static int open_backup(struct job_reader *reader, const struct request *request, char *message)
{
    const char *directories[PST_DIRECTORIES_MAX] = {request->directory};
    uint32_t more = request->more_directories_count;
    if (more >= PST_DIRECTORIES_MAX) {
        snprintf(message, PST_MESSAGE_BYTES, "too many directories: at most %u can be given",
                 PST_DIRECTORIES_MAX);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < more; i++)
        directories[i + 1] = request->more_directories[i];
    int error = request->keyring ? 0
                                 : pst_keyring_read(request->keys, request->run->cancel_fd,
                                                    &reader->keyring, message);
    if (error)
        return error;
    error = pst_reading_open(directories, more + 1,
                             request->keyring ? request->keyring : reader->keyring, request->id,
                             request->pick, &reader->reading, message);
    if (error)
        goto err_after_keys;
    error = place(reader, request, message);
    if (!error)
        return 0;
    pst_reading_close(&reader->reading);
err_after_keys:
    pst_keyring_release(reader->keyring);
    return error;
}

/* *opened is closed by close_reader(); after an error it is NULL and message says why. */
static int open_reader(const struct request *request, struct job_reader **opened, char *message)
{
    *opened = NULL;
    struct job_reader *reader = calloc(1, sizeof(*reader));
    if (!reader) {
        snprintf(message, PST_MESSAGE_BYTES, "out of memory");
        return -ENOMEM;
    }
    reader->run = request->run;
    struct pst_pace_setting pace;
    int error = job_pace_read(request->pace, request->min_rate, &pace, message);
    if (error)
        goto err_after_alloc;
    pst_pace_init(&reader->pace, &pace, PST_DEPTH_DEFAULT);
    error = read_watch_start(&reader->watch, request->job);
    if (error)
        goto err_after_pace;
    error = open_backup(reader, request, message);
    if (error)
        goto err_after_watch;
    *opened = reader;
    return 0;
err_after_watch:
    read_watch_stop(&reader->watch);
err_after_pace:
    pst_pace_release(&reader->pace);
err_after_alloc:
    free(reader);
    return error;
}

static void close_reader(struct job_reader *reader)
{
    pst_reading_close(&reader->reading);
    pst_keyring_release(reader->keyring);
    read_watch_stop(&reader->watch);
    pst_pace_release(&reader->pace);
    free(reader);
}

static bool is_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&readable, 1, 0) > 0;
}

static void on_progress(void *context, const struct pst_crew_progress *progress)
{
    struct job_reader *reader = context;
    if (is_readable(reader->run->cancel_fd))
        atomic_store_explicit(&reader->cancelled, true, memory_order_relaxed);
    if (!reader->run->on_status)
        return;
    const struct pst_status status = {
        .struct_bytes = sizeof(status),
        .bytes_done = progress->bytes_done,
        .bytes_total = progress->bytes_total,
        .objects_done = progress->objects_done,
    };
    reader->run->on_status(reader->run->context, &status);
}

/* ---- verify ---- */

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct job_reader *reader = context;
    if (reader->on_finding)
        reader->on_finding(reader->run->context, finding);
}

/* Else verifying itself failed: verify.h. */
static bool is_about_backup(int error)
{
    return error == -PST_E_CORRUPT || error == -PST_E_INCOMPLETE || error == -PST_E_NO_BACKUP ||
           error == -PST_E_NEWER;
}

/* In how many calls all chunks have their turn. */
static uint32_t windows_of(const struct pst_verify_job *job)
{
    uint32_t percent = job->sample_percent;
    return percent == 0 || percent > 100 ? 1 : (100 + percent - 1) / percent;
}

/* Of damage each finding has its own words: which checksum, which file. */
static void say_verified(const struct pst_backup *backup, int error,
                         const struct pst_verify_result *result, char *message)
{
    if (result->message[0])
        snprintf(message, PST_MESSAGE_BYTES, "%s", result->message);
    else if (error == -PST_E_CORRUPT)
        snprintf(message, PST_MESSAGE_BYTES, "backup %u is not whole: %llu damage%s found",
                 backup->number, (unsigned long long)result->damages,
                 result->damages == 1 ? " was" : "s were");
    else
        snprintf(message, PST_MESSAGE_BYTES, "backup %u %s: %s", backup->number,
                 is_about_backup(error) ? "is not whole"
                 : result->unverified   ? "could not be verified completely"
                                        : "could not be verified",
                 pst_error_text(error));
}

/* A backup on which no one can note anything is verified all the same. */
static void note_result(struct job_reader *reader, const struct pst_verify_job *job, int error,
                        struct pst_verify_outcome *outcome)
{
    const struct pst_backup *backup = reader->reading.backup;
    bool is_known = !error || error == -PST_E_CORRUPT;
    bool is_part = job->only_count > 0 || backup->is_shut;
    if (error == -PST_E_CORRUPT && is_part && job->keeps_result)
        reading_note_damage(&reader->reading);
    if (!is_known || is_part || !backup->has_cluster)
        return;
    struct pst_verified verified =
        pst_verified_after(&backup->verified, windows_of(job), error, pst_unix_ns());
    outcome->windows = verified.windows;
    outcome->covered = verified.covered;
    outcome->was_damaged = !error && verified.is_damaged;
    if (outcome->was_damaged)
        pst_log(PST_LOG_WARNING,
                "backup %u was found damaged, and not every sample of it was found whole since: "
                "verify without --sample finds out",
                backup->number);
    int noted = job->keeps_result ? pst_verified_note(backup, &reader->reading.hold, &verified) : 0;
    if (noted)
        pst_log(PST_LOG_INFO, "backup %u: that it was verified could not be noted beside it: %s",
                backup->number, pst_error_text(noted));
}

static int verify(struct job_reader *reader, const struct pst_verify_job *job,
                  struct pst_verify_outcome *outcome)
{
    const struct pst_backup *backup = reader->reading.backup;
    const struct pst_verify_options options = {
        .crew = reader->crew,
        .only = job->only,
        .only_count = job->only_count,
        .windows = job->sample_percent ? windows_of(job) : 0,
        .window = pst_verified_window(&backup->verified, windows_of(job)),
        .found = on_finding,
        .progress = on_progress,
        .context = reader,
    };
    struct pst_verify_result result;
    int error = pst_verify(backup, &options, &result);
    if (error && error != -ECANCELED)
        say_verified(backup, error, &result, outcome->message);
    outcome->number = backup->number;
    outcome->files = result.files;
    outcome->bytes = result.bytes;
    outcome->chunks = result.chunks;
    outcome->objects = result.objects;
    outcome->unverified = result.unverified;
    outcome->objects_damaged = result.objects_damaged;
    outcome->damages = result.damages;
    outcome->warnings = result.warnings;
    outcome->passed_over = reader->reading.passed_over;
    note_result(reader, job, error, outcome);
    return error;
}

int pst_job_verify(const struct pst_verify_job *job, const struct pst_keyring *keyring,
                   const atomic_bool *cancel, struct pst_verify_outcome *outcome)
{
    const struct request request = {.directory = job->directory,
                                    .more_directories = job->more_directories,
                                    .more_directories_count = job->more_directories_count,
                                    .id = job->id,
                                    .pick = PST_PICK_DECIDED,
                                    .run = &job->run,
                                    .job = "verify",
                                    .keys = job->keys,
                                    .keyring = keyring,
                                    .pace = job->pace,
                                    .min_rate = job->min_rate,
                                    .cancel = cancel};
    struct job_reader *reader;
    int error = open_reader(&request, &reader, outcome->message);
    if (error)
        return pst_abi_explain(error, outcome->message);
    reader->on_finding = job->on_finding;
    error = verify(reader, job, outcome);
    close_reader(reader);
    return pst_abi_explain(error, outcome->message);
}

int pst_run_verify(const struct pst_verify_job *given, struct pst_verify_outcome *outcome)
{
    struct pst_verify_job job;
    struct pst_verify_outcome own = {0};
    int error = pst_abi_check(outcome, sizeof(own));
    if (error)
        return error;
    pst_verify_job_init(&job);
    error = pst_abi_take(&job, sizeof(job), given, offsetof(struct pst_verify_job, keys));
    if (error)
        snprintf(own.message, sizeof(own.message), "pst_verify_job: %s", pst_abi_error_text(error));
    else
        error = job_check_verify(&job, own.message);
    if (!error)
        error = pst_streams_occupy(own.message);
    if (!error)
        error = pst_job_verify(&job, NULL, NULL, &own);
    pst_abi_give(outcome, &own, sizeof(own));
    return error;
}

/* ---- restore and export ---- */

/* As for a source (engine/source/registry/registry.c). */
static const char *fault_of(const struct pst_table_sink *sink)
{
    static const char zeros[64];
    if (sink->struct_bytes < PST_TABLE_SINK_BYTES_MIN ||
        sink->struct_bytes > sizeof(*sink) + sizeof(zeros))
        return "its struct_bytes is not the size of a struct pst_table_sink";
    if (sink->abi_version != PST_TABLE_SINK_ABI_VERSION)
        return "its abi_version is not that of this libpenstock";
    if (sink->struct_bytes > sizeof(*sink) &&
        memcmp(sink + 1, zeros, sink->struct_bytes - sizeof(*sink)) != 0)
        return "it was built for a newer libpenstock and has methods that this one does not know";
    if (!sink->begin || !sink->row || !sink->end || !sink->finish || !sink->close)
        return "a method is NULL";
    return NULL;
}

/* The program's sink, checked; where it has none for this database, and there is a directory, a new
 * LMDB environment. */
static int open_sink(void *context, const struct pst_database *database, int directory_fd,
                     struct pst_table_sink **sink, char *error_text)
{
    const struct pst_restore_job *job = context;
    int error = -ENOTSUP;
    *sink = NULL;
    if (job->open_sink)
        error = job->open_sink(job->sink_context, database, directory_fd, sink, error_text);
    if (error == -ENOTSUP && directory_fd >= 0) {
        struct pst_lmdb_sink_options lmdb = {.map_bytes = job->lmdb_map_bytes};
        return pst_lmdb_sink_open(&lmdb, database, directory_fd, sink, error_text);
    }
    const char *fault = error ? NULL : *sink ? fault_of(*sink) : "it is NULL";
    if (!fault)
        return error;
    snprintf(error_text, PST_TABLE_SINK_TEXT_BYTES, "the program's table sink: %s", fault);
    *sink = NULL;
    return -EINVAL;
}

static void on_trouble(void *context, const struct pst_restore_trouble *trouble)
{
    const struct job_reader *reader = context;
    if (reader->on_trouble)
        reader->on_trouble(reader->run->context, trouble);
}

static int restore(struct job_reader *reader, const struct pst_restore_job *job,
                   const struct pst_export *export, struct pst_restore_report *report)
{
    const struct pst_backup *backup = reader->reading.backup;
    struct pst_restore_outcome *outcome = &report->outcome;
    const struct pst_restore_options options = {.crew = reader->crew,
                                                .force = job->force,
                                                .keep_going = job->keep_going,
                                                .no_devices = job->no_devices,
                                                .no_owner = job->no_owner,
                                                .no_set_id = job->no_set_id,
                                                .trouble = on_trouble,
                                                .only = job->only,
                                                .paths = job->paths,
                                                .paths_count = job->paths_count,
                                                .tables = job->tables,
                                                .tables_count = job->tables_count,
                                                .strip = job->strip,
                                                .only_count = job->only_count,
                                                .open_sink = open_sink,
                                                .sink_context = (void *)(uintptr_t)job,
                                                .export = export,
                                                .progress = on_progress,
                                                .context = reader};
    struct pst_restore_result result;
    char missing[PST_MESSAGE_BYTES];
    if (job->only_count == 0 && *pst_backup_missing_text(backup, missing))
        pst_log(PST_LOG_WARNING, "backup %u is partial, and nothing of these nodes is restored: %s",
                backup->number, missing);
    int error = pst_restore(backup, job->target, &options, &result);
    if (result.damages > 0 && job->notes_damage)
        reading_note_damage(&reader->reading);
    outcome->number = backup->number;
    outcome->passed_over = reader->reading.passed_over;
    outcome->objects = result.objects;
    outcome->bytes = result.bytes;
    outcome->unreadable = result.unreadable;
    outcome->failed = result.failed;
    outcome->unset = result.unset;
    outcome->left_out = result.left_out;
    memcpy(outcome->message, result.message, sizeof(outcome->message));
    report->owners_skipped = result.owners_skipped;
    report->unreadable_at_backup = backup->cluster.common.sums.unreadable;
    return error;
}

static int open_and_restore(const struct pst_restore_job *job, const struct pst_export *export,
                            const atomic_bool *cancel, struct pst_restore_report *report)
{
    const struct request request = {.directory = job->directory,
                                    .more_directories = job->more_directories,
                                    .more_directories_count = job->more_directories_count,
                                    .id = job->id,
                                    .pick = PST_PICK_COMPLETE,
                                    .run = &job->run,
                                    .job = export ? "export" : "restore",
                                    .keys = job->keys,
                                    .pace = job->pace,
                                    .min_rate = job->min_rate,
                                    .cancel = cancel};
    struct job_reader *reader;
    int error = open_reader(&request, &reader, report->outcome.message);
    if (error)
        return pst_abi_explain(error, report->outcome.message);
    reader->on_trouble = job->on_trouble;
    report->outcome.number = reader->reading.backup->number;
    /* of nodes that are not read nobody needs the keys: source_choice.h */
    error = reader->reading.backup->is_shut && job->only_count == 0
                ? reading_refuse_shut(&reader->reading, report->outcome.message)
                : restore(reader, job, export, report);
    close_reader(reader);
    return pst_abi_explain(error, report->outcome.message);
}

int pst_job_restore(const struct pst_restore_job *job, const atomic_bool *cancel,
                    struct pst_restore_report *report)
{
    return open_and_restore(job, NULL, cancel, report);
}

int pst_job_export(const struct pst_export_job *job, const atomic_bool *cancel,
                   struct pst_restore_report *report)
{
    const struct pst_export export = {
        .source = job->source, .tables = job->tables, .tables_count = job->tables_count};
    struct pst_restore_job restore = job->restore;
    if (job->source && strchr(job->source, '/')) {
        restore.only = &job->source;
        restore.only_count = 1;
    }
    return open_and_restore(&restore, &export, cancel, report);
}

int pst_run_restore(const struct pst_restore_job *given, struct pst_restore_outcome *outcome)
{
    struct pst_restore_job job;
    struct pst_restore_report report = {0};
    struct pst_restore_outcome *own = &report.outcome;
    int error = pst_abi_check(outcome, sizeof(*own));
    if (error)
        return error;
    pst_restore_job_init(&job);
    error = pst_abi_take(&job, sizeof(job), given, offsetof(struct pst_restore_job, keys));
    if (error) {
        snprintf(own->message, sizeof(own->message), "pst_restore_job: %s",
                 pst_abi_error_text(error));
    } else if (!job.target && !job.open_sink) {
        snprintf(own->message, sizeof(own->message), "no target to restore into");
        error = -EINVAL;
    } else {
        error = job_check_restore(&job, own->message);
    }
    if (!error)
        error = pst_streams_occupy(own->message);
    if (!error)
        error = pst_job_restore(&job, NULL, &report);
    pst_abi_give(outcome, own, sizeof(*own));
    return error;
}
