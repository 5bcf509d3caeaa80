/*
 * The tables of what each command takes, and the parsed command line. A value comes from the flag,
 * else from the environment, else from the configuration file, else from the option's fallback;
 * command.h describes how each is named. Main thread only.
 */
#ifndef PST_ENGINE_CLI_ARGUMENTS_H
#define PST_ENGINE_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/alert.h"
#include "engine/base/limits.h"
#include "engine/cli/exit.h"
#include "engine/cli/sections.h"
#include "penstock/error.h"

#define CLI_OPTIONS_MAX 64u                   /* of one command */
#define CLI_OPTION_VALUES_MAX PST_SOURCES_MAX /* of one repeatable option */

enum cli_option_kind {
    CLI_OPTION_SWITCH,   /* no argument */
    CLI_OPTION_TEXT,     /* any non-empty text */
    CLI_OPTION_COUNT,    /* whole number */
    CLI_OPTION_SIZE,     /* bytes: 64K, 1MiB */
    CLI_OPTION_DURATION, /* ns: 500ms, 2s */
};

struct cli_option {
    const char *name; /* without dashes; NULL ends a table */
    char letter;      /* of a switch that may also be given as -LETTER; 0: it may not */
    enum cli_option_kind kind;
    const char *argument; /* what the help calls the value; NULL for a switch */
    const char *help;
    const char *fallback; /* the default, as one would type it; NULL: none */
    uint64_t min, max;    /* of a number, both included; max 0: no upper bound */
    bool required;
    bool repeatable; /* text only: may be given CLI_OPTION_VALUES_MAX times */
    /* Options that exclude this one, with commas between: where one of them is set at a higher
     * place (flag, environment, configuration file), this one counts as not set. NULL: none. */
    const char *yields_to;
    bool yields_to_positionals; /* likewise to an argument that is no option */
    bool is_shared; /* the same on all nodes: its key's place is the command's shared_section */
};

#define CLI_OPTION_JSON                                                                            \
    {                                                                                              \
        .name = "json", .kind = CLI_OPTION_SWITCH, .help = "print data as JSON on standard output" \
    }

struct cli_arguments;

struct cli_command {
    const char *name;
    const char *summary;    /* one line, no full stop */
    const char *positional; /* as the help shows them: "[ID]"; NULL: none */
    uint32_t positional_min, positional_max;
    const struct cli_option *options; /* ends in {0} */
    enum cli_exit (*run)(const struct cli_arguments *arguments);
    enum pst_alert_kind failure; /* how the journal has it where it fails */
    bool acts; /* what it prints is a report of what it did, which --quiet leaves out */
    bool (*only_shows)(const struct cli_arguments *arguments); /* not so today; NULL: always so */
    /* Of the configuration file, besides the section called like the command (sections.h): the one
     * with the shared options, and the option that picks a numbered one. NULL: there is none. */
    const char *shared_section, *picks_section;
};

/* Where a value comes from; the higher one counts. */
enum cli_origin {
    CLI_ORIGIN_NONE, /* it is the fallback, or there is none */
    CLI_ORIGIN_CONFIG,
    CLI_ORIGIN_ENVIRONMENT,
    CLI_ORIGIN_FLAG, /* the command line itself */
};

/* One option's values. */
struct cli_option_value {
    enum cli_origin origin;
    uint32_t count; /* texts */
    const char *text[CLI_OPTION_VALUES_MAX];
    uint32_t line[CLI_OPTION_VALUES_MAX]; /* of the configuration file */
    uint64_t number;                      /* of a number; 1 or 0 of a switch */
};

struct cli_config;

/* A parsed command line. Its texts belong to argv, the environment, the tables or config. */
struct cli_arguments {
    const struct cli_command *command;
    struct cli_option_value values[CLI_OPTIONS_MAX]; /* in the order of the table */
    uint32_t positional_count;
    char *const *positionals;
    bool help, verbose, quiet;
    struct cli_config *config;     /* NULL: none was named */
    char section[32];              /* its numbered section that counts; "": none */
    char error[PST_MESSAGE_BYTES]; /* why parsing failed and what to do */
};

/* Where a configuration file may have the command's keys. keys: room for CLI_OPTIONS_MAX. */
struct cli_sections cli_sections_of(const struct cli_command *command,
                                    struct cli_section_key *keys);

/*
 * Parses argv (argv[0] is the command's name) by the command's table; argv's pointers may be
 * reordered. -EINVAL: see arguments->error. With --help nothing is checked further. Released by
 * the caller in any case.
 */
int cli_arguments_parse(const struct cli_command *command, int argc, char **argv,
                        struct cli_arguments *arguments) PST_MUST_USE;
void cli_arguments_release(struct cli_arguments *arguments);

/*
 * Values by option name, which must be in the table (asserted). Borrowed from arguments.
 * text: NULL where there is none; number: 0 where there is none.
 */
bool cli_argument_given(const struct cli_arguments *arguments, const char *name);
bool cli_argument_is_flag(const struct cli_arguments *arguments, const char *name);
bool cli_argument_switch(const struct cli_arguments *arguments, const char *name);
const char *cli_argument_text(const struct cli_arguments *arguments, const char *name);
uint64_t cli_argument_number(const struct cli_arguments *arguments, const char *name);
uint32_t cli_argument_count(const struct cli_arguments *arguments, const char *name);

/* All of them, borrowed; texts has room for CLI_OPTION_VALUES_MAX. How many there are. */
uint32_t cli_argument_texts(const struct cli_arguments *arguments, const char *name,
                            const char **texts);

/* Where the index-th of them comes from: "--ldms", "PENSTOCK_LDMS", "FILE:7", or "default". Fills
 * text and returns it. */
char *cli_argument_place(const struct cli_arguments *arguments, const char *name, uint32_t index,
                         char *text, size_t bytes);

/* Whether the command has --json and it was given. */
bool cli_argument_json(const struct cli_arguments *arguments);

/* ---- for arguments.c and help.c ---- */

#define CLI_VARIABLE_BYTES 64u

/* "PENSTOCK_LDM_CPUS" of "ldm-cpus". text has CLI_VARIABLE_BYTES and is returned. */
char *cli_option_variable(const struct cli_option *option, char *text);

/* Options of a table, the end not counted. */
uint32_t cli_option_count(const struct cli_option *options);

/* "from 1 to 256", "of at least 64K": the range in the option's own spelling; "" if it has none. */
char *cli_option_range(const struct cli_option *option, char *text, size_t bytes);

#endif
