/* penstock verify: reads every byte of a backup and reports what is damaged, and where. */
#include <errno.h>

#include <jansson.h>

#include "engine/api/read_job.h"
#include "engine/base/log.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/read_command.h"
#include "engine/cli/value.h"
#include "engine/service/interrupt.h"

static const struct pst_option options[] = {
    PST_FROM_OPTION, PST_PLACEMENT_OPTIONS, PST_OPTION_JSON, {0}};

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct pst_read *read = context;
    char text[PST_MESSAGE_BYTES];
    pst_finding_text(finding, text);
    pst_log(finding->warning ? PST_LOG_WARNING : PST_LOG_ERROR, "%s", text);
    if (!pst_argument_json(read->arguments))
        return;
    json_t *directory = finding->directory ? pst_json_text(finding->directory) : NULL;
    json_t *fields =
        json_pack("{s:o*, s:o, s:I, s:I, s:s, s:s, s:b}", "directory", directory, "file",
                  pst_json_text(finding->file), "offset", (json_int_t)finding->offset, "bytes",
                  (json_int_t)finding->bytes, "error", pst_error_name(finding->error), "what",
                  finding->what, "warning", (int)finding->warning);
    int error = pst_json_record(stdout, "error", fields);
    if (error)
        pst_log(PST_LOG_ERROR, "cannot print: %s", pst_error_text(error));
}

static int print_summary(const struct pst_verify_outcome *outcome, bool json)
{
    char size[PST_VALUE_TEXT_BYTES];
    if (json)
        return pst_json_record(
            stdout, "summary",
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)outcome->number,
                      "files", (json_int_t)outcome->files, "bytes", (json_int_t)outcome->bytes,
                      "chunks", (json_int_t)outcome->chunks, "objects",
                      (json_int_t)outcome->objects, "damages", (json_int_t)outcome->damages,
                      "warnings", (json_int_t)outcome->warnings));
    printf("backup %u: %llu files, %llu chunks, %s read and checked: %llu damages\n",
           outcome->number, (unsigned long long)outcome->files, (unsigned long long)outcome->chunks,
           pst_value_size_text(outcome->bytes, size), (unsigned long long)outcome->damages);
    return fflush(stdout) == 0 ? 0 : -EIO;
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    struct pst_read read;
    struct pst_verify_job job;
    struct pst_verify_outcome outcome = {0};
    pst_verify_job_init(&job);
    enum pst_exit code = pst_read_begin(arguments, "verify", &read, &job.run);
    if (code != PST_EXIT_DONE)
        return code;
    job.directory = read.directories[0];
    job.more_directories = read.directories + 1;
    job.more_directories_count = read.directories_count - 1;
    job.id = read.id;
    job.on_finding = on_finding;
    int error = pst_job_verify(&job, pst_interrupt_flag(), &outcome);
    pst_read_end(&read);
    if (error == -ECANCELED)
        return pst_read_fail(&read, error, outcome.number, "", false);
    int printed = outcome.number != 0 ? print_summary(&outcome, pst_argument_json(arguments)) : 0;
    if (error)
        return pst_read_fail(&read, error, outcome.number, outcome.message, false);
    if (printed)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print: %s", pst_error_text(printed));
    return PST_EXIT_DONE;
}

const struct pst_command pst_command_verify = {
    .name = "verify",
    .summary = "read every byte of a backup and report what is damaged",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run};
