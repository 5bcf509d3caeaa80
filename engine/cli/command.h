/*
 * The frame of the command line: every subcommand is one table entry; parsing, --help, environment
 * twins, messages and exit codes come from the table.
 *
 * To add a command, write engine/cli/cmd_<name>.c with
 *
 *     static const struct cli_option options[] = {
 *         {.name = "to", .kind = CLI_OPTION_TEXT, .argument = "DIR", .required = true,
 *          .help = "the backup directory"},
 *         {.name = "chunk", .kind = CLI_OPTION_SIZE, .argument = "SIZE", .fallback = "1M",
 *          .min = PST_CHUNK_BYTES_MIN, .max = PST_CHUNK_BYTES_MAX, .help = "payload of a chunk"},
 *         CLI_OPTION_JSON,
 *         {0},
 *     };
 *     static enum cli_exit run(const struct cli_arguments *arguments)
 *     {
 *         const char *to = cli_argument_text(arguments, "to");
 *         …
 *         return cli_fail(arguments, CLI_EXIT_FAILED, "%s: %s", to, pst_error_text(error));
 *     }
 *     const struct cli_command cli_command_backup = {
 *         .name = "backup", .summary = "back up sources into a directory",
 *         .options = options, .run = run};
 *
 * declare it in engine/cli/commands.h and add it to the list in engine/cli/main.c. --help,
 * --verbose, --quiet and --config are every command's; nothing else is built in.
 *
 * A value comes from the flag, else from the environment (--ldm-cpus: PENSTOCK_LDM_CPUS; a switch:
 * 1 or 0; empty: not set), else from the section of the configuration file that is called like the
 * command (ldm-cpus = 1), else from .fallback. Of options that exclude each other (.yields_to) the
 * same order decides which one counts. Main thread only.
 */
#ifndef PST_ENGINE_CLI_COMMAND_H
#define PST_ENGINE_CLI_COMMAND_H

#include <stdio.h>

#include "engine/cli/arguments.h"

/*
 * Ends a command: logs the message as an error and, with --json, prints it as the last record on
 * stdout, {"message_type":"exit_error","code":…,"message":…}. Returns code.
 */
enum cli_exit cli_fail(const struct cli_arguments *arguments, enum cli_exit code,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Likewise, of this alert rather than of the command's (struct cli_command, failure). */
enum cli_exit cli_fail_alert(const struct cli_arguments *arguments, enum cli_exit code,
                             const struct pst_alert *alert, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* How a command ends whose standard output cannot be written: CLI_EXIT_PARTIAL where that was to be
 * the report of what it did, which stands; else what it was asked for is not done. */
enum cli_exit cli_exit_unprinted(const struct cli_arguments *arguments);

/* Ends it so. */
enum cli_exit cli_fail_unprinted(const struct cli_arguments *arguments);

/* Finds the command that argv names, parses, runs it. Returns the exit code of the process. */
enum cli_exit cli_commands_run(const struct cli_command *const *commands, int argc, char **argv);

#endif
