/*
 * penstock backup: backs up sources of this machine into a directory, or asks a node to. Called by
 * command.c, on the main thread.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "engine/api/session.h"
#include "engine/base/clock.h"
#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/base/shell.h"
#include "engine/cli/backup_dry_run.h"
#include "engine/cli/backup_report.h"
#include "engine/cli/command.h"
#include "engine/cli/commands.h"
#include "engine/cli/hook_options.h"
#include "engine/cli/job_options.h"
#include "engine/cli/metrics_file.h"
#include "engine/cli/null_target.h"
#include "engine/cli/placement_options.h"
#include "engine/cli/progress.h"
#include "engine/cli/table_names.h"
#include "engine/cli/through_node.h"
#include "engine/cli/value.h"
#include "engine/repository/catalog.h"
#include "engine/service/interrupt.h"

static const struct cli_option options[] = {
    {.name = "source",
     .kind = CLI_OPTION_TEXT,
     .argument = "[NAME=]KIND:...",
     .repeatable = true,
     .help = "what to back up: dir:PATH, lmdb:PATH, or synthetic:rows=N[,row-bytes=N]"
             "[,compressibility=PERCENT][,seed=N]"},
    {.name = "to",
     .kind = CLI_OPTION_TEXT,
     .argument = "DIR|null:",
     .help =
         "directory for the backups; created if its parent exists. null: reads and checksums "
         "everything, compresses as --compress says, and keeps nothing, to see how fast that is"},
    {.name = "node",
     .kind = CLI_OPTION_TEXT,
     .argument = "SOCKET",
     .yields_to = "source,to",
     .help = "have the cluster of the node at this control socket make the backup, of the sources "
             "and into the directories that its nodes are configured with; goes only with --wait, "
             "--allow-missing, --number, --single-threaded, --verify and --json. What the "
             "environment or the configuration file sets of the other options is for backups "
             "without --node; only --label, --logical, --tables, --exclude-tables, --exclude…, "
             "--one-file-system, --key-file, --recipient and --passphrase-… must not be set there "
             "either. PENSTOCK_NODE counts only where no --source and no --to is given"},
    {.name = "wait",
     .kind = CLI_OPTION_TEXT,
     .argument = "completed|started|none",
     .fallback = "completed",
     .help = "with --node: return when the backup is completed, when it has started, or at once"},
    {.name = "allow-missing",
     .kind = CLI_OPTION_SWITCH,
     .help = "with --node: make the backup even if nodes of the cluster are missing"},
    {.name = "number",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = PST_BACKUP_NUMBER_WANTED_MAX,
     .help = "number of the backup, not taken yet; by default one more than the highest in DIR, so "
             "numbers near the end of 32 bits are refused: they would leave none"},
    {.name = "label",
     .kind = CLI_OPTION_TEXT,
     .argument = "TEXT",
     .help = "a word of yours for the backup, which list and show print: 1 to 128 bytes of "
             "printable "
             "UTF-8. Not with --node: no node takes it"},
    CLI_PLACEMENT_OPTIONS,
    {.name = "single-threaded",
     .kind = CLI_OPTION_SWITCH,
     .help = "LDM 1 alone does all the work, without the proxy"},
    {.name = "dry-run",
     .kind = CLI_OPTION_SWITCH,
     .help = "only list the sources, and say what a backup would hold, and whether it fits "
             "into DIR"},
    {.name = "verify",
     .kind = CLI_OPTION_SWITCH,
     .help = "read every part and manifest back from its disk, past the page cache, and compare it "
             "with "
             "what was written, before the backup counts as made; what differs fails it"},
    CLI_JOB_OPTIONS,
    {.name = "logical",
     .kind = CLI_OPTION_SWITCH,
     .help = "back up the tables of lmdb: sources row by row, instead of their pages"},
    {.name = "tables",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "with --logical: only these tables, from every source that has them; bytes other than "
             "letters, digits, '.', '_' and '-' may be written as %HH; the unnamed table is %main"},
    {.name = "exclude-tables",
     .kind = CLI_OPTION_TEXT,
     .argument = "NAME,...",
     .help = "with --logical: all tables but these"},
    CLI_HOOK_OPTIONS,
    CLI_METRICS_FILE_OPTION,
    CLI_OPTION_JSON,
    {0},
};
/* What a backup needs; on the heap, for its size. */
struct run {
    const struct cli_arguments *arguments;
    const char *specs[PST_SOURCES_MAX];
    struct cli_table_names tables, unwanted_tables;
    struct cli_keys keys;
    struct cli_exclude exclude;
    struct cli_null_target null_target;
    struct pst_backup_job job;
    struct pst_session *session;
    struct pst_session_report report;
    struct cli_progress *progress;
    char message[PST_MESSAGE_BYTES];
    bool is_begun; /* --before-command has done what it was to do: --after-command is due */
};

