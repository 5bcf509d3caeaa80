/*
 * penstock verify: reads every byte of a backup and reports what is damaged, and where. Called by
 * command.c, on the main thread.
 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "engine/api/read_job.h"
#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/metrics_file.h"
#include "engine/cli/pace_options.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/print.h"
#include "engine/cli/read_command.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/key/keyring.h"
#include "engine/repository/running.h"
#include "engine/repository/verify_due.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    {.name = "only",
     .kind = CLI_OPTION_TEXT,
     .argument = "NODE[/NAME]",
     .repeatable = true,
     .help = "verify only this node or source"},
    {.name = "sample",
     .kind = CLI_OPTION_TEXT,
     .argument = "N%",
     .yields_to = "only",
     .help =
         "read only so much of the chunks of each part, the next share at each run, so that all "
         "have their turn. How far it is, is kept beside the backup, and list shows it"},
    {.name = "newer-than-verified",
     .kind = CLI_OPTION_SWITCH,
     .yields_to = "only",
     .yields_to_positionals = true,
     .help = "verify, the oldest first, every backup that is newer than the last one that was "
             "found whole, of each set of sources of its own; those that were cut off or are in "
             "doubt are named and passed over"},
    CLI_PLACEMENT_OPTIONS,
    CLI_PACE_OPTIONS,
    CLI_METRICS_FILE_OPTION,
    CLI_OPTION_JSON,
    {0}};

static void on_finding(void *context, const struct pst_finding *finding)
{
    const struct cli_read *read = context;
    char text[PST_MESSAGE_BYTES];
    pst_finding_text(finding, text);
    pst_log(finding->warning ? PST_LOG_WARNING : PST_LOG_ERROR, "%s", text);
    if (!cli_argument_json(read->arguments))
        return;
    json_t *fields =
        json_pack("{s:o, s:I, s:I, s:s, s:s, s:b, s:b}", "file", cli_json_text(finding->file),
                  "offset", (json_int_t)finding->offset, "length", (json_int_t)finding->bytes,
                  "error", pst_error_name(finding->error), "what", finding->what, "unverified",
                  (int)finding->unverified, "warning", (int)finding->warning);
    if (finding->directory)
        pst_json_set(&fields, "directory", cli_json_text(finding->directory));
    if (finding->object)
        pst_json_set(&fields, "object", cli_json_text(finding->object));
    int error = cli_json_record(stdout, "error", fields);
    if (error)
        pst_log(PST_LOG_ERROR, "cannot write to standard output: %s", pst_error_text(error));
}

static json_t *summary_json(const struct pst_verify_outcome *outcome)
{
    json_t *fields = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "operation", "verify", "number",
        (json_int_t)outcome->number, "files", (json_int_t)outcome->files, "file_bytes",
        (json_int_t)outcome->bytes, "chunks", (json_int_t)outcome->chunks, "objects",
        (json_int_t)outcome->objects, "objects_damaged", (json_int_t)outcome->objects_damaged,
        "damages", (json_int_t)outcome->damages, "unverified", (json_int_t)outcome->unverified,
        "warnings", (json_int_t)outcome->warnings, "passed_over", (json_int_t)outcome->passed_over);
    if (outcome->windows > 1) {
        pst_json_set(&fields, "windows", json_integer((json_int_t)outcome->windows));
        pst_json_set(&fields, "covered", json_integer((json_int_t)outcome->covered));
    }
    return fields;
}

static int print_summary(const struct pst_verify_outcome *outcome, bool json)
{
    char files[CLI_VALUE_COUNT_BYTES], chunks[CLI_VALUE_COUNT_BYTES],
        damages[CLI_VALUE_COUNT_BYTES];
    char size[CLI_VALUE_TEXT_BYTES];
    if (json)
        return cli_json_record(stdout, "summary", summary_json(outcome));
    char objects[CLI_VALUE_COUNT_BYTES];
    cli_print(stdout, "backup %u: %s, %s, %s read and checked: %s", outcome->number,
              cli_value_count_text(outcome->files, "file", files),
              cli_value_count_text(outcome->chunks, "chunk", chunks),
              cli_value_size_text(outcome->bytes, size),
              cli_value_count_text(outcome->damages, "damage", damages));
    if (outcome->objects_damaged > 0)
        cli_print(stdout, ", %s damaged",
                  cli_value_count_text(outcome->objects_damaged, "object", objects));
    if (outcome->unverified > 0)
        cli_print(stdout, "; not all of it could be read");
    if (outcome->windows > 1)
        cli_print(stdout, "; %u of %u samples that make the whole were found whole",
                  outcome->covered, outcome->windows);
    cli_print_empty_line(stdout);
    return cli_print_flush(stdout);
}

static const struct pst_metric results[] = {
    PST_METRICS_RESULT("verified_number", NULL, "Number of the last backup that was found sound."),
    PST_METRICS_RESULT("verified_file_bytes", "bytes", "Read and checked of it."),
    PST_METRICS_RESULT("verified_objects", NULL, "Objects in it."),
};

static void note_results(const struct pst_verify_outcome *outcome)
{
    const struct pst_metrics_result values[] = {{&results[0], outcome->number},
                                                {&results[1], outcome->bytes},
                                                {&results[2], outcome->objects}};
    cli_metrics_note(values, sizeof(values) / sizeof(values[0]));
}

/* Nothing is known to be wrong with the backup, but not all of it, or nothing, could be read. */
static bool is_unverified(int error)
{
    return error != -ECANCELED && error != -PST_E_CORRUPT && error != -PST_E_NEWER &&
           error != -PST_E_INCOMPLETE && error != -PST_E_NO_BACKUP && error != -PST_E_NO_KEY &&
           error != -ENOKEY;
}

