/*
 * Prints what a command would use, and where it comes from. Called by cmd_node.c, on the main
 * thread.
 */
#include "engine/cli/settings.h"

#include "engine/cli/print.h"

#define PLACE_BYTES 512u
#define PLACE_COLUMN 24

static void print_option(const struct cli_arguments *arguments, uint32_t index)
{
    const struct cli_option *option = &arguments->command->options[index];
    const struct cli_option_value *value = &arguments->values[index];
    char place[PLACE_BYTES];
    if (option->kind == CLI_OPTION_SWITCH && value->origin != CLI_ORIGIN_NONE)
        cli_print_line(stdout, "%-*s  %s = %u", PLACE_COLUMN,
                       cli_argument_place(arguments, option->name, 0, place, sizeof(place)),
                       option->name, (unsigned)value->number);
    for (uint32_t i = 0; i < value->count; i++)
        cli_print_line(stdout, "%-*s  %s = %s", PLACE_COLUMN,
                       cli_argument_place(arguments, option->name, i, place, sizeof(place)),
                       option->name, value->text[i]);
}

void cli_settings_print(const struct cli_arguments *arguments)
{
    for (uint32_t i = 0; arguments->command->options[i].name; i++)
        print_option(arguments, i);
}
