/* penstock verify: reads every byte of a backup and says what is damaged, and where. */
#include <errno.h>
#include <stdlib.h>

#include "engine/base/log.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/value.h"

static const struct pst_option options[] = {
    PST_FROM_OPTION, PST_PLACEMENT_OPTIONS, PST_OPTION_JSON, {0}};

struct verification {
    struct pst_reading reading; /* first: pst_reading_progress() takes it for the context */
    bool json;
};

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct verification *verification = context;
    char text[PST_MESSAGE_BYTES];
    pst_finding_text(finding, text);
    pst_log(finding->warning ? PST_LOG_WARNING : PST_LOG_ERROR, "%s", text);
    if (!verification->json)
        return;
    json_t *fields = json_pack(
        "{s:o, s:I, s:I, s:s, s:s, s:b}", "file", pst_json_text(finding->file), "offset",
        (json_int_t)finding->offset, "bytes", (json_int_t)finding->bytes, "error",
        pst_error_name(finding->error), "what", finding->what, "warning", (int)finding->warning);
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

static enum pst_exit verify(const struct pst_arguments *arguments, const struct pst_backup *backup,
                            struct verification *verification)
{
    struct pst_verify_options verify = {.crew = verification->reading.crew,
                                        .found = on_finding,
                                        .progress = pst_reading_progress,
                                        .context = verification};
    struct pst_verify_result result;
    int rc = pst_verify(pst_argument_text(arguments, "from"), backup->number, &verify, &result);
    pst_reading_finish(&verification->reading);
    if (rc == -ECANCELED)
        return pst_fail(arguments, PST_EXIT_INTERRUPTED, "interrupted");
    int printed = print_summary(backup->number, &result, verification->json);
    if (rc < 0)
        return pst_fail(arguments, pst_backups_exit(rc), "backup %u is not whole: %s",
                        backup->number, pst_error_text(rc));
    if (printed < 0)
        return pst_fail(arguments, PST_EXIT_FAILED, "cannot print: %s", pst_error_text(printed));
    return PST_EXIT_DONE;
}

static enum pst_exit use(const struct pst_arguments *arguments, const struct pst_backup *backup)
{
    struct verification *verification = calloc(1, sizeof(*verification));
    if (!verification)
        return pst_fail(arguments, PST_EXIT_FAILED, "out of memory");
    verification->json = pst_argument_json(arguments);
    enum pst_exit code = pst_reading_start(arguments, "verify", &verification->reading);
    if (code == PST_EXIT_DONE)
        code = verify(arguments, backup, verification);
    free(verification);
    return code;
}

static enum pst_exit run(const struct pst_arguments *arguments)
{
    return pst_backups_use(arguments, PST_PICK_DECIDED, use);
}

const struct pst_command pst_command_verify = {
    .name = "verify",
    .summary = "read every byte of a backup and report what is damaged",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run};
