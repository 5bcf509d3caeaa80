#include "engine/cli/backups.h"
#include "engine/base/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/cli/interrupt.h"
#include "engine/format/digest.h"

enum pst_exit pst_backups_exit(int error)
{
    switch (error) {
    case -ECANCELED:
        return PST_EXIT_INTERRUPTED;
    case -PST_E_NO_BACKUP:
    case -PST_E_INCOMPLETE:
        return PST_EXIT_NO_BACKUP;
    default:
        return PST_EXIT_FAILED;
    }
}

enum pst_exit pst_backups_read(const struct pst_arguments *arguments, struct pst_backup_list *list)
{
    const char *from = pst_argument_text(arguments, "from");
    int rc = pst_backup_list_read(from, list);
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED,
                        "--from %s: %s; name the directory that --to named", from,
                        pst_error_text(rc));
    return PST_EXIT_DONE;
}

enum pst_exit pst_backups_use(const struct pst_arguments *arguments, enum pst_backup_pick pick,
                              enum pst_exit (*use)(const struct pst_arguments *arguments,
                                                   const struct pst_backup *backup))
{
    struct pst_backup_list list;
    enum pst_exit code = pst_backups_read(arguments, &list);
    if (code != PST_EXIT_DONE)
        return code;
    char message[PST_MESSAGE_BYTES];
    const char *id = arguments->positional_count > 0 ? arguments->positionals[0] : NULL;
    const struct pst_backup *backup;
    int rc = pst_backup_find(&list, id, pick, &backup, message);
    if (rc < 0)
        code = pst_fail(arguments, PST_EXIT_NO_BACKUP, "%s: %s",
                        pst_argument_text(arguments, "from"), message);
    else
        code = use(arguments, backup);
    pst_backup_list_release(&list);
    return code;
}

const char *pst_time_text(uint64_t unix_ns, char *text)
{
    time_t seconds = (time_t)(unix_ns / UINT64_C(1000000000));
    struct tm local;
    if (!localtime_r(&seconds, &local) ||
        strftime(text, PST_TIME_TEXT_BYTES, "%Y-%m-%d %H:%M:%S", &local) == 0)
        strcpy(text, "?");
    return text;
}

static json_t *decided_json(const struct pst_backup *backup)
{
    const struct pst_manifest_common *common = &backup->cluster.common;
    char uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(common->uid, PST_UID_BYTES, uid);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "uid", uid, "start_gci",
        (json_int_t)common->start_gci, "stop_gci", (json_int_t)common->stop_gci, "started_unix_ns",
        (json_int_t)common->started_unix_ns, "finished_unix_ns",
        (json_int_t)common->finished_unix_ns, "source_bytes", (json_int_t)common->sums.source_bytes,
        "stored_bytes", (json_int_t)common->sums.stored_bytes, "objects",
        (json_int_t)common->sums.objects, "chunks", (json_int_t)common->sums.chunks, "unreadable",
        (json_int_t)common->sums.unreadable, "nodes", (json_int_t)backup->cluster.nodes_count);
}

json_t *pst_backup_json(const struct pst_backup *backup)
{
    json_t *value = json_pack("{s:I, s:s}", "number", (json_int_t)backup->number, "state",
                              pst_backup_state_text(backup->state));
    if (value && backup->reason[0] != '\0')
        json_object_set_new(value, "reason", json_string_nocheck(backup->reason));
    json_t *decided = backup->has_cluster ? decided_json(backup) : NULL;
    if (value && decided)
        json_object_update(value, decided);
    json_decref(decided);
    return value;
}

enum pst_exit pst_reading_start(const struct pst_arguments *arguments, const char *label,
                                struct pst_reading *reading)
{
    bool json = pst_argument_json(arguments);
    int rc = pst_interrupt_install();
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot handle signals: %s",
                        pst_error_text(rc));
    enum pst_exit code = pst_placements_choose(arguments, pst_argument_text(arguments, "from"),
                                               &reading->placements);
    if (code != PST_EXIT_DONE)
        return code;
    reading->crew.workers = reading->placements.plan.ldms;
    reading->crew.cpus = reading->placements.cpus;
    reading->crew.cancel = pst_interrupt_flag();
    reading->progress = pst_progress_start(json ? stdout : stderr, pst_progress_choose_style(json),
                                           label, pst_monotonic_ns());
    if (!reading->progress)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    return PST_EXIT_DONE;
}

void pst_reading_progress(void *context, const struct pst_crew_progress *progress)
{
    struct pst_reading *reading = context;
    struct pst_progress_sample sample = {.now_ns = pst_monotonic_ns(),
                                         .bytes_done = progress->bytes_done,
                                         .bytes_total = progress->bytes_total,
                                         .objects_done = progress->objects_done};
    pst_progress_update(reading->progress, &sample);
}

void pst_reading_finish(struct pst_reading *reading)
{
    pst_progress_finish(reading->progress);
    reading->progress = NULL;
}
