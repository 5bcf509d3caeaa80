/* --help, from the tables. Called by command.c, and in parts by the generator of the manual pages
 * (pages.c), on the main thread. */
#include "engine/cli/help.h"

#include <ctype.h>
#include <string.h>

#define FLAG_COLUMN 26

static void print_flag(FILE *out, const char *name, const char *argument, const char *help)
{
    char flag[80];
    int length = snprintf(flag, sizeof(flag), "--%s%s%s", name, argument ? " " : "",
                          argument ? argument : "");
    if (length > FLAG_COLUMN)
        fprintf(out, "  %s\n  %*s  %s\n", flag, FLAG_COLUMN, "", help);
    else
        fprintf(out, "  %-*s  %s\n", FLAG_COLUMN, flag, help);
}

void cli_option_facts(FILE *out, const struct cli_option *option)
{
    char range[96], variable[CLI_VARIABLE_BYTES];
    cli_option_range(option, range, sizeof(range));
    fprintf(out, "(");
    if (option->required)
        fprintf(out, "required; ");
    if (option->letter)
        fprintf(out, "also -%c; ", option->letter);
    if (option->is_shared)
        fprintf(out, "shared; ");
    if (option->repeatable)
        fprintf(out, "may be repeated; ");
    if (*range)
        fprintf(out, "%s; ", range);
    if (option->fallback)
        fprintf(out, "default %s; ", option->fallback);
    fprintf(out, "%s)\n", cli_option_variable(option, variable));
}

void cli_common_options(const struct cli_command *command,
                        struct cli_common_option options[CLI_COMMON_OPTIONS])
{
    options[0] = (struct cli_common_option){.name = "config", .argument = "FILE"};
    if (command->shared_section)
        snprintf(options[0].help, sizeof(options[0].help),
                 "take what flags and environment leave unset from section\n"
                 "[%s] of this INI file: for one node, or for all, with [%s] for what\n"
                 "they share and [%s N] for what is of one alone (PENSTOCK_CONFIG)",
                 command->name, command->shared_section, command->name);
    else
        snprintf(options[0].help, sizeof(options[0].help),
                 "take what flags and environment leave unset from section\n"
                 "[%s] of this INI file (PENSTOCK_CONFIG)",
                 command->name);
    options[1] =
        (struct cli_common_option){.name = "verbose", .letter = 'v', .help = "log more (also -v)"};
    options[2] = (struct cli_common_option){
        .name = "quiet",
        .letter = 'q',
        .help = "print warnings, errors and data alone: no progress, and no report of\n"
                "work that is done (also -q)"};
    options[3] =
        (struct cli_common_option){.name = "help", .letter = 'h', .help = "print this (also -h)"};
}

static void print_common(FILE *out, const struct cli_command *command)
{
    struct cli_common_option options[CLI_COMMON_OPTIONS];
    cli_common_options(command, options);
    for (uint32_t i = 0; i < CLI_COMMON_OPTIONS; i++) {
        char *rest = options[i].help;
        print_flag(out, options[i].name, options[i].argument, strsep(&rest, "\n"));
        while (rest)
            fprintf(out, "  %*s  %s\n", FLAG_COLUMN, "", strsep(&rest, "\n"));
    }
}

void cli_command_help(FILE *out, const struct cli_command *command)
{
    fprintf(out, "Usage: penstock %s [option]...%s%s\n\n%c%s.\n\nOptions:\n", command->name,
            command->positional ? " " : "", command->positional ? command->positional : "",
            toupper((unsigned char)command->summary[0]), command->summary + 1);
    for (const struct cli_option *option = command->options; option->name; option++) {
        print_flag(out, option->name, option->argument, option->help);
        fprintf(out, "  %*s  ", FLAG_COLUMN, "");
        cli_option_facts(out, option);
    }
    print_common(out, command);
    fprintf(out, "\nA flag overrides the environment variable named beside it, which overrides the "
                 "configuration file.\n");
}

const struct cli_exit_meaning cli_exit_meanings[] = {
    {CLI_EXIT_DONE, "done"},
    {CLI_EXIT_FAILED,
     "failed: nothing of a backup is left; restore --force may leave what it restored"},
    {CLI_EXIT_USAGE, "the command line asks for something impossible"},
    {CLI_EXIT_PARTIAL,
     "done, but some objects could not be read, or changed during the backup, or\n"
     "the report could not be printed; verify: not all of it could be read"},
    {CLI_EXIT_UNKNOWN, "the outcome is not known: the node that was asked, or its master, is gone"},
    {CLI_EXIT_NO_BACKUP, "no such backup or directory of backups, or none that is complete"},
    {CLI_EXIT_BUSY, "busy: another backup is being written or settled"},
    {CLI_EXIT_KEY, "the backup is sealed, and no key that was given opens it"},
    {CLI_EXIT_INTERRUPTED, "interrupted"},
    {0},
};

static void print_exit_codes(FILE *out)
{
    fprintf(out, "Exit codes:\n");
    for (const struct cli_exit_meaning *exit = cli_exit_meanings; exit->text; exit++) {
        const char *rest = strchr(exit->text, '\n');
        fprintf(out, "  %3d  %.*s\n", exit->code, (int)strcspn(exit->text, "\n"), exit->text);
        if (rest)
            fprintf(out, "       %s\n", rest + 1);
    }
}

void cli_commands_help(FILE *out, const struct cli_command *const *commands)
{
    fprintf(out, "Usage: penstock <command> [option]...\n\n"
                 "Parallel online backup of bare-metal data nodes.\n\nCommands:\n");
    for (; *commands; commands++)
        fprintf(out, "  %-10s  %s\n", (*commands)->name, (*commands)->summary);
    fprintf(out, "\n`penstock <command> --help` explains a command; `penstock --version [--json]` "
                 "names this version.\n\n");
    print_exit_codes(out);
}
