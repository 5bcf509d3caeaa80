/*
 * penstock find: prints the names in a backup that match a pattern. Called by command.c, on the
 * main thread.
 */
#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_KEY_OPTION,  CLI_ID_OPTION,
                                            CLI_LONG_OPTION, CLI_OPTION_JSON, {0}};

struct find {
    struct cli_look look;
    bool is_long;
    uint64_t objects;
};

static int print_object(void *context, const struct pst_look_object *found)
{
    struct find *find = context;
    find->objects++;
    return cli_look_print(&find->look, found, found->name, find->is_long);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES] = "";
    struct find find = {.is_long = cli_argument_switch(arguments, "long")};
    enum cli_exit code =
        cli_look_begin(arguments, cli_argument_text(arguments, "id"), "", 0, &find.look);
    if (code != CLI_EXIT_DONE)
        return code;
    const struct pst_look_query query = {.is_deep = true, .pattern = arguments->positionals[0]};
    int error = pst_look_list(find.look.look, &query, print_object, &find, message);
    if (!error)
        find.look.print_error = cli_look_summary(&find.look, "find", find.objects);
    return cli_look_end(&find.look, error, message);
}

const struct cli_command cli_command_find = {
    .name = "find",
    .summary = "print the names in a backup that match a pattern: '*.conf', 'etc/**/*.conf'",
    .positional = "PATTERN",
    .positional_min = 1,
    .positional_max = 1,
    .options = options,
    .run = run};
