/* penstock export: writes the tables of a logical backup as files. */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/clock.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/export_sink.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/table_names.h"
#include "engine/cli/value.h"
#include "engine/restore/restore.h"

static const struct pst_option options[] = {
    PST_FROM_OPTION,
    {.name = "source",
     .kind = PST_OPTION_TEXT,
     .argument = "[NODE/]NAME",
     .help = "which source's tables; may be left out where there is only one"},
    {.name = "to",
     .kind = PST_OPTION_TEXT,
     .argument = "DIR",
     .required = true,
     .help = "where to: a new or empty directory, which gets one file for each table"},
    {.name = "format",
     .kind = PST_OPTION_TEXT,
     .argument = "mdb_dump|csv|jsonl",
     .fallback = "mdb_dump",
     .help = "as mdb_dump prints it and mdb_load reads it; CSV; or JSON Lines"},
    {.name = "tables",
     .kind = PST_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "these tables alone, named as for penstock backup"},
    PST_PLACEMENT_OPTIONS,
    PST_OPTION_JSON,
    {0}};

static const struct pst_export_format *const formats[] = {&pst_export_mdb_dump, &pst_export_csv,
                                                          &pst_export_jsonl};

static const struct pst_export_format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    return NULL;
}

static int print_summary(const struct pst_backup *backup, const char *to,
                         const struct pst_restore_result *result, uint64_t elapsed_ns, bool json)
{
    char size[PST_VALUE_TEXT_BYTES];
    if (json)
        return pst_json_record(
            stdout, "summary",
            json_pack("{s:I, s:o, s:I, s:I, s:I}", "number", (json_int_t)backup->number, "to",
                      pst_json_text(to), "tables", (json_int_t)result->objects, "bytes",
                      (json_int_t)result->bytes, "elapsed_ns", (json_int_t)elapsed_ns));
    printf("backup %u is exported to %s: %llu tables, %s of rows\n", backup->number, to,
           (unsigned long long)result->objects, pst_value_size_text(result->bytes, size));
    return fflush(stdout) == 0 ? 0 : -EIO;
}

/* What is asked for is not in the backup. */
static bool is_usage(int error)
{
    return error == -ENOTSUP || error == -PST_E_NO_TABLE || error == -ENOKEY || error == -ENOTEMPTY;
}

static enum pst_exit export_tables(struct pst_opened *opened, const struct pst_table_names *names)
{
    const struct pst_arguments *arguments = opened->arguments;
    const struct pst_backup *backup = opened->reading.backup;
    const char *to = pst_argument_text(arguments, "to");
    const char *format = pst_argument_text(arguments, "format");
    const struct pst_export tables = {.source = pst_argument_text(arguments, "source"),
                                      .tables = names->names,
                                      .tables_count = names->count};
    struct pst_restore_options how = {.crew = opened->reading.crew,
                                      .open_sink = pst_export_sink_open,
                                      .sink_context = (void *)(uintptr_t)find_format(format),
                                      .export = &tables,
                                      .progress = pst_opened_progress,
                                      .context = opened};
    struct pst_restore_result result = {0};
    uint64_t began_ns = pst_monotonic_ns();
    int rc = pst_restore(backup, to, &how, &result);
    pst_opened_finish(opened);
    if (rc == -ECANCELED)
        return pst_fail(arguments, PST_EXIT_INTERRUPTED, "interrupted; %s", result.message);
    if (rc < 0)
        return pst_fail(arguments, is_usage(rc) ? PST_EXIT_USAGE : pst_backups_exit(rc), "%s",
                        result.message);
    rc = print_summary(backup, to, &result, pst_monotonic_ns() - began_ns,
                       pst_argument_json(arguments));
    return rc < 0 ? pst_fail(arguments, PST_EXIT_FAILED, "cannot print: %s", pst_error_text(rc))
                  : PST_EXIT_DONE;
}

static enum pst_exit use(struct pst_opened *opened)
{
    const struct pst_arguments *arguments = opened->arguments;
    struct pst_table_names names;
    int rc = pst_table_names_split(pst_argument_text(arguments, "tables"), &names);
    enum pst_exit code;
    if (rc == -EINVAL)
        code = pst_fail(arguments, PST_EXIT_USAGE, "--tables: want names with commas between them");
    else if (rc < 0)
        code = pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    else
        code = export_tables(opened, &names);
    pst_table_names_free(&names);
    return code;
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    const char *format = pst_argument_text(arguments, "format");
    if (!find_format(format))
        return pst_fail(arguments, PST_EXIT_USAGE, "--format %s: say mdb_dump, csv or jsonl",
                        format);
    return pst_backups_use(arguments, PST_PICK_COMPLETE, "export", use);
}

const struct pst_command pst_command_export = {.name = "export",
                                               .summary =
                                                   "write the tables of a logical backup as files",
                                               .positional = "[ID]",
                                               .positional_max = 1,
                                               .options = options,
                                               .run = run};
