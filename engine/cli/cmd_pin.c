/*
 * penstock pin and unpin: keep backups from being pruned, and let them go. Called by command.c, on
 * the main thread.
 */
#include <jansson.h>

#include "engine/base/hex.h"
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/print.h"
#include "engine/repository/pin.h"

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_OPTION_JSON, {0}};

static int report(const struct cli_arguments *arguments, const struct pst_backup *backup,
                  bool is_pinned)
{
    char uid[2 * PST_UID_BYTES + 1];
    pst_hex_encode(backup->uid, PST_UID_BYTES, uid);
    if (cli_argument_json(arguments))
        return cli_json_record(
            stdout, is_pinned ? "pinned" : "unpinned",
            json_pack("{s:I, s:s}", "number", (json_int_t)backup->number, "uid", uid));
    cli_print_line(stdout, "backup %u, uid %.8s: %s", backup->number, uid,
                   is_pinned ? "pinned: no prune removes it" : "no longer pinned");
    return 0;
}

/* All names are resolved before the first pin is set. */
static enum cli_exit find(const struct cli_arguments *arguments, const struct pst_backup_list *list,
                          const struct pst_backup **found)
{
    char message[PST_MESSAGE_BYTES];
    for (uint32_t i = 0; i < arguments->positional_count; i++) {
        int error =
            pst_backup_find(list, arguments->positionals[i], PST_PICK_DECIDED, &found[i], message);
        if (error)
            return cli_fail(arguments, CLI_EXIT_NO_BACKUP, "%s%s", message,
                            cli_backups_hint(arguments->positionals[i], error));
    }
    return CLI_EXIT_DONE;
}

static enum cli_exit set_pins(const struct cli_arguments *arguments,
                              const struct pst_backup_list *list, bool is_pinned)
{
    const struct pst_backup *found[CLI_OPTION_VALUES_MAX];
    char message[PST_MESSAGE_BYTES];
    int print_error = 0;
    enum cli_exit code = find(arguments, list, found);
    for (uint32_t i = 0; code == CLI_EXIT_DONE && i < arguments->positional_count; i++) {
        int error = is_pinned ? pst_pin(found[i], message) : pst_unpin(found[i], message);
        if (error)
            code = cli_fail(arguments, CLI_EXIT_FAILED, "%s", message);
        else if (!print_error)
            print_error = report(arguments, found[i], is_pinned);
    }
    if (code == CLI_EXIT_DONE && (print_error || cli_print_flush(stdout) < 0))
        return cli_fail_unprinted(arguments);
    return code;
}

static enum cli_exit run(const struct cli_arguments *arguments, bool is_pinned)
{
    struct pst_backup_list list;
    enum cli_exit code = cli_backups_read(arguments, NULL, &list);
    if (code != CLI_EXIT_DONE)
        return code;
    code = set_pins(arguments, &list, is_pinned);
    pst_backup_list_release(&list);
    return code;
}

static enum cli_exit pin(const struct cli_arguments *arguments)
{
    return run(arguments, true);
}

static enum cli_exit unpin(const struct cli_arguments *arguments)
{
    return run(arguments, false);
}

const struct cli_command cli_command_pin = {
    .name = "pin",
    .summary = "keep backups from being pruned",
    .positional = "ID...",
    .positional_min = 1,
    .positional_max = CLI_OPTION_VALUES_MAX,
    .options = options,
    .run = pin,
    .acts = true,
};

const struct cli_command cli_command_unpin = {
    .name = "unpin",
    .summary = "let pinned backups be pruned again",
    .positional = "ID...",
    .positional_min = 1,
    .positional_max = CLI_OPTION_VALUES_MAX,
    .options = options,
    .run = unpin,
    .acts = true,
};
