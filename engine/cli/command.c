/*
 * Finds the command that the command line names, parses its arguments and runs it; prints errors.
 * Called by main.c, and cli_fail by the commands, on the main thread.
 */
#include "engine/cli/command.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include <jansson.h>

#include "engine/base/check.h"
#include "engine/base/log.h"
#include "engine/cli/config.h"
#include "engine/cli/help.h"
#include "engine/cli/json.h"
#include "engine/cli/json_warnings.h"
#include "engine/cli/metrics_file.h"
#include "engine/cli/print.h"
#include "engine/cli/sections.h"
#include "engine/cli/suggest.h"
#include "engine/cli/version.h"

#define COMMANDS_MAX 32u

/* The last records of a --json run, one in most; stdout may be what failed, and the log has the
 * message. */
static void print_exit_error(enum cli_exit code, const char *message)
{
    int error = cli_json_record(
        stdout, "exit_error",
        json_pack("{s:i, s:o}", "code", (int)code, "message", cli_json_text(message)));
    if (error)
        pst_log(PST_LOG_ERROR, "cannot write to standard output: %s", pst_error_text(error));
}

static enum cli_exit fail(const struct pst_alert *alert, bool json, enum cli_exit code,
                          const char *message)
{
    pst_log_alert(PST_LOG_ERROR, alert, "%s", message);
    if (json)
        print_exit_error(code, message);
    return code;
}

enum cli_exit cli_fail(const struct cli_arguments *arguments, enum cli_exit code,
                       const char *format, ...)
{
    char message[PST_MESSAGE_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof(message), format, list);
    va_end(list);
    struct pst_alert alert = {.kind = arguments->command->failure};
    if (code == CLI_EXIT_PARTIAL)
        alert.kind = PST_ALERT_NONE;
    return fail(&alert, cli_argument_json(arguments), code, message);
}

enum cli_exit cli_fail_alert(const struct cli_arguments *arguments, enum cli_exit code,
                             const struct pst_alert *alert, const char *format, ...)
{
    char message[PST_MESSAGE_BYTES];
    va_list list;
    va_start(list, format);
    vsnprintf(message, sizeof(message), format, list);
    va_end(list);
    return fail(alert, cli_argument_json(arguments), code, message);
}

/* What it prints is not what it was asked for, but a report of what it did. */
static bool reports(const struct cli_arguments *arguments)
{
    const struct cli_command *command = arguments->command;
    return command->acts && !arguments->help &&
           !(command->only_shows && command->only_shows(arguments));
}

enum cli_exit cli_exit_unprinted(const struct cli_arguments *arguments)
{
    return reports(arguments) ? CLI_EXIT_PARTIAL : CLI_EXIT_FAILED;
}

enum cli_exit cli_fail_unprinted(const struct cli_arguments *arguments)
{
    return cli_fail(arguments, cli_exit_unprinted(arguments), "cannot write to standard output");
}

/* Whether --json is there at all: no table is known yet that could explain it. */
static bool asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static const struct cli_command *find(const struct cli_command *const *commands, const char *name)
{
    while (*commands && strcmp((*commands)->name, name) != 0)
        commands++;
    return *commands;
}

static size_t command_names(const struct cli_command *const *commands, const char **names)
{
    size_t count = 0;
    for (; commands[count]; count++) {
        assert(count < COMMANDS_MAX);
        names[count] = commands[count]->name;
    }
    return count;
}

static enum cli_exit refuse_command(const struct cli_command *const *commands, int argc,
                                    char **argv)
{
    const char *names[COMMANDS_MAX];
    size_t count = command_names(commands, names);
    char message[PST_MESSAGE_BYTES];
    bool flag = argv[1][0] == '-';
    const char *nearest = flag ? NULL : cli_suggest(argv[1], names, count);
    if (nearest)
        snprintf(message, sizeof(message), "unknown command \"%.64s\"; did you mean %s?", argv[1],
                 nearest);
    else
        snprintf(message, sizeof(message), "unknown %s \"%.64s\"; see `penstock --help`",
                 flag ? "option" : "command", argv[1]);
    return fail(NULL, asks_for_json(argc, argv), CLI_EXIT_USAGE, message);
}

static enum cli_exit print_version(int argc, char **argv)
{
    bool json = argc == 3 && strcmp(argv[2], "--json") == 0;
    if (argc > 2 && !json)
        return fail(NULL, asks_for_json(argc, argv), CLI_EXIT_USAGE,
                    "--version takes no argument but --json");
    if (!json) {
        cli_version_print(stdout);
        return CLI_EXIT_DONE;
    }
    int error = cli_json_record(stdout, "version", cli_version_json());
    return error ? CLI_EXIT_FAILED : CLI_EXIT_DONE;
}

static enum cli_exit run_and_note(const struct cli_arguments *arguments)
{
    cli_metrics_begin();
    enum cli_exit code = arguments->command->run(arguments);
    int error = cli_metrics_end(arguments, code);
    if (!error)
        return code;
    return cli_fail(arguments, code == CLI_EXIT_DONE ? CLI_EXIT_PARTIAL : code,
                    "the metrics cannot be written: %s: %s",
                    cli_argument_text(arguments, "metrics-file"), pst_error_text(error));
}

