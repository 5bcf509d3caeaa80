/*
 * The frame of verify, restore and export: options, signals, progress and exit codes. Called by
 * these commands, on the main thread.
 */
#include "engine/cli/read_command.h"

#include <errno.h>

#include "engine/base/clock.h"
#include "engine/cli/backups.h"
#include "engine/cli/value.h"
#include "engine/service/interrupt.h"

static void on_status(void *context, const struct pst_status *status)
{
    struct cli_read *read = context;
    const struct cli_progress_sample sample = {.now_ns = pst_monotonic_ns(),
                                               .bytes_done = status->bytes_done,
                                               .bytes_total = status->bytes_total,
                                               .objects_done = status->objects_done};
    cli_progress_update(read->progress, &sample);
}

enum cli_exit cli_read_take_signals(const struct cli_arguments *arguments)
{
    int error = pst_interrupt_install();
    if (!error)
        error = pst_interrupt_take_apart();
    if (error)
        return cli_fail(arguments, CLI_EXIT_FAILED, "cannot install the signal handlers: %s",
                        pst_error_text(error));
    return CLI_EXIT_DONE;
}

enum cli_exit cli_read_begin(const struct cli_arguments *arguments, const char *label,
                             struct cli_read *read, struct pst_run *run)
{
    enum cli_exit code = cli_read_take_signals(arguments);
    if (code != CLI_EXIT_DONE)
        return code;
    read->arguments = arguments;
    read->refused = 0;
    read->directories_count = cli_argument_texts(arguments, "from", read->directories);
    read->id = arguments->positional_count > 0 ? arguments->positionals[0] : NULL;
    run->ldms = (uint32_t)cli_argument_number(arguments, "ldms");
    run->ldm_cpus = cli_argument_text(arguments, "ldm-cpus");
    run->hub_cpu = cli_argument_text(arguments, "hub-cpu");
    run->cancel_fd = pst_interrupt_fd();
    run->on_status = on_status;
    run->context = read;
    return cli_read_next(read, label);
}

enum cli_exit cli_read_next(struct cli_read *read, const char *label)
{
    bool json = cli_argument_json(read->arguments);
    read->progress = cli_progress_start(json ? stdout : stderr,
                                        cli_progress_choose_style(json, read->arguments->quiet),
                                        label, pst_monotonic_ns());
    if (!read->progress)
        return cli_fail(read->arguments, CLI_EXIT_FAILED, "out of memory");
    return CLI_EXIT_DONE;
}

void cli_read_end(struct cli_read *read)
{
    cli_progress_finish(read->progress);
    read->progress = NULL;
}

bool cli_read_is_damage(int error)
{
    return error == -PST_E_CORRUPT || error == -PST_E_TRUNCATED || error == -PST_E_MISPLACED ||
           error == -PST_E_INCONSISTENT;
}

enum cli_exit cli_read_fail(const struct cli_read *read, int error, uint32_t number,
                            const char *message, bool is_usage)
{
    bool is_open = number != 0;
    if (error == -ECANCELED)
        return cli_fail(read->arguments, CLI_EXIT_INTERRUPTED, "interrupted%s%s",
                        *message ? "; " : "", message);
    if (is_open ? is_usage : error == -EINVAL)
        return cli_fail(read->arguments, CLI_EXIT_USAGE, "%s", message);
    const struct pst_alert alert = {.kind = cli_read_is_damage(error) ? PST_ALERT_DAMAGE_FOUND
                                                                      : PST_ALERT_NONE,
                                    .backup = number,
                                    .error = error};
    return cli_fail_alert(read->arguments, cli_backups_exit(read->arguments, error), &alert, "%s%s",
                          message, cli_backups_hint(read->id, error));
}

enum cli_exit cli_read_passed_over(const struct cli_read *read, const char *done, uint32_t number,
                                   uint64_t count)
{
    char backups[CLI_VALUE_COUNT_BYTES];
    return cli_fail(read->arguments, CLI_EXIT_PARTIAL,
                    "backup %u is %s, and %s passed over that %s newer: see above", number, done,
                    cli_value_count_text(count, "backup", backups), count == 1 ? "is" : "are");
}
