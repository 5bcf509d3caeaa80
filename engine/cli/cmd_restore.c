/*
 * penstock restore: writes what a backup holds below a target directory. Called by command.c, on
 * the main thread.
 */
#include <errno.h>

#include <jansson.h>

#include "engine/api/read_job.h"
#include "engine/base/clock.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/print.h"
#include "engine/cli/read_command.h"
#include "engine/cli/value.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
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
    {.name = "force",
     .kind = CLI_OPTION_SWITCH,
     .help = "restore into a target that is not empty: files of the backup replace those in place, "
             "other files stay"},
    {.name = "map-size",
     .kind = CLI_OPTION_SIZE,
     .argument = "SIZE",
     .min = 1,
     .max = INT64_MAX,
     .help = "map size of an LMDB environment restored from rows; by default as before. The map "
             "grows if the rows need more"},
    CLI_PLACEMENT_OPTIONS,
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
            json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:b, s:I}", "operation", "restore", "number",
                      (json_int_t)outcome->number, "target", cli_json_text(target), "objects",
                      (json_int_t)outcome->objects, "source_bytes", (json_int_t)outcome->bytes,
                      "unreadable", (json_int_t)outcome->unreadable, "owners_skipped",
                      (int)report->owners_skipped, "elapsed_ns", (json_int_t)elapsed_ns));
    double elapsed_s = (double)elapsed_ns / 1e9;
    double bytes_per_s = elapsed_s > 0 ? (double)outcome->bytes / elapsed_s : 0;
    cli_print_line(stdout, "backup %u is restored to %s: %s, %s in %.2f s, %s/s", outcome->number,
                   target, cli_value_count_text(outcome->objects, "object", objects),
                   cli_value_size_text(outcome->bytes, size), elapsed_s,
                   cli_value_size_text((uint64_t)bytes_per_s, rate));
    return cli_print_flush(stdout);
}

static enum cli_exit report(const struct cli_read *read, const struct pst_restore_job *job,
                            struct pst_restore_report *report, uint64_t elapsed_ns)
{
    char objects[CLI_VALUE_COUNT_BYTES];
    const struct cli_arguments *arguments = read->arguments;
    uint64_t *unreadable = &report->outcome.unreadable;
    /* The restore cannot meet what never came into the backup, such as a path too long. */
    if (job->only_count == 0 && *unreadable < report->unreadable_at_backup)
        *unreadable = report->unreadable_at_backup;
    int error = print_summary(report, job->target, elapsed_ns, cli_argument_json(arguments));
    if (error)
        return cli_fail(arguments, CLI_EXIT_PARTIAL,
                        "backup %u is restored, but its report cannot be printed: %s",
                        report->outcome.number, pst_error_text(error));
    if (*unreadable > 0)
        return cli_fail(arguments, CLI_EXIT_PARTIAL,
                        "%s could not be read completely during the backup and %s restored as far "
                        "as the backup has %s, or not at all",
                        cli_value_count_text(*unreadable, "object", objects),
                        *unreadable == 1 ? "is" : "are", *unreadable == 1 ? "it" : "them");
    return CLI_EXIT_DONE;
}

static void read_options(const struct cli_read *read, const char **only,
                         struct pst_restore_job *job)
{
    const struct cli_arguments *arguments = read->arguments;
    job->directory = read->directories[0];
    job->more_directories = read->directories + 1;
    job->more_directories_count = read->directories_count - 1;
    job->id = read->id;
    job->target = cli_argument_text(arguments, "target");
    job->force = cli_argument_switch(arguments, "force");
    job->lmdb_map_bytes = cli_argument_number(arguments, "map-size");
    job->only = only;
    job->only_count = cli_argument_texts(arguments, "only", only);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct cli_read read;
    struct pst_restore_job job;
    struct pst_restore_report result = {0};
    const char *only[CLI_OPTION_VALUES_MAX];
    pst_restore_job_init(&job);
    enum cli_exit code = cli_read_begin(arguments, "restore", &read, &job.run);
    if (code != CLI_EXIT_DONE)
        return code;
    read_options(&read, only, &job);
    uint64_t began_ns = pst_monotonic_ns();
    int error = pst_job_restore(&job, pst_interrupt_flag(), &result);
    cli_read_end(&read);
    if (error)
        return cli_read_fail(&read, error, result.outcome.number, result.outcome.message,
                             error == -ENOKEY);
    return report(&read, &job, &result, pst_monotonic_ns() - began_ns);
}

const struct cli_command cli_command_restore = {
    .name = "restore",
    .summary = "restore a backup, by default the newest complete one",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true};