static enum cli_exit run_parsed(const struct cli_arguments *arguments)
{
    if (arguments->help) {
        cli_command_help(stdout, arguments->command);
        return CLI_EXIT_DONE;
    }
    if (arguments->verbose)
        pst_log_set_level(PST_LOG_DEBUG);
    if (arguments->quiet)
        pst_log_set_level(PST_LOG_WARNING);
    cli_print_silence(arguments->quiet && reports(arguments));
    if (!cli_argument_json(arguments))
        return run_and_note(arguments);
    cli_json_warnings_begin();
    enum cli_exit code = run_and_note(arguments);
    int error = cli_json_flush_warnings(stdout);
    if (!error || code != CLI_EXIT_DONE)
        return code;
    return cli_exit_unprinted(arguments);
}

/* A walk over the sections of a configuration file. */
struct section_walk {
    const struct cli_command *const *commands;
    struct cli_arguments *arguments;
};

static bool is_section_of(const struct cli_command *command, const char *section)
{
    struct cli_section_key keys[CLI_OPTIONS_MAX];
    const struct cli_sections sections = cli_sections_of(command, keys);
    return cli_sections_have(&sections, section);
}

static int refuse_section(const struct section_walk *walk, const char *section)
{
    const char *names[2 * COMMANDS_MAX];
    struct cli_arguments *arguments = walk->arguments;
    size_t count = command_names(walk->commands, names);
    for (size_t i = 0; walk->commands[i]; i++) {
        if (walk->commands[i]->shared_section)
            names[count++] = walk->commands[i]->shared_section;
    }
    return cli_section_refuse_unknown(
        arguments->config, cli_config_section_line(arguments->config, section), "section", section,
        names, count, arguments->error, sizeof(arguments->error));
}

/* A section that no command has is a slip of the pen. */
static int check_section(void *context, const char *section)
{
    const struct section_walk *walk = context;
    struct cli_arguments *arguments = walk->arguments;
    if (*section == '\0') {
        snprintf(arguments->error, sizeof(arguments->error), "%s: a key before the first [section]",
                 cli_config_path(arguments->config));
        return -EINVAL;
    }
    for (size_t i = 0; walk->commands[i]; i++) {
        if (is_section_of(walk->commands[i], section))
            return 0;
    }
    return refuse_section(walk, section);
}

static int check_keys(const struct cli_command *command, struct cli_arguments *arguments)
{
    struct cli_section_key keys[CLI_OPTIONS_MAX];
    const struct cli_sections sections = cli_sections_of(command, keys);
    return cli_sections_check(&sections, arguments->config, arguments->error,
                              sizeof(arguments->error));
}

/* Those of other commands, too: one file is often of several. */
static int check_sections(const struct cli_command *const *commands,
                          struct cli_arguments *arguments)
{
    struct section_walk walk = {commands, arguments};
    int error = cli_config_each_section(arguments->config, check_section, &walk);
    if (error == -ENOMEM)
        snprintf(arguments->error, sizeof(arguments->error), "%s: out of memory",
                 cli_config_path(arguments->config));
    for (; !error && *commands; commands++)
        error = check_keys(*commands, arguments);
    return error;
}

static enum cli_exit run_command(const struct cli_command *const *commands,
                                 const struct cli_command *command, int argc, char **argv)
{
    struct cli_arguments arguments;
    const struct pst_alert failure = {.kind = command->failure};
    bool json = asks_for_json(argc, argv);
    int error = cli_arguments_parse(command, argc, argv, &arguments);
    /* Without a section that is misspelled, something else may seem to be missing. */
    if (arguments.config && check_sections(commands, &arguments) < 0)
        error = -EINVAL;
    enum cli_exit code =
        error ? fail(&failure, json, CLI_EXIT_USAGE, arguments.error) : run_parsed(&arguments);
    if (code == CLI_EXIT_DONE && cli_print_flush(stdout) < 0)
        code = cli_fail_unprinted(&arguments);
    cli_arguments_release(&arguments);
    return code;
}

static enum cli_exit dispatch(const struct cli_command *const *commands, int argc, char **argv)
{
    if (argc < 2)
        return fail(NULL, false, CLI_EXIT_USAGE,
                    "no command is given; `penstock --help` lists the commands");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_commands_help(stdout, commands);
        return CLI_EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0)
        return print_version(argc, argv);
    const struct cli_command *command = find(commands, argv[1]);
    return command ? run_command(commands, command, argc - 1, argv + 1)
                   : refuse_command(commands, argc, argv);
}

enum cli_exit cli_commands_run(const struct cli_command *const *commands, int argc, char **argv)
{
    PST_CHECK_MAIN_THREAD();
    enum cli_exit code = dispatch(commands, argc, argv);
    /* A full disk or a closed pipe behind stdout must not look like success. */
    if (cli_print_flush(stdout) < 0 && code == CLI_EXIT_DONE)
        return fail(NULL, false, CLI_EXIT_FAILED, "cannot write to standard output");
    return code;
}
