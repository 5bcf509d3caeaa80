/*
 * penstock diff: prints what differs between two backups. Called by command.c, on the main thread.
 */
#include <stdlib.h>

#include <jansson.h>

#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"
#include "engine/cli/print.h"
#include "engine/cli/value.h"
#include "engine/json/json_build.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    {.name = "content",
     .kind = CLI_OPTION_SWITCH,
     .help = "read files that have one size in both, and compare their bytes; else files are taken "
             "for the same that have the same size and time"},
    CLI_OPTION_JSON,
    {0}};

struct diff {
    struct cli_look before;
    struct cli_look after;
    uint64_t added;
    uint64_t removed;
    uint64_t changed;
};

static const char *const texts[] = {"type", "size",  "contents", "mtime",
                                    "mode", "owner", "link",     "attributes"};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static json_t *change_json(const struct pst_look_change *change)
{
    const struct pst_object *object = change->after ? change->after : change->before;
    json_t *fields =
        json_pack("{s:o, s:s, s:s, s:I}", "name", cli_json_text(change->name), "change",
                  !change->before  ? "added"
                  : !change->after ? "removed"
                                   : "changed",
                  "type", cli_look_type(object), "bytes", (json_int_t)object->size);
    if (!change->differences)
        return fields;
    json_t *array = json_array();
    for (uint32_t i = 0; i < TEXTS; i++) {
        if (change->differences >> i & 1)
            (void)json_array_append_new(array, json_string(texts[i]));
    }
    pst_json_set(&fields, "differences", array);
    return fields;
}

static void print_change(const struct pst_look_change *change)
{
    const char *comma = "";
    cli_print(stdout, "%c %s", !change->before ? '+' : !change->after ? '-' : 'M', change->name);
    for (uint32_t i = 0; i < TEXTS; i++) {
        if ((change->differences >> i & 1) == 0)
            continue;
        cli_print(stdout, "%s%s", *comma ? comma : "  ", texts[i]);
        comma = ", ";
    }
    cli_print_empty_line(stdout);
}

static int on_change(void *context, const struct pst_look_change *change)
{
    struct diff *diff = context;
    diff->added += !change->before;
    diff->removed += !change->after;
    diff->changed += change->before && change->after;
    if (!cli_argument_json(diff->before.arguments)) {
        print_change(change);
        return 0;
    }
    diff->before.print_error = cli_json_record(stdout, "change", change_json(change));
    return diff->before.print_error;
}

static int print_summary(const struct diff *diff)
{
    const struct pst_look_bytes before = pst_look_bytes(diff->before.look);
    const struct pst_look_bytes after = pst_look_bytes(diff->after.look);
    if (!cli_argument_json(diff->before.arguments))
        return 0;
    return cli_json_record(
        stdout, "summary",
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "operation", "diff", "before",
                  (json_int_t)pst_inside_number(diff->before.inside), "after",
                  (json_int_t)pst_inside_number(diff->after.inside), "added",
                  (json_int_t)diff->added, "removed", (json_int_t)diff->removed, "changed",
                  (json_int_t)diff->changed, "read_bytes", (json_int_t)(before.read + after.read),
                  "file_bytes", (json_int_t)(before.total + after.total)));
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    struct diff diff = {0};
    char message[PST_MESSAGE_BYTES] = "";
    enum cli_exit code = cli_look_begin(arguments, arguments->positionals[0], "", 0, &diff.before);
    if (code != CLI_EXIT_DONE)
        return code;
    code = cli_look_begin(arguments, arguments->positionals[1], "", 0, &diff.after);
    if (code != CLI_EXIT_DONE) {
        cli_look_close(&diff.before);
        return code;
    }
    int error = pst_look_diff(diff.before.look, diff.after.look,
                              cli_argument_switch(arguments, "content"), on_change, &diff, message);
    if (!error)
        diff.before.print_error = print_summary(&diff);
    code = error ? CLI_EXIT_DONE : cli_look_damages(&diff.after);
    cli_look_close(&diff.after);
    enum cli_exit ended = cli_look_end(&diff.before, error, message);
    return ended != CLI_EXIT_DONE ? ended : code;
}

const struct cli_command cli_command_diff = {.name = "diff",
                                             .summary = "print what differs between two backups",
                                             .positional = "A B",
                                             .positional_min = 2,
                                             .positional_max = 2,
                                             .options = options,
                                             .run = run};