static void read_options(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    struct pst_backup_job *job = &run->job;
    cli_job_read_options(arguments, run->specs, &run->keys, &run->exclude, job);
    job->number = (uint32_t)cli_argument_number(arguments, "number");
    job->label = cli_argument_text(arguments, "label");
    job->run.cancel_fd = pst_interrupt_fd();
    job->single_threaded = cli_argument_switch(arguments, "single-threaded");
    job->verify = cli_argument_switch(arguments, "verify");
}

static enum cli_exit read_tables(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    struct pst_backup_job *job = &run->job;
    int error = cli_table_names_split(cli_argument_text(arguments, "tables"), &run->tables);
    if (!error)
        error = cli_table_names_split(cli_argument_text(arguments, "exclude-tables"),
                                      &run->unwanted_tables);
    if (error == -EINVAL)
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--tables, --exclude-tables: give names separated by commas");
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "out of memory");
    job->is_logical = cli_argument_switch(arguments, "logical");
    if (!job->is_logical && run->tables.count + run->unwanted_tables.count > 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--tables and --exclude-tables need --logical");
    job->tables = run->tables.names;
    job->tables_count = run->tables.count;
    job->unwanted_tables = run->unwanted_tables.names;
    job->unwanted_tables_count = run->unwanted_tables.count;
    return CLI_EXIT_DONE;
}

static void on_status(void *context, const struct pst_status *status)
{
    struct run *run = context;
    struct cli_progress_sample sample = {
        .now_ns = pst_monotonic_ns(),
        .bytes_done = status->bytes_done,
        .bytes_total = status->bytes_total,
        .objects_done = status->objects_done,
    };
    cli_progress_update(run->progress, &sample);
}

static void log_memory(const struct run *run)
{
    char each[CLI_VALUE_TEXT_BYTES], all[CLI_VALUE_TEXT_BYTES];
    uint32_t ldms = pst_session_ldms(run->session);
    uint64_t bytes = pst_session_buffer_bytes(run->session);
    pst_log(PST_LOG_INFO, "%u LDM%s with %s of buffers each, %s in all", ldms, ldms == 1 ? "" : "s",
            cli_value_size_text(bytes, each), cli_value_size_text(bytes * ldms, all));
}

/* The number after the highest backup that is not in the unbroken row up to the last number. */
static void advise_number(const struct run *run, char *text, size_t bytes)
{
    struct pst_backup_list list;
    char message[PST_MESSAGE_BYTES];
    uint32_t last = PST_BACKUP_NUMBER_MAX;
    int error = pst_backup_list_read(&run->job.directory, 1, &list, message);
    for (size_t i = error ? 0 : list.count; i > 0 && list.backups[i - 1]->number >= last; i--)
        last = list.backups[i - 1]->number - 1;
    uint32_t highest = 0;
    for (size_t i = 0; !error && i < list.count; i++) {
        if (list.backups[i]->number <= last)
            highest = list.backups[i]->number;
    }
    if (!error)
        pst_backup_list_release(&list);
    snprintf(text, bytes,
             "; give --number, such as --number %u, or prune the backups with the highest numbers",
             highest < PST_BACKUP_NUMBER_WANTED_MAX ? highest + 1 : 1);
}

