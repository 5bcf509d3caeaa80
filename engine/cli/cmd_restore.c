/*
 * penstock restore: writes what a backup holds below a target directory. Called by command.c, on
 * the main thread.
 */
#include <errno.h>

#include <jansson.h>

#include "engine/api/read_job.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/look_command.h"
#include "engine/cli/pace_options.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/print.h"
#include "engine/cli/read_command.h"
#include "engine/cli/table_names.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    {.name = "target",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "directory to restore into: a single source goes straight into DIR, several go into "
             "DIR/NAME, those of several nodes into DIR/NODE/NAME"},
    {.name = "only",
     .kind = CLI_OPTION_TEXT,
     .argument = "NODE[/NAME]",
     .repeatable = true,
     .help = "restore only this node or source; if ID names the backup, the files of other nodes "
             "may be missing"},
    {.name = "path",
     .kind = CLI_OPTION_TEXT,
     .argument = "GLOB",
     .repeatable = true,
     .help =
         "restore only what has such a name below DIR, and what lies below that: *, ? and [...] "
         "match within a component, ** as a component any number of them"},
    {.name = "tables",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "restore only these tables of logical backups, named as for penstock backup --tables"},
    {.name = "strip",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = PST_PATH_BYTES_MAX / 2,
     .help = "with --path: leave out the first N components of the paths in their sources"},
    {.name = "force",
     .kind = CLI_OPTION_SWITCH,
     .help =
         "restore into a target that is not empty: what the backup has replaces what is in its "
         "way, a directory with all that is in it, and other files stay. Refused before anything "
         "is touched where a mount point, another user's file, an open LMDB environment or a "
         "directory that --from names, or a file in it, is in the way"},
    {.name = "keep-going",
     .kind = CLI_OPTION_SWITCH,
     .help = "go on past damage: what is whole is restored, what is not is named, and a file of "
             "which a part is lost becomes NAME.damaged; with --force an older one of its name "
             "stays, so both need room until the newer is whole"},
    {.name = "no-devices",
     .kind = CLI_OPTION_SWITCH,
     .help = "leave out block and character devices"},
    {.name = "no-owner",
     .kind = CLI_OPTION_SWITCH,
     .help = "as root: what is restored belongs to root, without set-user-ID and set-group-ID "
             "bits, file "
             "capabilities, trusted and security attributes, project ids, and flags of chattr(1)"},
    {.name = "no-set-id",
     .kind = CLI_OPTION_SWITCH,
     .help = "restore no set-user-ID and set-group-ID bits, and no file capabilities"},
    {.name = "map-size",
     .kind = CLI_OPTION_SIZE,
     .argument = "SIZE",
     .min = 1,
     .max = INT64_MAX,
     .help = "map size of an LMDB environment restored from rows; by default as before. The map "
             "grows if the rows need more"},
    CLI_PLACEMENT_OPTIONS,
    CLI_PACE_OPTIONS,
    CLI_OPTION_JSON,
    {0}};

static int print_summary(const struct pst_restore_report *report, const char *target,
                         uint64_t elapsed_ns, bool json)
{
    char objects[CLI_VALUE_COUNT_BYTES];
    char size[CLI_VALUE_TEXT_BYTES], rate[CLI_VALUE_TEXT_BYTES];
    const struct pst_restore_outcome *outcome = &report->outcome;
    if (json)
        return cli_json_record(
            stdout, "summary",
            json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I}", "operation",
                      "restore", "number", (json_int_t)outcome->number, "target",
                      cli_json_text(target), "objects", (json_int_t)outcome->objects,
                      "source_bytes", (json_int_t)outcome->bytes, "unreadable",
                      (json_int_t)outcome->unreadable, "failed", (json_int_t)outcome->failed,
                      "not_set", (json_int_t)outcome->unset, "left_out",
                      (json_int_t)outcome->left_out, "passed_over",
                      (json_int_t)outcome->passed_over, "owners_skipped",
                      (int)report->owners_skipped, "elapsed_ns", (json_int_t)elapsed_ns));
    if (outcome->left_out)
        cli_print_line(stdout, "%s left out",
                       cli_value_count_text(outcome->left_out, "device", objects));
    double elapsed_s = (double)elapsed_ns / 1e9;
    double bytes_per_s = elapsed_s > 0 ? (double)outcome->bytes / elapsed_s : 0;
    cli_print_line(stdout, "backup %u is restored to %s: %s, %s in %.2f s, %s/s", outcome->number,
                   target, cli_value_count_text(outcome->objects, "object", objects),
                   cli_value_size_text(outcome->bytes, size), elapsed_s,
                   cli_value_size_text((uint64_t)bytes_per_s, rate));
    return cli_print_flush(stdout);
}

