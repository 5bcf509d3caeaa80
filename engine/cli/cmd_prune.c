/*
 * penstock prune: removes the backups that are named, or what no rule keeps. Called by command.c,
 * on the main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "engine/base/hex.h"
#include "engine/base/log.h"
#include "engine/base/time_text.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/metrics_file.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"
#include "engine/repository/backup_origins.h"
#include "engine/repository/prune.h"
#include "engine/repository/retention.h"
#include "engine/service/asked.h"

#define KEEP_OPTION(period, text)                                                                  \
    {                                                                                              \
        .name = "keep-" period, .kind = CLI_OPTION_COUNT, .argument = "N", .min = 1,               \
        .max = PST_BACKUP_NUMBER_MAX, .yields_to_positionals = true, .help = text                  \
    }

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    KEEP_OPTION("last",
                "keep the N newest complete backups of the same nodes with the same "
                "sources. What is older goes, unless another --keep-… keeps it too; partial, "
                "damaged and unfinished backups do not count, nor does one in which verify found "
                "damage, or which shares data with such a one, until it is found whole itself"),
    {.name = "keep",
     .kind = CLI_OPTION_COUNT,
     .argument = "N",
     .min = 1,
     .max = PST_BACKUP_NUMBER_MAX,
     .yields_to_positionals = true,
     .yields_to = "keep-last",
     .help = "the same as --keep-last"},
    KEEP_OPTION("hourly", "keep the newest one of each of the N latest hours that have any"),
    KEEP_OPTION("daily", "likewise of N days, in UTC"),
    KEEP_OPTION("weekly", "likewise of N weeks, which begin on Mondays"),
    KEEP_OPTION("monthly", "likewise of N months"),
    KEEP_OPTION("yearly", "likewise of N years"),
    {.name = "keep-within",
     .kind = CLI_OPTION_DURATION,
     .argument = "DURATION",
     .yields_to_positionals = true,
     .help = "keep what was started at most so long before the newest complete one: 48h, 30d"},
    {.name = "keep-label",
     .kind = CLI_OPTION_TEXT,
     .argument = "LABEL",
     .repeatable = true,
     .yields_to_positionals = true,
     .help = "keep what has this label"},
    {.name = "min-age",
     .kind = CLI_OPTION_DURATION,
     .argument = "DURATION",
     .fallback = "0",
     .help = "with --keep-…: remove nothing that was started more recently"},
    {.name = "group-by",
     .kind = CLI_OPTION_TEXT,
     .argument = "choice|sources",
     .fallback = "choice",
     .help = "with --keep-…: backups that may take each other's place: of the same sources, if "
             "the same was left out of them (--exclude and the like), or whatever was left out: "
             "for once you have changed that, and do not need the old ones longer than others"},
    {.name = "dry-run",
     .kind = CLI_OPTION_SWITCH,
     .help = "only print what would be removed, what would stay, and why"},
    CLI_METRICS_FILE_OPTION,
    CLI_OPTION_JSON,
    {0}};

struct pruning {
    const struct cli_arguments *arguments;
    struct pst_backup_list list;
    uint64_t idle; /* pst_prune_lock */
    bool dry_run;
    uint64_t pruned, kept, retained, bytes;
    int error;          /* of printing */
    enum cli_exit code; /* the worst so far */
};

static const char *uid_text(const struct pst_backup *backup, char text[2 * PST_UID_BYTES + 1])
{
    pst_hex_encode(backup->uid, PST_UID_BYTES, text);
    return text;
}

/* What became of a backup that was to go. */
struct removal {
    const struct pst_backup *backup;
    const char *why;  /* it was to go; NULL: it was named */
    const char *kept; /* why it is there still; NULL: it is not */
    uint64_t bytes;
};

static int print_record(const struct pruning *pruning, const struct removal *removal)
{
    const struct pst_backup *backup = removal->backup;
    const char *reason = removal->kept ? removal->kept : removal->why;
    char uid[2 * PST_UID_BYTES + 1];
    json_t *record =
        json_pack("{s:I, s:s, s:s, s:I, s:b}", "number", (json_int_t)backup->number, "uid",
                  uid_text(backup, uid), "state", pst_backup_state_text(backup->state),
                  "stored_bytes", (json_int_t)removal->bytes, "dry_run", (int)pruning->dry_run);
    if (reason)
        pst_json_set(&record, "reason", cli_json_text(reason));
    return cli_json_record(stdout, removal->kept ? "kept" : "pruned", record);
}

