/*
 * The frame of the command line: every subcommand is one table entry; parsing, --help, environment
 * twins, messages and exit codes come from the table.
 *
 * To add a command, write engine/cli/cmd_<name>.c with
 *
 *     static const struct pst_option options[] = {
 *         {.name = "to", .kind = PST_OPTION_TEXT, .argument = "DIR", .required = true,
 *          .help = "the backup directory"},
 *         {.name = "chunk", .kind = PST_OPTION_SIZE, .argument = "SIZE", .fallback = "1M",
 *          .min = PST_CHUNK_BYTES_MIN, .max = PST_CHUNK_BYTES_MAX, .help = "payload of a chunk"},
 *         PST_OPTION_JSON,
 *         {0},
 *     };
 *     static enum pst_exit run(const struct pst_arguments *arguments)
 *     {
 *         const char *to = pst_argument_text(arguments, "to");
 *         …
 *         return pst_fail(arguments, PST_EXIT_FAILED, "%s: %s", to, pst_error_text(rc));
 *     }
 *     const struct pst_command pst_command_backup = {
 *         .name = "backup", .summary = "back up sources into a directory",
 *         .options = options, .run = run};
 *
 * declare it in engine/cli/commands.h and add it to the list in engine/cli/main.c. --help, -h and
 * --verbose and --config are every command's; nothing else is built in.
 *
 * A value comes from the flag, else from the environment (--ldm-cpus: PENSTOCK_LDM_CPUS; a switch:
 * 1 or 0; empty: not set), else from the section of the configuration file that is called like the
 * command (ldm-cpus = 1), else from .fallback. Main thread only.
 */
#ifndef PST_ENGINE_CLI_COMMAND_H
#define PST_ENGINE_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/base/limits.h"
#include "engine/cli/exit.h"
#include "penstock/error.h"

#define PST_OPTIONS_MAX 32u                   /* of one command */
#define PST_OPTION_VALUES_MAX PST_SOURCES_MAX /* of one repeatable option */

enum pst_option_kind {
    PST_OPTION_SWITCH,   /* no argument */
    PST_OPTION_TEXT,     /* any non-empty text */
    PST_OPTION_COUNT,    /* whole number */
    PST_OPTION_SIZE,     /* bytes: 64K, 1MiB */
    PST_OPTION_DURATION, /* ns: 500ms, 2s */
};

struct pst_option {
    const char *name; /* without dashes; NULL ends a table */
    enum pst_option_kind kind;
    const char *argument; /* what the help calls the value; NULL for a switch */
    const char *help;
    const char *fallback; /* the default, as one would type it; NULL: none */
    uint64_t min, max;    /* of a number, both included; max 0: no upper bound */
    bool required;
    bool repeatable; /* text only: may be given PST_OPTION_VALUES_MAX times */
};

#define PST_OPTION_JSON                                                                            \
    {                                                                                              \
        .name = "json", .kind = PST_OPTION_SWITCH, .help = "print data as JSON on standard output" \
    }

struct pst_arguments;

struct pst_command {
    const char *name;
    const char *summary;    /* one line, no full stop */
    const char *positional; /* as the help shows them: "[ID]"; NULL: none */
    uint32_t positional_min, positional_max;
    const struct pst_option *options; /* ends in {0} */
    enum pst_exit (*run)(const struct pst_arguments *arguments);
};

/* One option's values. */
struct pst_option_value {
    bool given;     /* false: it is the fallback, or nothing */
    uint32_t count; /* texts */
    const char *text[PST_OPTION_VALUES_MAX];
    uint64_t number; /* of a number; 1 or 0 of a switch */
};

struct pst_config;

/* A parsed command line. Its texts belong to argv, the environment, the tables or config. */
struct pst_arguments {
    const struct pst_command *command;
    struct pst_option_value values[PST_OPTIONS_MAX]; /* in the order of the table */
    uint32_t positional_count;
    char *const *positionals;
    bool help, verbose;
    struct pst_config *config;     /* NULL: none was named */
    char error[PST_MESSAGE_BYTES]; /* why parsing failed and what to do */
};

/*
 * Parses argv (argv[0] is the command's name) by the command's table; argv's pointers may be
 * reordered. -EINVAL: see arguments->error. With --help nothing is checked further. Released by
 * the caller in any case.
 */
int pst_arguments_parse(const struct pst_command *command, int argc, char **argv,
                        struct pst_arguments *arguments) PST_MUST_USE;
void pst_arguments_release(struct pst_arguments *arguments);

/*
 * Values by option name, which must be in the table (asserted). Borrowed from arguments.
 * text: NULL where there is none; number: 0 where there is none.
 */
bool pst_argument_given(const struct pst_arguments *arguments, const char *name);
bool pst_argument_switch(const struct pst_arguments *arguments, const char *name);
const char *pst_argument_text(const struct pst_arguments *arguments, const char *name);
uint64_t pst_argument_number(const struct pst_arguments *arguments, const char *name);
uint32_t pst_argument_count(const struct pst_arguments *arguments, const char *name);

/* All of them, borrowed; texts has room for PST_OPTION_VALUES_MAX. How many there are. */
uint32_t pst_argument_texts(const struct pst_arguments *arguments, const char *name,
                            const char **texts);

/* Whether the command has --json and it was given. */
bool pst_argument_json(const struct pst_arguments *arguments);

/*
 * Ends a command: logs the message as an error and, with --json, prints it as the last record on
 * stdout, {"message_type":"exit_error","code":…,"message":…}. Returns code.
 */
enum pst_exit pst_fail(const struct pst_arguments *arguments, enum pst_exit code,
                       const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Help of one command, and of all (list ends in NULL). */
void pst_command_help(FILE *out, const struct pst_command *command);
void pst_commands_help(FILE *out, const struct pst_command *const *commands);

/* Finds the command that argv names, parses, runs it. Returns the exit code of the process. */
enum pst_exit pst_commands_run(const struct pst_command *const *commands, int argc, char **argv);

#endif
