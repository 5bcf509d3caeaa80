/*
 * penstock export: writes the tables of a logical backup as files. Called by command.c, on the main
 * thread.
 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "engine/api/read_job.h"
#include "engine/base/clock.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/export_sink.h"
#include "engine/cli/json.h"
#include "engine/cli/pace_options.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/print.h"
#include "engine/cli/read_command.h"
#include "engine/cli/table_names.h"
#include "engine/cli/value.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    {.name = "source",
     .kind = CLI_OPTION_TEXT,
     .argument = "[NODE/]NAME",
     .help = "source whose tables to export; may be left out if there is only one"},
    {.name = "to",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "new or empty directory for the files, one for each table"},
    {.name = "format",
     .kind = CLI_OPTION_TEXT,
     .argument = "mdb_dump|csv|jsonl",
     .fallback = "mdb_dump",
     .help =
         "format of the files: as mdb_dump prints it and mdb_load reads it, CSV, or JSON Lines"},
    {.name = "tables",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "only these tables, named as for penstock backup --tables"},
    CLI_PACE_OPTIONS,
    CLI_PLACEMENT_OPTIONS,
    CLI_OPTION_JSON,
    {0}};

static const struct cli_export_format *const formats[] = {&cli_export_mdb_dump, &cli_export_csv,
                                                          &cli_export_jsonl};

static const struct cli_export_format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

static int print_summary(const struct pst_restore_outcome *outcome, const char *to,
                         uint64_t elapsed_ns, bool json)
{
    char tables[CLI_VALUE_COUNT_BYTES];
    char size[CLI_VALUE_TEXT_BYTES];
    if (json)
        return cli_json_record(stdout, "summary",
                               json_pack("{s:s, s:I, s:o, s:I, s:I, s:I}", "operation", "export",
                                         "number", (json_int_t)outcome->number, "to",
                                         cli_json_text(to), "tables", (json_int_t)outcome->objects,
                                         "source_bytes", (json_int_t)outcome->bytes, "elapsed_ns",
                                         (json_int_t)elapsed_ns));
    cli_print_line(stdout, "backup %u is exported to %s: %s, %s of rows", outcome->number, to,
                   cli_value_count_text(outcome->objects, "table", tables),
                   cli_value_size_text(outcome->bytes, size));
    return cli_print_flush(stdout);
}

/* The command line asks for what is not in the backup, or for a directory that is not empty. */
static bool is_usage(int error)
{
    return error == -ENOTSUP || error == -PST_E_NO_TABLE || error == -ENOKEY || error == -ENOTEMPTY;
}

static void read_options(struct cli_read *read, const struct cli_table_names *names,
                         struct pst_export_job *job)
{
    const struct cli_arguments *arguments = read->arguments;
    struct pst_restore_job *restore = &job->restore;
    restore->directory = read->directories[0];
    restore->more_directories = read->directories + 1;
    restore->more_directories_count = read->directories_count - 1;
    restore->id = read->id;
    restore->keys = cli_keys_read(arguments, false, &read->keys);
    restore->pace = cli_argument_text(arguments, "pace");
    restore->min_rate = cli_argument_number(arguments, "min-rate");
    restore->notes_damage = true;
    restore->target = cli_argument_text(arguments, "to");
    restore->open_sink = cli_export_sink_open;
    restore->sink_context = (void *)(uintptr_t)find_format(cli_argument_text(arguments, "format"));
    job->source = cli_argument_text(arguments, "source");
    job->tables = names->names;
    job->tables_count = names->count;
}

static enum cli_exit export_tables(const struct cli_arguments *arguments,
                                   const struct cli_table_names *names)
{
    struct cli_read read;
    struct pst_export_job job = {0};
    struct pst_restore_report result = {0};
    pst_restore_job_init(&job.restore);
    enum cli_exit code = cli_read_begin(arguments, "export", &read, &job.restore.run);
    if (code != CLI_EXIT_DONE)
        return code;
    read_options(&read, names, &job);
    uint64_t began_ns = pst_monotonic_ns();
    int error = pst_job_export(&job, pst_interrupt_flag(), &result);
    cli_read_end(&read);
    if (error)
        return cli_read_fail(&read, error, result.outcome.number, result.outcome.message,
                             is_usage(error));
    error = print_summary(&result.outcome, job.restore.target, pst_monotonic_ns() - began_ns,
                          cli_argument_json(arguments));
    if (error)
        return cli_fail(arguments, cli_exit_unprinted(arguments),
                        "backup %u is exported, but its report cannot be printed: %s",
                        result.outcome.number, pst_error_text(error));
    if (result.outcome.passed_over)
        return cli_read_passed_over(&read, "exported", result.outcome.number,
                                    result.outcome.passed_over);
    return CLI_EXIT_DONE;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct cli_table_names names;
    const char *format = cli_argument_text(arguments, "format");
    if (!find_format(format))
        return cli_fail(arguments, CLI_EXIT_USAGE, "--format %s: give mdb_dump, csv or jsonl",
                        format);
    int error = cli_table_names_split(cli_argument_text(arguments, "tables"), &names);
    enum cli_exit code;
    if (error == -EINVAL)
        code = cli_fail(arguments, CLI_EXIT_USAGE, "--tables: give names separated by commas");
    else if (error)
        code = cli_fail(arguments, CLI_EXIT_FAILED, "out of memory");
    else
        code = export_tables(arguments, &names);
    cli_table_names_free(&names);
    return code;
}

const struct cli_command cli_command_export = {.name = "export",
                                               .summary =
                                                   "write the tables of a logical backup as files",
                                               .positional = "[ID]",
                                               .positional_max = 1,
                                               .options = options,
                                               .run = run,
                                               .acts = true};