/* ", 2026-11-27T12:00:00Z", in text, which is returned; "": not known. */
static const char *when_text(const struct pst_backup *backup, char text[PST_TIME_TEXT_BYTES + 2])
{
    strcpy(text, backup->has_cluster ? ", " : "");
    if (backup->has_cluster)
        pst_time_text(backup->cluster.common.started_unix_ns, 0, text + strlen(text));
    return text;
}

static void print_removed(const struct pruning *pruning, const struct removal *removal)
{
    const struct pst_backup *backup = removal->backup;
    char uid[2 * PST_UID_BYTES + 1], size[CLI_VALUE_TEXT_BYTES], when[PST_TIME_TEXT_BYTES + 2];
    cli_print_line(stdout, "backup %u, uid %.8s, %s%s, %s: %s%s%s", backup->number,
                   uid_text(backup, uid), pst_backup_state_text(backup->state),
                   when_text(backup, when), cli_value_size_text(removal->bytes, size),
                   pruning->dry_run ? "would be removed" : "removed", removal->why ? ": " : "",
                   removal->why ? removal->why : "");
}

static void report(struct pruning *pruning, struct removal *removal)
{
    const struct pst_backup *backup = removal->backup;
    int error = 0;
    removal->bytes = backup->has_cluster ? backup->cluster.common.sums.stored_bytes : 0;
    pruning->kept += removal->kept != NULL;
    pruning->pruned += removal->kept == NULL;
    pruning->bytes += removal->kept ? 0 : removal->bytes;
    if (removal->kept)
        pst_log(PST_LOG_WARNING, "backup %u is kept: %s", backup->number, removal->kept);
    if (cli_argument_json(pruning->arguments))
        error = print_record(pruning, removal);
    else if (!removal->kept)
        print_removed(pruning, removal);
    if (error)
        pst_log(PST_LOG_ERROR, "cannot write to standard output: %s", pst_error_text(error));
}

/* Files of nodes whose directory is not among --from stay. */
static void warn_of_rest(const struct pst_backup *backup)
{
    for (uint32_t i = 0; backup->has_cluster && i < backup->cluster.nodes_count; i++) {
        if (backup->nodes[i].parts_count == 0)
            pst_log(PST_LOG_WARNING,
                    "backup %u: the files of node %u are in none of the given directories and stay "
                    "where they are",
                    backup->number, backup->cluster.nodes[i].node);
    }
}

/* why: NULL: it was named. */
static int prune_one(struct pruning *pruning, const struct pst_backup *backup, const char *why)
{
    char message[PST_MESSAGE_BYTES];
    int error = pst_prune(backup, pruning->idle, pruning->dry_run, message);
    report(pruning,
           &(struct removal){.backup = backup, .why = why, .kept = error ? message : NULL});
    if (!error)
        warn_of_rest(backup);
    return error;
}

static bool is_of_one_cluster(const struct pst_backup *one, const struct pst_backup *other)
{
    return one->has_cluster && other->has_cluster &&
           one->cluster.common.cluster_id == other->cluster.common.cluster_id;
}

/* Somebody put it aside: it is removed by its uid alone. */
static bool is_misnamed(const struct pst_backup *backup)
{
    return backup->stored_as != backup->number;
}

/* "The newest" needs one sequence of numbers; each cluster has its own. */
static enum cli_exit check_numbers(const struct pruning *pruning)
{
    const struct pst_backup_list *list = &pruning->list;
    const struct pst_backup *one = NULL;
    for (size_t i = 0; i < list->count; i++) {
        char uid[2 * PST_UID_BYTES + 1], other[2 * PST_UID_BYTES + 1];
        const struct pst_backup *next = list->backups[i];
        if (is_misnamed(next))
            continue;
        if (one && one->number == next->number && is_of_one_cluster(one, next))
            return cli_fail(pruning->arguments, CLI_EXIT_USAGE,
                            "--keep: %u is the number of two backups, uid %s and uid %s: name the "
                            "backups to remove, or give fewer directories",
                            next->number, uid_text(one, uid), uid_text(next, other));
        one = next;
    }
    return CLI_EXIT_DONE;
}

static int print_retained(const struct pruning *pruning, const struct pst_backup *backup,
                          const struct pst_retention_verdict *verdict)
{
    char uid[2 * PST_UID_BYTES + 1];
    json_t *record = json_pack("{s:I, s:s, s:s, s:b}", "number", (json_int_t)backup->number, "uid",
                               uid_text(backup, uid), "state", pst_backup_state_text(backup->state),
                               "dry_run", (int)pruning->dry_run);
    pst_json_set(&record, "reason", cli_json_text(verdict->reason));
    return cli_json_record(stdout, "retained", record);
}