static const char *advice(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "; free some space there, or choose another --to";
    case EFBIG:
        return "; raise the limit of file sizes (ulimit -f), or use more --ldms";
    case EMFILE:
        return "; raise the limit of open files (ulimit -n)";
    case ENOMEM:
        return "; use fewer --ldms, a lower --depth or a smaller --chunk";
    case PST_E_HUNG:
        return "; the next backup removes what is left of this one";
    case PST_E_NUMBER_EXISTS:
        return "; choose another --number, or leave it out for the next one";
    default:
        return pst_error_may_retry(error) ? "; trying again may help" : "";
    }
}

static enum cli_exit failure(const struct run *run)
{
    int error = -run->report.error;
    enum cli_exit code = CLI_EXIT_FAILED;
    if (error == PST_E_CLIENT_ABORT && pst_interrupted())
        return cli_fail(run->arguments, CLI_EXIT_INTERRUPTED,
                        "interrupted; nothing of the backup is left");
    if (error == PST_E_HUNG && pst_interrupted())
        code = CLI_EXIT_INTERRUPTED;
    if (error == PST_E_BUSY || error == PST_E_CLEANING)
        code = CLI_EXIT_BUSY;
    char number[96] = "";
    if (error == PST_E_NUMBER)
        advise_number(run, number, sizeof(number));
    return cli_fail(run->arguments, code, "%s%s%s%s", run->message, advice(error), number,
                    run->report.left_frozen > 0
                        ? "; --thaw-command has failed, and what it undoes may still be in place"
                        : "");
}

static const struct pst_metric results[] = {
    PST_METRICS_RESULT("number", NULL, "Number of the last backup that was made."),
    PST_METRICS_RESULT("source_bytes", "bytes", "Read from the sources for it."),
    PST_METRICS_RESULT("stored_bytes", "bytes", "Written for it."),
    PST_METRICS_RESULT("objects", NULL, "Files, directories and tables in it."),
    PST_METRICS_RESULT("unreadable_objects", NULL,
                       "Of these, what could not be read, or changed meanwhile."),
};

static void note_results(const struct pst_session_report *report)
{
    const struct pst_metrics_result values[] = {{&results[0], report->number},
                                                {&results[1], report->source_bytes},
                                                {&results[2], report->stored_bytes},
                                                {&results[3], report->objects},
                                                {&results[4], report->unreadable}};
    cli_metrics_note(values, sizeof(values) / sizeof(values[0]));
}

static enum cli_exit print_report(const struct run *run, bool json)
{
    char objects[CLI_VALUE_COUNT_BYTES];
    const struct pst_session_report *report = &run->report;
    note_results(report);
    int error = cli_backup_report_print(stdout, report, json);
    if (error)
        return cli_fail(run->arguments, cli_exit_unprinted(run->arguments),
                        "backup %u is complete, but its report cannot be printed: %s",
                        report->number, pst_error_text(error));
    struct pst_alert alert = {
        .kind = PST_ALERT_BACKUP_PARTIAL, .backup = report->number, .uid = report->uid};
    if (report->left_frozen + report->unreadable == 0) {
        alert.kind = PST_ALERT_BACKUP_COMPLETE;
        if (pst_log_keeps_alerts()) /* stdout has the report already */
            pst_log_alert(PST_LOG_INFO, &alert, "backup %u is complete", report->number);
        return CLI_EXIT_DONE;
    }
    if (report->unreadable > 0) {
        (void)cli_fail_alert(run->arguments, CLI_EXIT_PARTIAL, &alert,
                             "backup %u is complete, but %s could not be read, or changed during "
                             "the backup; penstock show names %s",
                             report->number,
                             cli_value_count_text(report->unreadable, "object", objects),
                             report->unreadable == 1 ? "it" : "them");
        alert.kind = PST_ALERT_NONE; /* one for each backup */
    }
    if (report->left_frozen > 0)
        (void)cli_fail_alert(run->arguments, CLI_EXIT_PARTIAL, &alert,
                             "backup %u is complete, but --thaw-command has failed for %s, which "
                             "may still be frozen; an error before this one says why",
                             report->number,
                             cli_value_count_text(report->left_frozen, "source", objects));
    return CLI_EXIT_PARTIAL;
}

