#include "engine/api/reading.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api/abi.h"
#include "engine/restore/restore.h"
#include "engine/source/lmdb/lmdb_sink.h"

static int place(const struct pst_reading_request *request, struct pst_reading *reading,
                 char *message)
{
    int error = pst_placements_make(request->plan, reading->list.directories.paths[0],
                                    &reading->placements, message);
    reading->crew = (struct pst_crew){.workers = reading->placements.plan.ldms,
                                      .cpus = reading->placements.cpus,
                                      .cancel = request->cancel};
    return error;
}

/* "DIR: …", "DIR and 2 more: …". */
static int find(const struct pst_reading_request *request, struct pst_reading *reading,
                char *message)
{
    const struct pst_directories *directories = &reading->list.directories;
    char found[PST_MESSAGE_BYTES], more[32] = "";
    int error =
        pst_backup_find(&reading->list, request->id, request->pick, &reading->backup, found);
    if (directories->count > 1)
        snprintf(more, sizeof(more), " and %u more", directories->count - 1);
    if (error)
        snprintf(message, PST_MESSAGE_BYTES, "%.200s%s: %.260s", directories->paths[0], more,
                 found);
    return error;
}

int pst_reading_open(const struct pst_reading_request *request, struct pst_reading *reading,
                     char *message)
{
    int error = pst_backup_list_read(request->directories, request->directories_count,
                                     &reading->list, message);
    if (error)
        return error;
    error = find(request, reading, message);
    if (error)
        goto err_after_list;
    error = pst_backup_keep(reading->backup, &reading->hold);
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES, "backup %u is being pruned", reading->backup->number);
        goto err_after_list;
    }
    if (request->plan)
        error = place(request, reading, message);
    if (!error)
        return 0;
    pst_backup_let_go(&reading->hold);
err_after_list:
    pst_backup_list_release(&reading->list);
    return error;
}

void pst_reading_close(struct pst_reading *reading)
{
    pst_backup_let_go(&reading->hold);
    pst_backup_list_release(&reading->list);
}

/* A job that reads a backup; on the heap, for its size. */
struct job {
    union {
        struct pst_verify_job verify;
        struct pst_restore_job restore;
    } asked;
    union {
        struct pst_verify_outcome verify;
        struct pst_restore_outcome restore;
    } outcome;
    const struct pst_run *run; /* of asked */
    atomic_bool cancelled;
    struct pst_reading reading;
};

/* What differs between jobs, for run_job. */
struct job_kind {
    const char *name;
    size_t asked_bytes, outcome_bytes, message_offset;
    void (*init)(struct job *job);
    int (*run)(struct job *job);
};

/* Takes what the caller asks for, runs it, gives the outcome. */
static int run_job(const struct job_kind *kind, const void *given, void *outcome)
{
    int error = abi_check(outcome, kind->outcome_bytes);
    if (error)
        return error;
    struct job *job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    kind->init(job);
    error = abi_take(&job->asked, kind->asked_bytes, given, kind->asked_bytes);
    if (error)
        snprintf((char *)&job->outcome + kind->message_offset, PST_MESSAGE_BYTES, "%s: %s",
                 kind->name, abi_error_text(error));
    else
        error = kind->run(job);
    abi_give(outcome, &job->outcome, kind->outcome_bytes);
    free(job);
    return error;
}

static bool is_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&readable, 1, 0) > 0;
}

static void on_progress(void *context, const struct pst_crew_progress *progress)
{
    struct job *job = context;
    if (is_readable(job->run->cancel_fd))
        atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
    if (!job->run->on_status)
        return;
    const struct pst_status status = {
        .struct_bytes = sizeof(status),
        .bytes_done = progress->bytes_done,
        .bytes_total = progress->bytes_total,
        .objects_done = progress->objects_done,
    };
    job->run->on_status(job->run->context, &status);
}

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct job *job = context;
    if (job->asked.verify.on_finding)
        job->asked.verify.on_finding(job->run->context, finding);
}

/* Opens the backup that a job names; message says why not. */
static int open_backup(struct job *job, const char *directory, const char *const *more,
                       uint32_t more_count, const char *id, enum pst_backup_pick pick,
                       char *message)
{
    const char *directories[PST_DIRECTORIES_MAX] = {directory};
    if (more_count >= PST_DIRECTORIES_MAX) {
        snprintf(message, PST_MESSAGE_BYTES, "more than %u directories", PST_DIRECTORIES_MAX);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < more_count; i++)
        directories[i + 1] = more[i];
    const struct pst_plan_request plan = {
        .ldms = job->run->ldms, .ldm_cpus = job->run->ldm_cpus, .hub_cpu = job->run->hub_cpu};
    const struct pst_reading_request request = {.directories = directories,
                                                .directories_count = more_count + 1,
                                                .id = id,
                                                .pick = pick,
                                                .plan = &plan,
                                                .cancel = &job->cancelled};
    return pst_reading_open(&request, &job->reading, message);
}

static void init_verify(struct job *job)
{
    pst_verify_job_init(&job->asked.verify);
    job->run = &job->asked.verify.run;
}

