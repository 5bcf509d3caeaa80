#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api/abi.h"
#include "engine/api/placement.h"
#include "engine/restore/restore.h"
#include "engine/source/lmdb_sink.h"

/* Threads that read a backup, as the job wants them. */
struct reading {
    const struct pst_run *run;
    struct pst_placements placements;
    atomic_bool cancelled;
    struct pst_crew crew;
    void (*on_finding)(void *context, const struct pst_finding *finding);
    struct pst_backup_list list;
};

static bool is_readable(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&readable, 1, 0) > 0;
}

static void on_progress(void *context, const struct pst_crew_progress *progress)
{
    struct reading *reading = context;
    if (is_readable(reading->run->cancel_fd))
        atomic_store_explicit(&reading->cancelled, true, memory_order_relaxed);
    if (!reading->run->on_status)
        return;
    const struct pst_status status = {
        .struct_bytes = sizeof(status),
        .bytes_done = progress->bytes_done,
        .bytes_total = progress->bytes_total,
        .objects_done = progress->objects_done,
    };
    reading->run->on_status(reading->run->context, &status);
}

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct reading *reading = context;
    if (reading->on_finding)
        reading->on_finding(reading->run->context, finding);
}

/* The backup that id names, in the list that is read here; message says why not. */
static int find(struct reading *reading, const char *directory, const char *id,
                enum pst_backup_pick pick, const struct pst_backup **backup, char *message)
{
    int error = directory ? pst_backup_list_read(directory, &reading->list) : -EINVAL;
    if (error) {
        snprintf(message, PST_MESSAGE_BYTES, "%s: %s; name the directory that was backed up into",
                 directory ? directory : "directory is NULL", pst_error_text(error));
        return error;
    }
    return pst_backup_find(&reading->list, id, pick, backup, message);
}

static int place(struct reading *reading, const char *directory, char *message)
{
    const struct pst_plan_request request = {.ldms = reading->run->ldms,
                                             .ldm_cpus = reading->run->ldm_cpus,
                                             .hub_cpu = reading->run->hub_cpu};
    int error = pst_placements_make(&request, directory, &reading->placements, message);
    reading->crew.workers = reading->placements.plan.ldms;
    reading->crew.cpus = reading->placements.cpus;
    reading->crew.cancel = &reading->cancelled;
    return error;
}

static struct reading *reading_open(const struct pst_run *run)
{
    struct reading *reading = calloc(1, sizeof(*reading));
    if (reading)
        reading->run = run;
    return reading;
}

static void reading_close(struct reading *reading)
{
    pst_backup_list_release(&reading->list);
    free(reading);
}

static int verify(struct reading *reading, const struct pst_verify_job *job,
                  struct pst_verify_outcome *outcome)
{
    const struct pst_backup *backup;
    int error = find(reading, job->directory, job->id, PST_PICK_DECIDED, &backup, outcome->message);
    if (!error)
        error = place(reading, job->directory, outcome->message);
    if (error)
        return error;
    reading->on_finding = job->on_finding;
    const struct pst_verify_options options = {
        .crew = reading->crew, .found = on_finding, .progress = on_progress, .context = reading};
    struct pst_verify_result result;
    outcome->number = backup->number;
    error = pst_verify(job->directory, backup->number, &options, &result);
    if (error)
        snprintf(outcome->message, sizeof(outcome->message), "backup %u is not whole: %s",
                 backup->number, pst_error_text(error));
    outcome->files = result.files;
    outcome->bytes = result.bytes;
    outcome->chunks = result.chunks;
    outcome->objects = result.objects;
    outcome->damages = result.damages;
    outcome->warnings = result.warnings;
    return error;
}

int pst_run_verify(const struct pst_verify_job *given, struct pst_verify_outcome *outcome)
{
    struct pst_verify_job job;
    struct pst_verify_outcome own = {0};
    int error = abi_check(outcome, sizeof(own));
    if (error)
        return error;
    pst_verify_job_init(&job);
    error = abi_take(&job, sizeof(job), given, sizeof(job));
    struct reading *reading = error ? NULL : reading_open(&job.run);
    if (error)
        snprintf(own.message, sizeof(own.message), "pst_verify_job: %s", abi_error_text(error));
    else
        error = reading ? verify(reading, &job, &own) : -ENOMEM;
    if (reading)
        reading_close(reading);
    abi_give(outcome, &own, sizeof(own));
    return error;
}

/* As for a source (engine/source/registry.c). */
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

static int restore(struct reading *reading, const struct pst_restore_job *job,
                   struct pst_restore_outcome *outcome)
{
    const struct pst_backup *backup;
    if (!job->target && !job->open_sink) {
        snprintf(outcome->message, sizeof(outcome->message), "no target to restore into");
        return -EINVAL;
    }
    int error =
        find(reading, job->directory, job->id, PST_PICK_COMPLETE, &backup, outcome->message);
    if (!error)
        error = place(reading, job->directory, outcome->message);
    if (error)
        return error;
    const struct pst_restore_options options = {.crew = reading->crew,
                                                .force = job->force,
                                                .open_sink = open_sink,
                                                .sink_context = (void *)job,
                                                .progress = on_progress,
                                                .context = reading};
    struct pst_restore_result result;
    outcome->number = backup->number;
    error = pst_restore(job->directory, backup, job->target, &options, &result);
    outcome->objects = result.objects;
    outcome->bytes = result.bytes;
    outcome->unreadable = result.unreadable;
    memcpy(outcome->message, result.message, sizeof(outcome->message));
    return error;
}

int pst_run_restore(const struct pst_restore_job *given, struct pst_restore_outcome *outcome)
{
    struct pst_restore_job job;
    struct pst_restore_outcome own = {0};
    int error = abi_check(outcome, sizeof(own));
    if (error)
        return error;
    pst_restore_job_init(&job);
    error = abi_take(&job, sizeof(job), given, sizeof(job));
    struct reading *reading = error ? NULL : reading_open(&job.run);
    if (error)
        snprintf(own.message, sizeof(own.message), "pst_restore_job: %s", abi_error_text(error));
    else
        error = reading ? restore(reading, &job, &own) : -ENOMEM;
    if (reading)
        reading_close(reading);
    abi_give(outcome, &own, sizeof(own));
    return error;
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
    if (!backup->has_cluster)
        return entry;
    memcpy(entry.uid, common->uid, sizeof(entry.uid));
    entry.start_gci = common->start_gci;
    entry.started_unix_ns = common->started_unix_ns;
    entry.finished_unix_ns = common->finished_unix_ns;
    entry.source_bytes = common->sums.source_bytes;
    entry.stored_bytes = common->sums.stored_bytes;
    entry.objects = common->sums.objects;
    entry.unreadable = common->sums.unreadable;
    return entry;
}

int pst_list_backups(const char *directory,
                     int (*each)(void *context, const struct pst_backup_entry *entry),
                     void *context)
{
    struct pst_backup_list list;
    if (!directory || !each)
        return -EINVAL;
    int error = pst_backup_list_read(directory, &list);
    if (error)
        return error;
    for (size_t i = 0; i < list.count && !error; i++) {
        const struct pst_backup_entry entry = entry_of(list.backups[i]);
        error = each(context, &entry);
    }
    pst_backup_list_release(&list);
    return error;
}
