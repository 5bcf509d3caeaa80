/* penstock verify: reads every byte of a backup and says what is damaged, and where. */
#include <errno.h>

#include "engine/base/log.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/value.h"

static const struct pst_option options[] = {
    PST_FROM_OPTION, PST_PLACEMENT_OPTIONS, PST_OPTION_JSON, {0}};

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct pst_opened *opened = context;
    char text[PST_MESSAGE_BYTES];
    pst_finding_text(finding, text);
    pst_log(finding->warning ? PST_LOG_WARNING : PST_LOG_ERROR, "%s", text);
    if (!pst_argument_json(opened->arguments))
        return;
    json_t *directory = finding->directory ? pst_json_text(finding->directory) : NULL;
    json_t *fields =
        json_pack("{s:o*, s:o, s:I, s:I, s:s, s:s, s:b}", "directory", directory, "file",
                  pst_json_text(finding->file), "offset", (json_int_t)finding->offset, "bytes",
                  (json_int_t)finding->bytes, "error", pst_error_name(finding->error), "what",
                  finding->what, "warning", (int)finding->warning);
    int rc = pst_json_record(stdout, "error", fields);
    if (rc < 0)
        pst_log(PST_LOG_ERROR, "cannot print: %s", pst_error_text(rc));
}

static int print_summary(uint32_t number, const struct pst_verify_result *result, bool json)
{
    char size[PST_VALUE_TEXT_BYTES];
    if (json)
        return pst_json_record(
            stdout, "summary",
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)number, "files",
                      (json_int_t)result->files, "bytes", (json_int_t)result->bytes, "chunks",
                      (json_int_t)result->chunks, "objects", (json_int_t)result->objects, "damages",
                      (json_int_t)result->damages, "warnings", (json_int_t)result->warnings));
    printf("backup %u: %llu files, %llu chunks, %s read and checked: %llu damages\n", number,
           (unsigned long long)result->files, (unsigned long long)result->chunks,
           pst_value_size_text(result->bytes, size), (unsigned long long)result->damages);
    return fflush(stdout) == 0 ? 0 : -EIO;
}

static enum pst_exit verify(struct pst_opened *opened)
{
    const struct pst_arguments *arguments = opened->arguments;
    uint32_t number = opened->reading.backup->number;
    const struct pst_verify_options how = {.crew = opened->reading.crew,
                                           .found = on_finding,
                                           .progress = pst_opened_progress,
                                           .context = opened};
    struct pst_verify_result result;
    int rc = pst_verify(opened->reading.backup, &how, &result);
    pst_opened_finish(opened);
    if (rc == -ECANCELED)
        return pst_fail(arguments, PST_EXIT_INTERRUPTED, "interrupted");
    int printed = print_summary(number, &result, pst_argument_json(arguments));
    if (rc < 0)
        return pst_fail(arguments, pst_backups_exit(rc), "backup %u is not whole: %s", number,
                        pst_error_text(rc));
    if (printed < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print: %s", pst_error_text(printed));
    return PST_EXIT_DONE;
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    return pst_backups_use(arguments, PST_PICK_DECIDED, "verify", verify);
}

const struct pst_command pst_command_verify = {
    .name = "verify",
    .summary = "read every byte of a backup and report what is damaged",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run};