static enum cli_exit back_up(struct run *run)
{
    bool json = cli_argument_json(run->arguments);
    log_memory(run);
    run->progress = cli_progress_start(json ? stdout : stderr,
                                       cli_progress_choose_style(json, run->arguments->quiet),
                                       "backup", pst_monotonic_ns());
    if (!run->progress)
        return cli_fail(run->arguments, CLI_EXIT_FAILED, "out of memory");
    int error = pst_session_run(run->session, &run->report, run->message);
    cli_progress_finish(run->progress);
    return error ? failure(run) : print_report(run, json);
}

/* Without --verify: there is nothing to be read back. */
static enum cli_exit make_null_target(struct run *run)
{
    if (run->job.verify)
        return cli_fail(run->arguments, CLI_EXIT_USAGE,
                        "--verify reads back what was written, and null: keeps nothing: leave one "
                        "of them out");
    int error = cli_null_target_make(&run->null_target);
    if (error)
        return cli_fail(run->arguments, CLI_EXIT_FAILED, "%s: %s; set TMPDIR to another directory",
                        run->null_target.path, pst_error_text(error));
    run->job.directory = run->null_target.path;
    return CLI_EXIT_DONE;
}

static bool is_dry_run(const struct cli_arguments *arguments)
{
    return cli_argument_switch(arguments, "dry-run");
}

/* ---- commands before and after ---- */

#define HOOK_TEXT_BYTES 80u

static enum cli_exit run_before(struct run *run)
{
    const struct cli_arguments *arguments = run->arguments;
    const char *command = cli_argument_text(arguments, "before-command");
    char to[PATH_MAX + HOOK_TEXT_BYTES];
    if (is_dry_run(arguments))
        return CLI_EXIT_DONE;
    snprintf(to, sizeof(to), "PENSTOCK_BACKUP_TO=%s", cli_argument_text(arguments, "to"));
    const char *environment[] = {to, NULL};
    struct pst_shell shell = {.command = command,
                              .environment = environment,
                              .limit_ns = cli_argument_number(arguments, "command-limit"),
                              .interrupt_fd = pst_interrupt_fd()};
    int error = command ? pst_shell_run(&shell, run->message) : 0;
    run->is_begun = !error;
    if (error == -EINTR)
        return cli_fail(arguments, CLI_EXIT_INTERRUPTED, "interrupted; no backup was begun");
    return error ? cli_fail(arguments, CLI_EXIT_FAILED,
                            "no backup was made: --before-command has failed: %s", run->message)
                 : CLI_EXIT_DONE;
}

/* What the command is told of a backup that was made. */
struct hook_texts {
    char number[HOOK_TEXT_BYTES], uid[HOOK_TEXT_BYTES], source_bytes[HOOK_TEXT_BYTES];
    char stored_bytes[HOOK_TEXT_BYTES];
};

static void describe(const struct pst_session_report *report, struct hook_texts *texts)
{
    char uid[2 * sizeof(report->uid) + 1];
    pst_hex_encode(report->uid, sizeof(report->uid), uid);
    snprintf(texts->number, HOOK_TEXT_BYTES, "PENSTOCK_BACKUP_NUMBER=%u", report->number);
    snprintf(texts->uid, HOOK_TEXT_BYTES, "PENSTOCK_BACKUP_UID=%s", uid);
    snprintf(texts->source_bytes, HOOK_TEXT_BYTES, "PENSTOCK_BACKUP_SOURCE_BYTES=%llu",
             (unsigned long long)report->source_bytes);
    snprintf(texts->stored_bytes, HOOK_TEXT_BYTES, "PENSTOCK_BACKUP_STORED_BYTES=%llu",
             (unsigned long long)report->stored_bytes);
}

