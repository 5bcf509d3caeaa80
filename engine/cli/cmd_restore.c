/* penstock restore: writes what a backup holds below a target directory. */
#include <errno.h>

#include "engine/base/clock.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/value.h"
#include "engine/restore/restore.h"
#include "engine/source/lmdb/lmdb_sink.h"

static const struct pst_option options[] = {
    PST_FROM_OPTION,
    {.name = "target",
     .kind = PST_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help =
         "where to: one source straight into DIR, several into DIR/NAME, those of several nodes "
         "into DIR/NODE/NAME"},
    {.name = "only",
     .kind = PST_OPTION_TEXT,
     .argument = "NODE[/NAME]",
     .repeatable = true,
     .help = "this node or source alone, as if the backup had no others; of a backup that is named "
             "as ID the files of other nodes may be missing"},
    {.name = "force",
     .kind = PST_OPTION_SWITCH,
     .help = "into a target that is not empty: what is there is overwritten, the rest kept"},
    {.name = "map-size",
     .kind = PST_OPTION_SIZE,
     .argument = "SIZE",
     .min = 1,
     .max = INT64_MAX,
     .help = "map of an LMDB environment restored from rows; by default as it was. It grows where "
             "the rows need more"},
    PST_PLACEMENT_OPTIONS,
    PST_OPTION_JSON,
    {0}};

static int print_summary(const struct pst_backup *backup, const char *target,
                         const struct pst_restore_result *result, double elapsed_s, bool json)
{
    char size[PST_VALUE_TEXT_BYTES], rate[PST_VALUE_TEXT_BYTES];
    if (json)
        return pst_json_record(
            stdout, "summary",
            json_pack("{s:I, s:o, s:I, s:I, s:I, s:b, s:I}", "number", (json_int_t)backup->number,
                      "target", pst_json_text(target), "objects", (json_int_t)result->objects,
                      "bytes", (json_int_t)result->bytes, "unreadable",
                      (json_int_t)result->unreadable, "owners_skipped", (int)result->owners_skipped,
                      "elapsed_ns", (json_int_t)(elapsed_s * 1e9)));
    double bytes_per_s = elapsed_s > 0 ? (double)result->bytes / elapsed_s : 0;
    printf("backup %u is restored to %s: %llu objects, %s in %.2f s, %s/s\n", backup->number,
           target, (unsigned long long)result->objects, pst_value_size_text(result->bytes, size),
           elapsed_s, pst_value_size_text((uint64_t)bytes_per_s, rate));
    return fflush(stdout) == 0 ? 0 : -EIO;
}

static enum pst_exit restore(struct pst_opened *opened)
{
    const struct pst_arguments *arguments = opened->arguments;
    const struct pst_backup *backup = opened->reading.backup;
    const char *target = pst_argument_text(arguments, "target");
    struct pst_lmdb_sink_options lmdb = {.map_bytes = pst_argument_number(arguments, "map-size")};
    const char *only[PST_OPTION_VALUES_MAX];
    uint32_t only_count = pst_argument_texts(arguments, "only", only);
    struct pst_restore_options how = {.only = only,
                                      .only_count = only_count,
                                      .open_sink = pst_lmdb_sink_open,
                                      .sink_context = &lmdb,
                                      .crew = opened->reading.crew,
                                      .force = pst_argument_switch(arguments, "force"),
                                      .progress = pst_opened_progress,
                                      .context = opened};
    struct pst_restore_result result = {0};
    uint64_t began_ns = pst_monotonic_ns();
    int rc = pst_restore(backup, target, &how, &result);
    pst_opened_finish(opened);
    if (rc == -ECANCELED)
        return pst_fail(arguments, PST_EXIT_INTERRUPTED, "interrupted; %s", result.message);
    if (rc < 0)
        return pst_fail(arguments, rc == -ENOKEY ? PST_EXIT_USAGE : pst_backups_exit(rc), "%s",
                        result.message);
    /* What never came into the backup (a path too long) the restore cannot have met. */
    if (only_count == 0 && result.unreadable < backup->cluster.common.sums.unreadable)
        result.unreadable = backup->cluster.common.sums.unreadable;
    rc = print_summary(backup, target, &result, (double)(pst_monotonic_ns() - began_ns) / 1e9,
                       pst_argument_json(arguments));
    if (rc < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print: %s", pst_error_text(rc));
    if (result.unreadable > 0)
        return pst_fail(arguments, PST_EXIT_PARTIAL,
                        "%llu objects are restored as far as the backup has them, or not at all: "
                        "they could not be read wholly when it was made",
                        (unsigned long long)result.unreadable);
    return PST_EXIT_DONE;
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    return pst_backups_use(arguments, PST_PICK_COMPLETE, "restore", restore);
}

const struct pst_command pst_command_restore = {
    .name = "restore",
    .summary = "restore a backup, by default the newest complete one",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run};
