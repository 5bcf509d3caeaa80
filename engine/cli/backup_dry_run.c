/* Prints what a backup would be. Called by cmd_backup.c, on the main thread. */
#include "engine/cli/backup_dry_run.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <sys/statvfs.h>

#include <jansson.h>

#include "engine/api/session.h"
#include "engine/base/log.h"
#include "engine/base/parent.h"
#include "engine/cli/json.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/catalog.h"

#define NS_PER_S 1000000000ull

/* How long it may take, and the backup from which that is known. */
struct duration {
    uint64_t ns;
    uint32_t number; /* 0: it is not known */
};

/* For who is not root, of the directory, or of the one that it will be made in. */
static int read_free_bytes(const char *to, uint64_t *bytes)
{
    struct statvfs status;
    int error = statvfs(to, &status) == 0 ? 0 : -errno;
    if (error == -ENOENT) {
        char parent[PATH_MAX];
        error = pst_new_directory(to, parent);
        if (!error)
            error = statvfs(parent, &status) == 0 ? 0 : -errno;
    }
    *bytes = error ? 0 : (uint64_t)status.f_bavail * status.f_frsize;
    return error;
}

/* ---- how long ---- */

/* Whether its times say how fast this machine reads all of such sources: it is of one node,
 * everything was read, and that was of all that there is now: one without bytes says nothing of
 * bytes. */
static bool tells_rate(const struct pst_backup *backup, const struct pst_session_estimate *estimate)
{
    const struct pst_manifest_common *common = &backup->cluster.common;
    return pst_backup_is_usable(backup->state) && backup->cluster.nodes_count == 1 &&
           pst_backup_shared_bytes(backup) == 0 &&
           common->finished_unix_ns > common->started_unix_ns &&
           (common->sums.source_bytes != 0 || estimate->source_bytes == 0) &&
           (common->sums.objects != 0 || estimate->objects == 0);
}

/* Small files cost by their number, large ones by their bytes: the one that takes longer counts. */
static uint64_t scale(uint64_t elapsed_ns, const struct pst_part_sums *done,
                      const struct pst_session_estimate *estimate)
{
    double by_bytes =
        done->source_bytes == 0 ? 0 : (double)estimate->source_bytes / (double)done->source_bytes;
    double by_objects = done->objects == 0 ? 0 : (double)estimate->objects / (double)done->objects;
    double ns = (double)elapsed_ns * (by_bytes > by_objects ? by_bytes : by_objects);
    return ns < (double)INT64_MAX ? (uint64_t)ns : INT64_MAX; /* what was read may say anything */
}

/* A backup that was done at once took the time of its start: a hundred times as much takes no
 * hundred times as long. */
static bool is_far_longer(uint64_t elapsed_ns, uint64_t ns)
{
    return elapsed_ns < NS_PER_S && ns / 100 > elapsed_ns;
}

static int estimate_duration(const char *to, const struct pst_session_estimate *estimate,
                             struct duration *duration, char *message)
{
    struct pst_backup_list list;
    *duration = (struct duration){0};
    int error = pst_backup_list_read(&to, 1, &list, message);
    if (error)
        return error == -ENOENT ? 0 : error;
    for (size_t i = list.count; i > 0 && duration->number == 0; i--) {
        const struct pst_manifest_common *common = &list.backups[i - 1]->cluster.common;
        if (!tells_rate(list.backups[i - 1], estimate))
            continue;
        uint64_t elapsed_ns = common->finished_unix_ns - common->started_unix_ns;
        duration->ns = scale(elapsed_ns, &common->sums, estimate);
        duration->number = is_far_longer(elapsed_ns, duration->ns) ? 0 : common->number;
    }
    pst_backup_list_release(&list);
    return 0;
}

/* ---- the report ---- */

static int print_json(const struct pst_session_estimate *estimate, const char *to,
                      uint64_t free_bytes, const struct duration *duration)
{
    bool fits = estimate->stored_bytes_most <= free_bytes;
    json_t *record =
        json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:b, s:I, s:I}", "operation", "dry run", "to",
                  cli_json_text(to), "objects", (json_int_t)estimate->objects, "source_bytes",
                  (json_int_t)estimate->source_bytes, "stored_bytes_most",
                  (json_int_t)estimate->stored_bytes_most, "free_bytes", (json_int_t)free_bytes,
                  "fits", (int)fits, "unreadable", (json_int_t)estimate->unreadable, "skipped",
                  (json_int_t)estimate->skipped);
    if (duration->number != 0) {
        pst_json_set(&record, "estimated_ns", json_integer((json_int_t)duration->ns));
        pst_json_set(&record, "estimated_by", json_integer((json_int_t)duration->number));
    }
    return cli_json_record(stdout, "summary", record);
}

static int print_estimate(const struct pst_session_estimate *estimate, const char *to,
                          uint64_t free_bytes, const struct duration *duration)
{
    char clock[CLI_VALUE_TEXT_BYTES], objects[CLI_VALUE_COUNT_BYTES], size[CLI_VALUE_TEXT_BYTES],
        stored[CLI_VALUE_TEXT_BYTES], room[CLI_VALUE_TEXT_BYTES];
    cli_print_line(stdout, "dry run: %s, %s; about %s at most to be stored, %s free at %s",
                   cli_value_count_text(estimate->objects, "object", objects),
                   cli_value_size_text(estimate->source_bytes, size),
                   cli_value_size_text(estimate->stored_bytes_most, stored),
                   cli_value_size_text(free_bytes, room), to);
    if (duration->number != 0)
        cli_print_line(stdout, "it may take %s: an estimate, by how fast backup %u was read",
                       cli_value_clock_text((duration->ns + NS_PER_S - 1) / NS_PER_S, clock),
                       duration->number);
    if (estimate->skipped)
        cli_print_line(stdout, "%s of kinds that are not backed up would be left out",
                       cli_value_count_text(estimate->skipped, "object", objects));
    return cli_print_flush(stdout);
}

enum cli_exit cli_backup_dry_run(const struct cli_arguments *arguments, struct pst_session *session,
                                 const char *to)
{
    struct pst_session_estimate estimate;
    struct duration duration;
    char message[PST_MESSAGE_BYTES], objects[CLI_VALUE_COUNT_BYTES];
    uint64_t free_bytes;
    int error = pst_session_probe_directory(to, message);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    error = read_free_bytes(to, &free_bytes);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s: %s", to, pst_error_text(error));
    error = pst_session_dry_run(session, &estimate, message);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    error = estimate_duration(to, &estimate, &duration, message);
    if (error)
        pst_log(PST_LOG_WARNING, "how long it may take is not known: %s", message);
    error = cli_argument_json(arguments) ? print_json(&estimate, to, free_bytes, &duration)
                                         : print_estimate(&estimate, to, free_bytes, &duration);
    if (error)
        return cli_fail_unprinted(arguments);
    if (estimate.stored_bytes_most > free_bytes)
        return cli_fail(arguments, CLI_EXIT_FAILED,
                        "%s: it may not fit, unless it can be compressed", to);
    if (estimate.unreadable)
        return cli_fail(arguments, CLI_EXIT_PARTIAL,
                        "%s could not be listed, or may not be read: see above",
                        cli_value_count_text(estimate.unreadable, "object", objects));
    return CLI_EXIT_DONE;
}
