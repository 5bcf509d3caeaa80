/*
 * penstock ls: prints what a directory of a backup holds. Called by command.c, on the main thread.
 */
#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "engine/cli/backups.h"
#include "engine/cli/commands.h"
#include "engine/cli/json.h"
#include "engine/cli/key_options.h"
#include "engine/cli/look_command.h"
#include "engine/cli/print.h"

static const struct cli_option options[] = {
    CLI_FROM_OPTION,
    CLI_KEY_OPTION,
    CLI_ID_OPTION,
    {.name = "long",
     .letter = 'l',
     .kind = CLI_OPTION_SWITCH,
     .help = "type, permissions, owner, group, bytes and time of change too"},
    CLI_OPTION_JSON,
    {0}};

struct ls {
    struct cli_look look;
    const char *name; /* that was asked for */
    bool is_long;
    uint64_t objects;
};

/* What people read: the last component, or the name that they typed. */
static const char *short_name(const struct ls *listing, const struct pst_look_object *found)
{
    const char *slash = strrchr(found->name, '/');
    if (strlen(found->name) <= strlen(listing->name))
        return found->name;
    return slash ? slash + 1 : found->name;
}

/* A directory that was asked for is not in itself. */
static bool is_top(const struct ls *listing, const struct pst_look_object *found)
{
    size_t bytes = strlen(listing->name);
    while (bytes > 0 && listing->name[bytes - 1] == '/')
        bytes--;
    return found->object->type == PST_OBJECT_DIRECTORY && strlen(found->name) == bytes;
}

static int print_object(void *context, const struct pst_look_object *found)
{
    struct ls *listing = context;
    char text[CLI_LOOK_LONG_BYTES];
    if (is_top(listing, found))
        return 0;
    listing->objects++;
    if (cli_argument_json(listing->look.arguments)) {
        listing->look.print_error = cli_json_record(stdout, "object", cli_look_json(found));
        return listing->look.print_error;
    }
    const char *link = listing->is_long ? found->object->link : NULL;
    cli_print_line(stdout, "%s%s%s%s%s", listing->is_long ? cli_look_long(found->object, text) : "",
                   listing->is_long ? "  " : "", short_name(listing, found), link ? " -> " : "",
                   link ? link : "");
    return 0;
}

static enum cli_exit run(const struct cli_arguments *arguments)
{
    char message[PST_MESSAGE_BYTES] = "";
    struct ls listing = {
        .name = cli_look_name(arguments->positional_count > 0 ? arguments->positionals[0] : NULL),
        .is_long = cli_argument_switch(arguments, "long"),
    };
    enum cli_exit code =
        cli_look_begin(arguments, cli_argument_text(arguments, "id"), 1, &listing.look);
    if (code != CLI_EXIT_DONE)
        return code;
    const struct pst_look_query query = {.name = listing.name};
    int error = pst_look_list(listing.look.look, &query, print_object, &listing, message);
    if (!error)
        listing.look.print_error = cli_look_summary(&listing.look, "ls", listing.objects);
    return cli_look_end(&listing.look, error, message);
}

const struct cli_command cli_command_ls = {.name = "ls",
                                           .summary = "list what a directory of a backup holds",
                                           .positional = "[PATH]",
                                           .positional_max = 1,
                                           .options = options,
                                           .run = run};
