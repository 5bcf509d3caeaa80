#include "engine/cli/backups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/clock.h"
#include "engine/base/hex.h"
#include "engine/cli/placement_options.h"
#include "engine/service/interrupt.h"

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
    const char *directories[PST_OPTION_VALUES_MAX];
    char message[PST_MESSAGE_BYTES];
    uint32_t count = pst_argument_texts(arguments, "from", directories);
    if (pst_backup_list_read(directories, count, list, message) < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "%s", message);
    return PST_EXIT_DONE;
}

static enum pst_exit start_progress(struct pst_opened *opened, const char *label)
{
    bool json = pst_argument_json(opened->arguments);
    opened->progress = pst_progress_start(json ? stdout : stderr, pst_progress_choose_style(json),
                                          label, pst_monotonic_ns());
    return opened->progress ? PST_EXIT_DONE
                            : pst_fail(opened->arguments, PST_EXIT_FAILED, "out of memory");
}

static enum pst_exit open_and_use(struct pst_opened *opened,
                                  const struct pst_reading_request *request, const char *label,
                                  enum pst_exit (*use)(struct pst_opened *opened))
{
    char message[PST_MESSAGE_BYTES];
    int error = pst_reading_open(request, &opened->reading, message);
    if (error)
        return pst_fail(opened->arguments,
                        error == -EINVAL ? PST_EXIT_USAGE : pst_backups_exit(error), "%s", message);
    enum pst_exit code = label ? start_progress(opened, label) : PST_EXIT_DONE;
    if (code == PST_EXIT_DONE)
        code = use(opened);
    pst_opened_finish(opened);
    pst_reading_close(&opened->reading);
    return code;
}

enum pst_exit pst_backups_use(const struct pst_arguments *arguments, enum pst_backup_pick pick,
                              const char *label, enum pst_exit (*use)(struct pst_opened *opened))
{
    const char *directories[PST_OPTION_VALUES_MAX];
    struct pst_plan_request plan;
    struct pst_reading_request request = {
        .directories = directories,
        .directories_count = pst_argument_texts(arguments, "from", directories),
        .id = arguments->positional_count > 0 ? arguments->positionals[0] : NULL,
        .pick = pick,
        .cancel = pst_interrupt_flag()};
    int error = label ? pst_interrupt_install() : 0;
    if (error)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot handle signals: %s",
                        pst_error_text(error));
    if (label) {
        plan = pst_placement_request(arguments);
        request.plan = &plan;
    }
    struct pst_opened *opened = calloc(1, sizeof(*opened));
    if (!opened)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    opened->arguments = arguments;
    enum pst_exit code = open_and_use(opened, &request, label, use);
    free(opened);
    return code;
}

void pst_opened_progress(void *context, const struct pst_crew_progress *progress)
{
    struct pst_opened *opened = context;
    const struct pst_progress_sample sample = {.now_ns = pst_monotonic_ns(),
                                               .bytes_done = progress->bytes_done,
                                               .bytes_total = progress->bytes_total,
                                               .objects_done = progress->objects_done};
    pst_progress_update(opened->progress, &sample);
}

void pst_opened_finish(struct pst_opened *opened)
{
    pst_progress_finish(opened->progress);
    opened->progress = NULL;
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
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "start_gci",
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
    char uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(backup->uid, PST_UID_BYTES, uid);
    if (value && backup->has_uid)
        json_object_set_new(value, "uid", json_string(uid));
    json_t *decided = backup->has_cluster ? decided_json(backup) : NULL;
    if (value && decided)
        json_object_update(value, decided);
    json_decref(decided);
    return value;
}