/* An interrupt has ended the backup; the command is due all the same, and has its limit. */
static enum cli_exit run_after(struct run *run, enum cli_exit code)
{
    const struct cli_arguments *arguments = run->arguments;
    const char *command = cli_argument_text(arguments, "after-command");
    char to[PATH_MAX + HOOK_TEXT_BYTES], exit_code[HOOK_TEXT_BYTES];
    struct hook_texts texts;
    bool is_made = run->report.number != 0 && !run->report.error;
    if (!command || !run->is_begun)
        return code;
    snprintf(to, sizeof(to), "PENSTOCK_BACKUP_TO=%s", cli_argument_text(arguments, "to"));
    snprintf(exit_code, sizeof(exit_code), "PENSTOCK_BACKUP_EXIT_CODE=%d", (int)code);
    describe(&run->report, &texts);
    const char *environment[] = {to,        exit_code,          is_made ? texts.number : NULL,
                                 texts.uid, texts.source_bytes, texts.stored_bytes,
                                 NULL};
    struct pst_shell shell = {.command = command,
                              .environment = environment,
                              .limit_ns = cli_argument_number(arguments, "command-limit"),
                              .interrupt_fd = -1};
    int error = pst_shell_run(&shell, run->message);
    return error ? cli_fail(arguments, code == CLI_EXIT_DONE ? CLI_EXIT_PARTIAL : code,
                            "--after-command has failed: %s", run->message)
                 : code;
}

static enum cli_exit prepare(struct run *run)
{
    int error = pst_interrupt_install();
    if (error)
        return cli_fail(run->arguments, CLI_EXIT_FAILED, "cannot install the signal handlers: %s",
                        pst_error_text(error));
    enum cli_exit code = run_before(run);
    if (code != CLI_EXIT_DONE)
        return code;
    read_options(run);
    if (cli_job_trusts_nothing(run->arguments))
        return cli_fail(run->arguments, CLI_EXIT_USAGE, CLI_TRUSTS_NOTHING);
    code = read_tables(run);
    bool is_null = cli_null_target_is(run->job.directory);
    if (code == CLI_EXIT_DONE && is_null && cli_argument_switch(run->arguments, "dry-run"))
        return cli_fail(run->arguments, CLI_EXIT_USAGE,
                        "--dry-run says whether a backup fits into DIR: null: keeps nothing");
    if (code == CLI_EXIT_DONE && is_null)
        code = make_null_target(run);
    if (code != CLI_EXIT_DONE)
        return code;
    run->job.run.on_status = on_status;
    run->job.run.context = run;
    error = pst_session_open(&run->job, &run->session, run->message);
    if (error == -ECANCELED)
        return cli_fail(run->arguments, CLI_EXIT_INTERRUPTED, "interrupted; %s", run->message);
    if (error)
        return cli_fail(run->arguments, error == -EINVAL ? CLI_EXIT_USAGE : CLI_EXIT_FAILED, "%s",
                        run->message);
    if (is_null)
        pst_session_discard_parts(run->session);
    return CLI_EXIT_DONE;
}

/* What a backup needs that is made in this process. */
static enum cli_exit check_own(const struct cli_arguments *arguments)
{
    static const char *const options_of_node[] = {"wait", "allow-missing"};
    for (size_t i = 0; i < sizeof(options_of_node) / sizeof(options_of_node[0]); i++) {
        if (cli_argument_is_flag(arguments, options_of_node[i]))
            return cli_fail(arguments, CLI_EXIT_USAGE,
                            "--%s applies only to a backup through a node: give --node SOCKET, or "
                            "leave it out",
                            options_of_node[i]);
    }
    if (cli_argument_count(arguments, "source") == 0)
        return cli_fail(
            arguments, CLI_EXIT_USAGE,
            "--source [NAME=]KIND:... is missing: it names what to back up; or give --node SOCKET");
    if (!cli_argument_text(arguments, "to"))
        return cli_fail(
            arguments, CLI_EXIT_USAGE,
            "--to DIR is missing: it is the directory for the backups; or give --node SOCKET");
    return CLI_EXIT_DONE;
}

