/*
 * penstock ls: prints what a directory of a backup holds. Called by command.c, on the main thread.
 */
#include <string.h>

#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"

static const struct cli_option options[] = {CLI_FROM_OPTION, CLI_KEY_OPTION,  CLI_ID_OPTION,
                                            CLI_LONG_OPTION, CLI_OPTION_JSON, {0}};

struct ls {
    struct cli_look look;
    const char *name; /* that was asked for */
    bool is_long;
    uint64_t objects;
};

/* Of the name that was asked for; a slash behind it means nothing. */
static size_t name_bytes(const struct ls *ls)
{
    size_t bytes = strlen(ls->name);
    while (bytes > 0 && ls->name[bytes - 1] == '/')
        bytes--;
    return bytes;
}

/* What people read: what is behind the name that they typed, which is two components of the source
 * of a node; or that name. */
static const char *short_name(const struct ls *ls, const struct pst_look_object *found)
{
    size_t bytes = name_bytes(ls);
    if (bytes == 0 || strlen(found->name) <= bytes)
        return found->name;
    return found->name + bytes + 1;
}

/* A directory that was asked for is not in itself. */
static bool is_top(const struct ls *ls, const struct pst_look_object *found)
{
    return found->object->type == PST_OBJECT_DIRECTORY && strlen(found->name) == name_bytes(ls);
}

static int print_object(void *context, const struct pst_look_object *found)
{
    struct ls *ls = context;
    if (is_top(ls, found))
        return 0;
    ls->objects++;
    return cli_look_print(&ls->look, found, short_name(ls, found), ls->is_long);
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES] = "";
    struct ls ls = {
        .name = cli_look_name(arguments->positional_count > 0 ? arguments->positionals[0] : NULL),
        .is_long = cli_argument_switch(arguments, "long"),
    };
    enum cli_exit code =
        cli_look_begin(arguments, cli_argument_text(arguments, "id"), ls.name, 1, &ls.look);
    if (code != CLI_EXIT_DONE)
        return code;
    const struct pst_look_query query = {.name = ls.name};
    int error = pst_look_list(ls.look.look, &query, print_object, &ls, message);
    if (!error)
        ls.look.print_error = cli_look_summary(&ls.look, "ls", ls.objects);
    return cli_look_end(&ls.look, error, message);
}

const struct cli_command cli_command_ls = {.name = "ls",
                                           .summary = "list what a directory of a backup holds",
                                           .positional = "[PATH]",
                                           .positional_max = 1,
                                           .options = options,
                                           .run = run};
