/* --help, from the tables. Called by command.c, on the main thread. */
#include "engine/cli/help.h"

#include <ctype.h>

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

/* The second line of an option: whatever of range, default and environment it has. */
static void print_facts(FILE *out, const struct cli_option *option)
{
    char range[96], variable[CLI_VARIABLE_BYTES];
    cli_option_range(option, range, sizeof(range));
    fprintf(out, "  %*s  (", FLAG_COLUMN, "");
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

static void print_config(FILE *out, const struct cli_command *command)
{
    print_flag(out, "config", "FILE", "take what flags and environment leave unset from section");
    if (command->shared_section)
        fprintf(out,
                "  %*s  [%s] of this INI file: for one node, or for all, with [%s] for what\n"
                "  %*s  they share and [%s N] for what is of one alone (PENSTOCK_CONFIG)\n",
                FLAG_COLUMN, "", command->name, command->shared_section, FLAG_COLUMN, "",
                command->name);
    else
        fprintf(out, "  %*s  [%s] of this INI file (PENSTOCK_CONFIG)\n", FLAG_COLUMN, "",
                command->name);
}

void cli_command_help(FILE *out, const struct cli_command *command)
{
    fprintf(out, "Usage: penstock %s [option]...%s%s\n\n%c%s.\n\nOptions:\n", command->name,
            command->positional ? " " : "", command->positional ? command->positional : "",
            toupper((unsigned char)command->summary[0]), command->summary + 1);
    for (const struct cli_option *option = command->options; option->name; option++) {
        print_flag(out, option->name, option->argument, option->help);
        print_facts(out, option);
    }
    print_config(out, command);
    print_flag(out, "verbose", NULL, "log more (also -v)");
    print_flag(out, "quiet", NULL,
               "print warnings, errors and data alone: no progress, and no report of");
    fprintf(out, "  %*s  work that is done (also -q)\n", FLAG_COLUMN, "");
    print_flag(out, "help", NULL, "print this (also -h)");
    fprintf(out, "\nA flag overrides the environment variable named beside it, which overrides the "
                 "configuration file.\n");
}

static void print_exit_codes(FILE *out)
{
    fprintf(
        out,
        "Exit codes:\n"
        "  %3d  done\n"
        "  %3d  failed: nothing of a backup is left; restore --force may leave what it restored\n"
        "  %3d  the command line asks for something impossible\n"
        "  %3d  done, but some objects could not be read, or changed during the backup, or\n"
        "       the report could not be printed; verify: not all of it could be read\n"
        "  %3d  the outcome is not known: the node that was asked, or its master, is gone\n"
        "  %3d  no such backup or directory of backups, or none that is complete\n"
        "  %3d  busy: another backup is being written or settled\n"
        "  %3d  the backup is sealed, and no key that was given opens it\n"
        "  %3d  interrupted\n",
        CLI_EXIT_DONE, CLI_EXIT_FAILED, CLI_EXIT_USAGE, CLI_EXIT_PARTIAL, CLI_EXIT_UNKNOWN,
        CLI_EXIT_NO_BACKUP, CLI_EXIT_BUSY, CLI_EXIT_KEY, CLI_EXIT_INTERRUPTED);
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