/* With --node the configuration of each node decides all but these. */
static bool counts_with_node(const char *option)
{
    static const char *const options_with_node[] = {
        "node", "wait", "allow-missing", "number", "single-threaded", "verify", "json"};
    for (size_t i = 0; i < sizeof(options_with_node) / sizeof(options_with_node[0]); i++) {
        if (strcmp(option, options_with_node[i]) == 0)
            return true;
    }
    return false;
}

/* These say what the backup is to be, not how or where this machine makes one: whoever set one
 * anywhere would take the backup for such a one. */
static bool says_what(const char *option)
{
    static const char *const options_of_contents[] = {"label",
                                                      "logical",
                                                      "tables",
                                                      "exclude-tables",
                                                      "exclude",
                                                      "exclude-from",
                                                      "exclude-caches",
                                                      "exclude-if-present",
                                                      "one-file-system",
                                                      "key-file",
                                                      "recipient",
                                                      "passphrase-file",
                                                      "passphrase-command",
                                                      "passphrase-prompt"};
    for (size_t i = 0; i < sizeof(options_of_contents) / sizeof(options_of_contents[0]); i++) {
        if (strcmp(option, options_of_contents[i]) == 0)
            return true;
    }
    return false;
}

static enum cli_exit refuse_with_node(const struct cli_arguments *arguments,
                                      const struct cli_option *option)
{
    char variable[CLI_VARIABLE_BYTES];
    const char *node = cli_argument_text(arguments, "node");
    const char *why =
        strcmp(option->name, "label") == 0 ? "" : ": each node follows its own configuration";
    if (cli_argument_is_flag(arguments, option->name))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "--%s does not apply to a backup through a node (--node %s)%s; leave it "
                        "out",
                        option->name, node, why);
    return cli_fail(arguments, CLI_EXIT_USAGE,
                    "%s does not apply to a backup through a node (--node %s)%s; it is set in the "
                    "environment (%s) or the configuration file: leave it out there",
                    option->name, node, why, cli_option_variable(option, variable));
}

/* The environment and the configuration file may serve other backups too. */
static enum cli_exit check_through_node(const struct cli_arguments *arguments)
{
    for (const struct cli_option *option = options; option->name; option++) {
        bool is_off =
            option->kind == CLI_OPTION_SWITCH && !cli_argument_switch(arguments, option->name);
        bool is_set = cli_argument_is_flag(arguments, option->name) ||
                      (says_what(option->name) && cli_argument_given(arguments, option->name));
        if (is_set && !is_off && !counts_with_node(option->name))
            return refuse_with_node(arguments, option);
    }
    return CLI_EXIT_DONE;
}

static enum cli_exit run_through_node(const struct cli_arguments *arguments)
{
    enum cli_exit code = check_through_node(arguments);
    return code == CLI_EXIT_DONE ? cli_backup_through_node(arguments) : code;
}

static enum cli_exit run_backup(const struct cli_arguments *arguments)
{
    if (cli_argument_text(arguments, "node"))
        return run_through_node(arguments);
    enum cli_exit code = check_own(arguments);
    if (code != CLI_EXIT_DONE)
        return code;
    struct run *run = calloc(1, sizeof(*run));
    if (!run)
        return cli_fail(arguments, CLI_EXIT_FAILED, "out of memory");
    run->arguments = arguments;
    code = prepare(run);
    if (code == CLI_EXIT_DONE)
        code = is_dry_run(arguments)
                   ? cli_backup_dry_run(arguments, run->session, run->job.directory)
                   : back_up(run);
    pst_session_close(run->session);
    code = run_after(run, code);
    cli_null_target_remove(&run->null_target);
    cli_table_names_free(&run->tables);
    cli_table_names_free(&run->unwanted_tables);
    free(run);
    return code;
}

const struct cli_command cli_command_backup = {
    .name = "backup",
    .summary = "back up sources of this machine into a directory",
    .options = options,
    .run = run_backup,
    .failure = PST_ALERT_BACKUP_FAILED,
    .acts = true,
    .only_shows = is_dry_run,
};