static void report_retained(struct pruning *pruning, const struct pst_backup *backup,
                            const struct pst_retention_verdict *verdict)
{
    char uid[2 * PST_UID_BYTES + 1], when[PST_TIME_TEXT_BYTES + 2];
    pruning->retained++;
    if (verdict->is_due && backup->state == PST_BACKUP_SPLIT)
        pst_log(PST_LOG_WARNING, "backup %u is kept: it is %s", backup->number, backup->reason);
    if (cli_argument_json(pruning->arguments))
        pruning->error = pruning->error ? pruning->error : print_retained(pruning, backup, verdict);
    else if (pruning->dry_run)
        cli_print_line(stdout, "backup %u, uid %.8s, %s%s: stays: %s", backup->number,
                       uid_text(backup, uid), pst_backup_state_text(backup->state),
                       when_text(backup, when), verdict->reason);
}

/* What becomes of a backup. */
struct choice {
    const struct pst_backup *backup;
    const struct pst_retention_verdict *verdict; /* NULL: it was named, to be removed */
    bool is_done;
};

static void apply_verdict(struct pruning *pruning, const struct choice *choice)
{
    if (choice->verdict->is_kept) {
        report_retained(pruning, choice->backup, choice->verdict);
        return;
    }
    int error = prune_one(pruning, choice->backup, choice->verdict->reason);
    if (error && error != -PST_E_BUSY && error != -PST_E_INCOMPLETE && error != -PST_E_NEWER &&
        error != -PST_E_REFERRED) /* by one that could not be removed */
        pruning->code = CLI_EXIT_FAILED;
}

static void remove_named(struct pruning *pruning, const struct choice *choice)
{
    int error = prune_one(pruning, choice->backup, NULL);
    if (error)
        pruning->code = error == -PST_E_BUSY && pruning->code != CLI_EXIT_FAILED ? CLI_EXIT_BUSY
                                                                                 : CLI_EXIT_FAILED;
}

/* Whether it is to wait until those are removed that have data in it. */
static bool waits(const struct choice *choices, size_t count, const struct choice *choice)
{
    for (size_t i = 0; i < count; i++) {
        if (!choices[i].is_done && choices[i].backup != choice->backup &&
            pst_backup_refers_to(choices[i].backup, choice->backup))
            return !choice->verdict || !choice->verdict->is_kept;
    }
    return false;
}

static void apply(struct pruning *pruning, struct choice *choices, size_t count)
{
    bool is_left = true, is_stuck = false; /* nobody refers in a circle who means well */
    while (is_left) {
        bool did_any = false;
        is_left = false;
        for (size_t i = 0; i < count; i++) {
            if (choices[i].is_done)
                continue;
            if (!is_stuck && waits(choices, count, &choices[i])) {
                is_left = true;
                continue;
            }
            choices[i].is_done = did_any = true;
            if (choices[i].verdict)
                apply_verdict(pruning, &choices[i]);
            else
                remove_named(pruning, &choices[i]);
        }
        is_stuck = !did_any;
    }
}

static void apply_verdicts(struct pruning *pruning, const struct pst_retention_verdict *verdicts,
                           struct choice *choices)
{
    for (size_t i = 0; i < pruning->list.count; i++)
        choices[i] = (struct choice){.backup = pruning->list.backups[i], .verdict = &verdicts[i]};
    apply(pruning, choices, pruning->list.count);
}

/* Who takes a backup that no rule is applied to for one that a rule has kept runs out of room. */
static void note_shut(struct pruning *pruning)
{
    const struct pst_backup *shut = NULL;
    uint64_t count = 0, opened = 0, lack_key = 0;
    char text[PST_MESSAGE_BYTES];
    for (size_t i = 0; i < pruning->list.count; i++) {
        const struct pst_backup *backup = pruning->list.backups[i];
        bool is_shut = pst_retention_is_shut(backup);
        opened += !backup->is_shut && pst_backup_is_sealed(backup);
        lack_key += backup->is_shut;
        count += is_shut;
        shut = is_shut ? backup : shut;
    }
    if (count == 0)
        return;
    pst_log(PST_LOG_WARNING, "no rule was applied to %" PRIu64 " backup%s; backup %u: %s", count,
            count == 1 ? "" : "s", shut->number, pst_backup_shut_text(shut, text));
    if (pruning->list.directories.keyring && lack_key > 0 && opened == 0 &&
        pruning->code == CLI_EXIT_DONE)
        pruning->code = CLI_EXIT_KEY;
}