/* What a file system does not know it refuses of each file, which would hide all else in a log. */
#define REFUSED_NAMED_MAX 100u

static bool is_one_too_many(struct cli_read *read, const struct pst_restore_trouble *trouble)
{
    return trouble->is_whole && trouble->error == -EOPNOTSUPP &&
           ++read->refused > REFUSED_NAMED_MAX;
}

static void on_trouble(void *context, const struct pst_restore_trouble *trouble)
{
    struct cli_read *read = context;
    bool is_named = !is_one_too_many(read, trouble);
    if (is_named && trouble->path)
        pst_log(PST_LOG_ERROR, "%s %s/%s: %s", trouble->what, trouble->source, trouble->path,
                pst_error_text(trouble->error));
    else if (is_named)
        pst_log(PST_LOG_ERROR, "node %u: %s", trouble->node, trouble->what);
    if (!cli_argument_json(read->arguments))
        return;
    json_t *record =
        json_pack("{s:I, s:o, s:s, s:s, s:b}", "node", (json_int_t)trouble->node, "source",
                  cli_json_text(trouble->source), "what", trouble->what, "error",
                  pst_error_name(trouble->error), "whole", (int)trouble->is_whole);
    if (trouble->path)
        pst_json_set(&record, "path", cli_json_text(trouble->path));
    (void)!cli_json_record(stdout, "trouble", record);
}

/* What of the work is not done; each was named, or what there is too much of is counted. */
static enum cli_exit report_missing(const struct cli_read *read,
                                    const struct pst_restore_outcome *outcome)
{
    char count[CLI_VALUE_COUNT_BYTES];
    char failed[96] = "", unset[96] = "", unreadable[256] = "";
    if (read->refused > REFUSED_NAMED_MAX)
        pst_log(PST_LOG_ERROR,
                "the target does not take %s; %u are named above, and --json names all",
                cli_value_count_text(read->refused, "attribute", count), REFUSED_NAMED_MAX);
    if (outcome->failed)
        snprintf(failed, sizeof(failed), "; %s could not be restored, or not whole",
                 cli_value_count_text(outcome->failed, "object", count));
    if (outcome->unset)
        snprintf(unset, sizeof(unset), "; %s could not be set (owner, mode, time, flag or link)",
                 cli_value_count_text(outcome->unset, "attribute", count));
    if (outcome->unreadable)
        snprintf(unreadable, sizeof(unreadable),
                 "; %s could not be read completely during the backup and %s restored as far as "
                 "the backup has %s, or not at all",
                 cli_value_count_text(outcome->unreadable, "object", count),
                 outcome->unreadable == 1 ? "is" : "are", outcome->unreadable == 1 ? "it" : "them");
    return cli_fail(read->arguments, CLI_EXIT_PARTIAL, "not all is as it was%s%s%s", failed, unset,
                    unreadable);
}

static enum cli_exit report(const struct cli_read *read, const struct pst_restore_job *job,
                            struct pst_restore_report *report, uint64_t elapsed_ns)
{
    const struct cli_arguments *arguments = read->arguments;
    uint64_t *unreadable = &report->outcome.unreadable;
    /* The restore cannot meet what never came into the backup, such as a path too long. */
    bool is_all = job->only_count + job->paths_count + job->tables_count == 0;
    if (is_all && *unreadable < report->unreadable_at_backup)
        *unreadable = report->unreadable_at_backup;
    int error = print_summary(report, job->target, elapsed_ns, cli_argument_json(arguments));
    if (error)
        return cli_fail(arguments, cli_exit_unprinted(arguments),
                        "backup %u is restored, but its report cannot be printed: %s",
                        report->outcome.number, pst_error_text(error));
    if (report->outcome.failed + report->outcome.unset + *unreadable > 0)
        return report_missing(read, &report->outcome);
    if (report->outcome.passed_over)
        return cli_read_passed_over(read, "restored", report->outcome.number,
                                    report->outcome.passed_over);
    return CLI_EXIT_DONE;
}