static int verify(struct job *job)
{
    const struct pst_verify_job *asked = &job->asked.verify;
    struct pst_verify_outcome *outcome = &job->outcome.verify;
    int error =
        open_backup(job, asked->directory, asked->more_directories, asked->more_directories_count,
                    asked->id, PST_PICK_DECIDED, outcome->message);
    if (error)
        return error;
    const struct pst_verify_options options = {
        .crew = job->reading.crew, .found = on_finding, .progress = on_progress, .context = job};
    struct pst_verify_result result;
    outcome->number = job->reading.backup->number;
    error = pst_verify(job->reading.backup, &options, &result);
    if (error)
        snprintf(outcome->message, sizeof(outcome->message), "backup %u is not whole: %s",
                 outcome->number, pst_error_text(error));
    outcome->files = result.files;
    outcome->bytes = result.bytes;
    outcome->chunks = result.chunks;
    outcome->objects = result.objects;
    outcome->damages = result.damages;
    outcome->warnings = result.warnings;
    pst_reading_close(&job->reading);
    return error;
}

int pst_run_verify(const struct pst_verify_job *job, struct pst_verify_outcome *outcome)
{
    static const struct job_kind kind = {.name = "pst_verify_job",
                                         .asked_bytes = sizeof(struct pst_verify_job),
                                         .outcome_bytes = sizeof(struct pst_verify_outcome),
                                         .message_offset =
                                             offsetof(struct pst_verify_outcome, message),
                                         .init = init_verify,
                                         .run = verify};
    return run_job(&kind, job, outcome);
}

/* As for a source (engine/source/registry/registry.c). */
static const char *fault_of(const struct pst_table_sink *sink)
{
    static const char zeros[64];
    if (sink->struct_bytes < sizeof(*sink) || sink->struct_bytes > sizeof(*sink) + sizeof(zeros))
        return "its struct_bytes is not the size of a struct pst_table_sink";
    if (sink->abi_version != PST_TABLE_SINK_ABI_VERSION)
        return "its abi_version is another than this libpenstock's";
    if (memcmp(sink + 1, zeros, sink->struct_bytes - sizeof(*sink)) != 0)
        return "it was built for a newer libpenstock and has methods that this one does not know";
    if (!sink->begin || !sink->row || !sink->end || !sink->finish || !sink->close)
        return "a method is NULL";
    return NULL;
}

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

static void init_restore(struct job *job)
{
    pst_restore_job_init(&job->asked.restore);
    job->run = &job->asked.restore.run;
}

static int restore(struct job *job)
{
    struct pst_restore_job *asked = &job->asked.restore;
    struct pst_restore_outcome *outcome = &job->outcome.restore;
    if (!asked->target && !asked->open_sink) {
        snprintf(outcome->message, sizeof(outcome->message), "no target to restore into");
        return -EINVAL;
    }
    int error =
        open_backup(job, asked->directory, asked->more_directories, asked->more_directories_count,
                    asked->id, PST_PICK_COMPLETE, outcome->message);
    if (error)
        return error;
    const struct pst_restore_options options = {.crew = job->reading.crew,
                                                .force = asked->force,
                                                .only = asked->only,
                                                .only_count = asked->only_count,
                                                .open_sink = open_sink,
                                                .sink_context = asked,
                                                .progress = on_progress,
                                                .context = job};
    struct pst_restore_result result;
    outcome->number = job->reading.backup->number;
    error = pst_restore(job->reading.backup, asked->target, &options, &result);
    outcome->objects = result.objects;
    outcome->bytes = result.bytes;
    outcome->unreadable = result.unreadable;
    memcpy(outcome->message, result.message, sizeof(outcome->message));
    pst_reading_close(&job->reading);
    return error;
}

int pst_run_restore(const struct pst_restore_job *job, struct pst_restore_outcome *outcome)
{
    static const struct job_kind kind = {.name = "pst_restore_job",
                                         .asked_bytes = sizeof(struct pst_restore_job),
                                         .outcome_bytes = sizeof(struct pst_restore_outcome),
                                         .message_offset =
                                             offsetof(struct pst_restore_outcome, message),
                                         .init = init_restore,
                                         .run = restore};
    return run_job(&kind, job, outcome);
}

static struct pst_backup_entry entry_of(const struct pst_backup *backup)
{
    const struct pst_manifest_common *common = &backup->cluster.common;
    struct pst_backup_entry entry = {
        .struct_bytes = sizeof(entry),
        .number = backup->number,
        .state = backup->state,
        .error = backup->error,
        .reason = backup->reason,
    };
    if (backup->has_uid)
        memcpy(entry.uid, backup->uid, sizeof(entry.uid));
    if (!backup->has_cluster)
        return entry;
    entry.start_gci = common->start_gci;
    entry.started_unix_ns = common->started_unix_ns;
    entry.finished_unix_ns = common->finished_unix_ns;
    entry.source_bytes = common->sums.source_bytes;
    entry.stored_bytes = common->sums.stored_bytes;
    entry.objects = common->sums.objects;
    entry.unreadable = common->sums.unreadable;
    return entry;
}

int pst_list_backups(const char *const *directories, uint32_t directories_count,
                     int (*each)(void *context, const struct pst_backup_entry *entry),
                     void *context)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    if (!directories || !each)
        return -EINVAL;
    int error = pst_backup_list_read(directories, directories_count, &list, message);
    if (error)
        return error;
    for (size_t i = 0; i < list.count && !error; i++) {
        const struct pst_backup_entry entry = entry_of(list.backups[i]);
        error = each(context, &entry);
    }
    pst_backup_list_release(&list);
    return error;
}