/* Older ones stay for it, and room runs out. */
static void note_unknown(const struct pruning *pruning,
                         const struct pst_retention_verdict *verdicts)
{
    for (size_t i = 0; i < pruning->list.count; i++) {
        const struct pst_backup *backup = pruning->list.backups[i];
        if (verdicts[i].is_kept && pst_backup_has_unknown_origins(backup))
            pst_log(
                PST_LOG_WARNING,
                "backup %u may have data in any before it, so that these stay until it is mended "
                "or pruned: what it has cannot be read: %s",
                backup->number, backup->reason);
    }
}

static enum cli_exit prune_by_rules(struct pruning *pruning, const struct pst_retention *rules)
{
    const struct pst_backup_list *list = &pruning->list;
    enum cli_exit code = check_numbers(pruning);
    if (code != CLI_EXIT_DONE)
        return code;
    struct pst_retention_verdict *verdicts = calloc(list->count + 1, sizeof(*verdicts));
    struct choice *choices = calloc(list->count + 1, sizeof(*choices));
    int error = verdicts && choices ? pst_retention_judge(list, rules, verdicts) : -ENOMEM;
    if (!error) {
        apply_verdicts(pruning, verdicts, choices);
        note_unknown(pruning, verdicts);
    }
    note_shut(pruning);
    free(choices);
    free(verdicts);
    return error ? cli_fail(pruning->arguments, CLI_EXIT_FAILED, "%s", pst_error_text(error))
                 : pruning->code;
}

static uint64_t now_unix_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Whether there is a rule that keeps anything. labels has CLI_OPTION_VALUES_MAX. */
static bool read_rules(const struct cli_arguments *arguments, const char **labels,
                       struct pst_retention *rules)
{
    static const char *const periods[PST_RETENTION_PERIODS] = {
        "keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly"};
    *rules = (struct pst_retention){
        .within_ns = cli_argument_number(arguments, "keep-within"),
        .min_age_ns = cli_argument_number(arguments, "min-age"),
        .any_choice = strcmp(cli_argument_text(arguments, "group-by"), "sources") == 0,
        .now_unix_ns = now_unix_ns(),
        .labels = labels,
        .labels_count = cli_argument_texts(arguments, "keep-label", labels),
    };
    bool has_any = rules->within_ns > 0 || rules->labels_count > 0;
    for (int i = 0; i < PST_RETENTION_PERIODS; i++) {
        rules->counts[i] = cli_argument_number(arguments, periods[i]);
        if (i == PST_RETENTION_LAST && rules->counts[i] == 0)
            rules->counts[i] = cli_argument_number(arguments, "keep");
        has_any = has_any || rules->counts[i] > 0;
    }
    return has_any;
}

/* All names are resolved before the first backup is removed. */
static enum cli_exit prune_named(struct pruning *pruning)
{
    const struct cli_arguments *arguments = pruning->arguments;
    const struct pst_backup *named[CLI_OPTION_VALUES_MAX];
    char message[PST_MESSAGE_BYTES];
    for (uint32_t i = 0; i < arguments->positional_count; i++) {
        int error = pst_backup_find(&pruning->list, arguments->positionals[i], PST_PICK_DECIDED,
                                    &named[i], message);
        if (error)
            return cli_fail(arguments, CLI_EXIT_NO_BACKUP, "%s%s; nothing was removed", message,
                            cli_backups_hint(arguments->positionals[i], error));
    }
    struct choice choices[CLI_OPTION_VALUES_MAX];
    for (uint32_t i = 0; i < arguments->positional_count; i++) {
        choices[i] = (struct choice){.backup = named[i]};
        for (uint32_t j = 0; j < i; j++)
            choices[i].is_done = choices[i].is_done || named[j] == named[i];
    }
    apply(pruning, choices, arguments->positional_count);
    return pruning->code;
}

static const struct pst_metric results[] = {
    PST_METRICS_RESULT("pruned_backups", NULL, "Backups that the last prune removed."),
    PST_METRICS_RESULT("retained_backups", NULL, "Backups that its rules kept."),
    PST_METRICS_RESULT("pruned_stored_bytes", "bytes", "What it removed."),
};