/* 0: there is no --sample. */
static int read_percent(const struct cli_arguments *arguments, uint32_t *percent)
{
    const char *text = cli_argument_text(arguments, "sample");
    char digits[8];
    uint64_t count = 0;
    *percent = 0;
    if (!text)
        return 0;
    size_t bytes = strcspn(text, "%");
    bool is_short = bytes < sizeof(digits) && (text[bytes] == '\0' || text[bytes + 1] == '\0');
    snprintf(digits, sizeof(digits), "%.*s", (int)bytes, text);
    if (!is_short || cli_value_count(digits, &count) != 0 || count < 1 || count > 99)
        return -EINVAL;
    *percent = (uint32_t)count;
    return 0;
}

/* Ends the read and reports. */
static enum cli_exit verify_one(struct cli_read *read, const struct pst_verify_job *job,
                                const struct pst_keyring *keyring)
{
    const struct cli_arguments *arguments = read->arguments;
    struct pst_verify_outcome outcome = {0};
    int error = pst_job_verify(job, keyring, pst_interrupt_flag(), &outcome);
    cli_read_end(read);
    int printed = outcome.number != 0 && error != -ECANCELED && error != -ENOKEY
                      ? print_summary(&outcome, cli_argument_json(arguments))
                      : 0;
    if (error && outcome.number != 0 && is_unverified(error))
        return cli_fail(arguments, CLI_EXIT_PARTIAL, "%s", outcome.message);
    if (error)
        return cli_read_fail(read, error, outcome.number, outcome.message, error == -ENOKEY);
    if (!outcome.was_damaged)
        note_results(&outcome);
    if (printed)
        return cli_fail_unprinted(arguments);
    if (outcome.passed_over)
        return cli_read_passed_over(read, "verified", outcome.number, outcome.passed_over);
    return CLI_EXIT_DONE;
}

/* ---- --newer-than-verified ---- */

static enum cli_exit verify_named(struct cli_read *read, struct pst_verify_job *job,
                                  const struct pst_backup *backup,
                                  const struct pst_keyring *keyring)
{
    char id[2 * PST_UID_BYTES + 1];
    if (backup->has_uid)
        pst_hex_encode(backup->uid, PST_UID_BYTES, id);
    else
        snprintf(id, sizeof(id), "%u", backup->number);
    job->id = read->id = id;
    enum cli_exit code = cli_read_next(read, "verify");
    if (code == CLI_EXIT_DONE)
        code = verify_one(read, job, keyring);
    job->id = read->id = NULL;
    return code;
}

/* Damage is what the command ends with before anything else. */
static enum cli_exit worse(enum cli_exit one, enum cli_exit other)
{
    return one == CLI_EXIT_DONE || other == CLI_EXIT_FAILED || other == CLI_EXIT_INTERRUPTED ? other
                                                                                             : one;
}

/* Its nodes, or the next backup, see to it; a timer that runs verify does not fail by it each time.
 */