/* What of the backup is restored. */
struct chosen {
    const char *only[CLI_OPTION_VALUES_MAX];
    const char *paths[CLI_OPTION_VALUES_MAX];
    struct cli_table_names tables;
};

static void read_options(struct cli_read *read, struct chosen *chosen, struct pst_restore_job *job)
{
    const struct cli_arguments *arguments = read->arguments;
    job->directory = read->directories[0];
    job->more_directories = read->directories + 1;
    job->more_directories_count = read->directories_count - 1;
    job->id = read->id;
    job->keys = cli_keys_read(arguments, false, &read->keys);
    job->pace = cli_argument_text(arguments, "pace");
    job->min_rate = cli_argument_number(arguments, "min-rate");
    job->target = cli_argument_text(arguments, "target");
    job->force = cli_argument_switch(arguments, "force");
    job->keep_going = cli_argument_switch(arguments, "keep-going");
    job->no_devices = cli_argument_switch(arguments, "no-devices");
    job->no_owner = cli_argument_switch(arguments, "no-owner");
    job->no_set_id = cli_argument_switch(arguments, "no-set-id");
    job->on_trouble = on_trouble;
    job->lmdb_map_bytes = cli_argument_number(arguments, "map-size");
    job->only = chosen->only;
    job->only_count = cli_argument_texts(arguments, "only", chosen->only);
    job->paths = chosen->paths;
    job->paths_count = cli_argument_texts(arguments, "path", chosen->paths);
    for (uint32_t i = 0; i < job->paths_count; i++)
        chosen->paths[i] = cli_look_name(chosen->paths[i]);
    job->tables = chosen->tables.names;
    job->tables_count = chosen->tables.count;
    job->strip = (uint32_t)cli_argument_number(arguments, "strip");
    job->notes_damage = true;
}

static enum cli_exit restore(const struct cli_arguments *arguments, struct chosen *chosen)
{
    struct cli_read read;
    struct pst_restore_job job;
    struct pst_restore_report result = {0};
    pst_restore_job_init(&job);
    enum cli_exit code = cli_read_begin(arguments, "restore", &read, &job.run);
    if (code != CLI_EXIT_DONE)
        return code;
    read_options(&read, chosen, &job);
    uint64_t began_ns = pst_monotonic_ns();
    int error = pst_job_restore(&job, pst_interrupt_flag(), &result);
    cli_read_end(&read);
    if (cli_read_is_damage(error) && !job.keep_going && result.outcome.number)
        pst_log(PST_LOG_ERROR, "the backup is damaged; --keep-going restores what is whole of it");
    if (error)
        return cli_read_fail(&read, error, result.outcome.number, result.outcome.message,
                             error == -ENOKEY || error == -ENOTEMPTY);
    return report(&read, &job, &result, pst_monotonic_ns() - began_ns);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct chosen chosen;
    enum cli_exit code;
    int error = cli_table_names_split(cli_argument_text(arguments, "tables"), &chosen.tables);
    if (error == -EINVAL)
        code = cli_fail(arguments, CLI_EXIT_USAGE, "--tables: give names separated by commas");
    else if (error)
        code = cli_fail(arguments, CLI_EXIT_FAILED, "%s", pst_error_text(error));
    else if (cli_argument_given(arguments, "strip") && cli_argument_count(arguments, "path") == 0)
        code = cli_fail(arguments, CLI_EXIT_USAGE, "--strip goes with --path");
    else
        code = restore(arguments, &chosen);
    cli_table_names_free(&chosen.tables);
    return code;
}

const struct cli_command cli_command_restore = {
    .name = "restore",
    .summary = "restore a backup, by default the newest complete one",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true};