static void note_results(const struct pruning *pruning)
{
    const struct pst_metrics_result values[] = {{&results[0], pruning->pruned},
                                                {&results[1], pruning->retained},
                                                {&results[2], pruning->bytes}};
    if (pruning->code == CLI_EXIT_DONE && !pruning->dry_run)
        cli_metrics_note(values, sizeof(values) / sizeof(values[0]));
}

static void on_progress(void *context, uint64_t removed, uint64_t all)
{
    (void)context;
    if (pst_asked_take())
        pst_log(PST_LOG_INFO,
                "progress: %" PRIu64 " of %" PRIu64 " pruned backups are off the disk", removed,
                all);
}

static enum cli_exit finish(struct pruning *pruning)
{
    char kept[CLI_VALUE_COUNT_BYTES];
    const struct cli_arguments *arguments = pruning->arguments;
    char message[PST_MESSAGE_BYTES];
    int error = pruning->dry_run ? 0 : pst_prune_sweep(&pruning->list, on_progress, NULL, message);
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
    note_results(pruning);
    if (cli_argument_json(arguments))
        error = cli_json_record(
            stdout, "summary",
            json_pack("{s:s, s:I, s:I, s:I, s:I, s:b}", "operation", "prune", "pruned",
                      (json_int_t)pruning->pruned, "kept", (json_int_t)pruning->kept, "retained",
                      (json_int_t)pruning->retained, "stored_bytes", (json_int_t)pruning->bytes,
                      "dry_run", (int)pruning->dry_run));
    if (pruning->code == CLI_EXIT_KEY)
        return cli_fail(arguments, CLI_EXIT_KEY, "no key that was given opens a backup: see above");
    if (pruning->code != CLI_EXIT_DONE)
        return cli_fail(arguments, pruning->code, "%s kept that should have been removed",
                        cli_value_count_text(pruning->kept, "backup", kept));
    return error || pruning->error || cli_print_flush(stdout) < 0 ? cli_fail_unprinted(arguments)
                                                                  : CLI_EXIT_DONE;
}

/* rules NULL: the backups that are named. */
static enum cli_exit prune(struct pruning *pruning, const struct pst_retention *rules)
{
    const struct cli_arguments *arguments = pruning->arguments;
    char message[PST_MESSAGE_BYTES];
    int error = pst_prune_lock(&pruning->list, &pruning->idle, message);
    if (error)
        return cli_fail(arguments, error == -PST_E_BUSY ? CLI_EXIT_BUSY : CLI_EXIT_FAILED, "%s",
                        message);
    enum cli_exit code = rules ? prune_by_rules(pruning, rules) : prune_named(pruning);
    return code == pruning->code ? finish(pruning) : code;
}

static bool is_dry_run(const struct cli_arguments *arguments)
{
    return cli_argument_switch(arguments, "dry-run");
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct pruning pruning = {
        .arguments = arguments, .dry_run = is_dry_run(arguments), .code = CLI_EXIT_DONE};
    const char *labels[CLI_OPTION_VALUES_MAX];
    struct pst_retention rules;
    bool has_rules = read_rules(arguments, labels, &rules);
    if (has_rules == (arguments->positional_count > 0))
        return cli_fail(arguments, CLI_EXIT_USAGE,
                        "give either --keep-last N (or another --keep-…) or the backups to remove, "
                        "as numbers or uids");
    if (!rules.any_choice && strcmp(cli_argument_text(arguments, "group-by"), "choice") != 0)
        return cli_fail(arguments, CLI_EXIT_USAGE, "--group-by %s: give choice or sources",
                        cli_argument_text(arguments, "group-by"));
    int error = pst_asked_install();
    if (error)
        pst_log(PST_LOG_WARNING, "SIGUSR1 will not print the progress: %s", pst_error_text(error));
    struct pst_keyring *keyring;
    enum cli_exit code = cli_backups_keys(arguments, &keyring);
    if (code != CLI_EXIT_DONE)
        return code;
    code = cli_backups_read(arguments, keyring, &pruning.list);
    if (code == CLI_EXIT_DONE) {
        code = prune(&pruning, has_rules ? &rules : NULL);
        pst_backup_list_release(&pruning.list);
    }
    pst_keyring_release(keyring);
    return code;
}

const struct cli_command cli_command_prune = {
    .name = "prune",
    .summary = "remove backups",
    .positional = "[ID]...",
    .positional_max = CLI_OPTION_VALUES_MAX,
    .options = options,
    .run = run,
    .acts = true,
    .only_shows = is_dry_run,
};