static void pass_over(const struct pst_backup *backup)
{
    if (pst_backup_is_running(backup))
        pst_log(PST_LOG_INFO, "backup %u is running, and is passed over", backup->number);
    else
        pst_log(PST_LOG_WARNING, "backup %u is %s, and is passed over%s%s", backup->number,
                pst_backup_state_text(backup->state), backup->reason[0] ? ": " : "",
                backup->reason);
}

static enum cli_exit verify_due(struct cli_read *read, struct pst_verify_job *job,
                                const struct pst_backup_list *list,
                                const struct pst_keyring *keyring)
{
    enum cli_exit worst = CLI_EXIT_DONE;
    uint32_t due = 0, failed = 0, passed_over = 0;
    for (size_t i = 0; i < list->count && worst != CLI_EXIT_INTERRUPTED; i++) {
        enum pst_verify_due is_due = pst_backup_is_due(list, list->backups[i]);
        if (is_due == PST_VERIFY_UNDECIDED) {
            pass_over(list->backups[i]);
            passed_over++;
        }
        if (is_due != PST_VERIFY_DUE)
            continue;
        enum cli_exit code = verify_named(read, job, list->backups[i], keyring);
        worst = code == CLI_EXIT_DONE ? worst : worse(worst, code);
        failed += code != CLI_EXIT_DONE;
        due++;
    }
    if (failed > 0 && due > 1 && worst != CLI_EXIT_INTERRUPTED)
        return cli_fail(read->arguments, worst, "of %u backups %u %s not found whole: see above",
                        due, failed, failed == 1 ? "was" : "were");
    if (due == 0)
        pst_log(PST_LOG_INFO, "no %sbackup is newer than the last one that was found whole",
                passed_over ? "other " : "");
    return worst;
}

/* A passphrase is asked for once, and a pipe can be read once. */
static enum cli_exit verify_newer(struct cli_read *read, struct pst_verify_job *job)
{
    struct pst_keyring *keyring;
    struct pst_backup_list list;
    const struct pst_backup *newest;
    char message[PST_MESSAGE_BYTES];
    cli_read_end(read);
    enum cli_exit code = cli_backups_keys(read->arguments, &keyring);
    if (code != CLI_EXIT_DONE)
        return code;
    code = cli_backups_read(read->arguments, keyring, &list);
    if (code == CLI_EXIT_DONE) {
        int error = pst_backup_find(&list, NULL, PST_PICK_DECIDED, &newest, message);
        code = error ? cli_read_fail(read, error, 0, message, false)
                     : verify_due(read, job, &list, keyring);
        pst_backup_list_release(&list);
    }
    pst_keyring_release(keyring);
    return code;
}

/* ---- the command ---- */

static enum cli_exit verify(const struct cli_arguments *arguments, uint32_t percent)
{
    struct cli_read read;
    struct pst_verify_job job;
    const char *only[CLI_OPTION_VALUES_MAX];
    pst_verify_job_init(&job);
    enum cli_exit code = cli_read_begin(arguments, "verify", &read, &job.run);
    if (code != CLI_EXIT_DONE)
        return code;
    job.directory = read.directories[0];
    job.more_directories = read.directories + 1;
    job.more_directories_count = read.directories_count - 1;
    job.id = read.id;
    job.only = only;
    job.only_count = cli_argument_texts(arguments, "only", only);
    job.sample_percent = percent;
    job.keeps_result = true;
    job.keys = cli_keys_read(arguments, false, &read.keys);
    job.pace = cli_argument_text(arguments, "pace");
    job.min_rate = cli_argument_number(arguments, "min-rate");
    job.on_finding = on_finding;
    return cli_argument_switch(arguments, "newer-than-verified") ? verify_newer(&read, &job)
                                                                 : verify_one(&read, &job, NULL);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    uint32_t percent;
    bool newer = cli_argument_switch(arguments, "newer-than-verified");
    if (read_percent(arguments, &percent) != 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--sample: give 1%% to 99%%");
    if (percent && cli_argument_count(arguments, "only") > 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--only and --sample exclude each other");
    if (newer && (arguments->positional_count > 0 || cli_argument_count(arguments, "only") > 0))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--newer-than-verified chooses the backups, whole ones: give neither an ID "
                        "nor --only");
    return verify(arguments, percent);
}

const struct cli_command cli_command_verify = {
    .name = "verify",
    .summary = "read every byte of a backup and report what is damaged",
    .positional = "[ID]",
    .positional_max = 1,
    .options = options,
    .run = run,
    .acts = true};
