/*
 * Parses a command line by the table of its command, and fills in what it leaves open. Called by
 * command.c, on the main thread.
 */
#include "engine/cli/arguments.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/check.h"
#include "engine/cli/config.h"
#include "engine/cli/suggest.h"
#include "engine/cli/value.h"

/* What getopt_long returns: the table's index from here on, so that no letter is among them. */
#define TABLE_BASE 256

/* Every command's. */
static const struct option common_options[] = {
    {.name = "help", .val = 'h'},
    {.name = "verbose", .val = 'v'},
    {.name = "quiet", .val = 'q'},
    {.name = "config", .has_arg = required_argument, .val = 'c'},
};
#define COMMON_OPTIONS ((uint32_t)(sizeof(common_options) / sizeof(common_options[0])))

_Static_assert(sizeof(((struct cli_arguments *)NULL)->section) == CLI_SECTION_BYTES,
               "cli_sections_pick() fills it");

static int refuse(struct cli_arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct cli_arguments *arguments, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(arguments->error, sizeof(arguments->error), format, list);
    va_end(list);
    return -EINVAL;
}

char *cli_option_variable(const struct cli_option *option, char *text)
{
    size_t used = (size_t)snprintf(text, CLI_VARIABLE_BYTES, "PENSTOCK_");
    assert(used + strlen(option->name) < CLI_VARIABLE_BYTES);
    for (const char *from = option->name; *from != '\0'; from++)
        text[used++] = *from == '-' ? '_' : (char)toupper((unsigned char)*from);
    text[used] = '\0';
    return text;
}

uint32_t cli_option_count(const struct cli_option *options)
{
    uint32_t count = 0;
    while (options[count].name)
        count++;
    assert(count <= CLI_OPTIONS_MAX);
    return count;
}

static char *number_text(const struct cli_option *option, uint64_t number, char *text)
{
    if (option->kind == CLI_OPTION_SIZE)
        return cli_value_exact_size(number, text);
    if (option->kind == CLI_OPTION_DURATION)
        return cli_value_exact_duration(number, text);
    snprintf(text, CLI_VALUE_TEXT_BYTES, "%llu", (unsigned long long)number);
    return text;
}

char *cli_option_range(const struct cli_option *option, char *text, size_t bytes)
{
    char min[CLI_VALUE_TEXT_BYTES], max[CLI_VALUE_TEXT_BYTES];
    number_text(option, option->min, min);
    number_text(option, option->max, max);
    if (option->max != 0)
        snprintf(text, bytes, "from %s to %s", min, max);
    else if (option->min != 0)
        snprintf(text, bytes, "of at least %s", min);
    else
        text[0] = '\0';
    return text;
}

/* ---- one value ---- */

static int parse_number(const struct cli_option *option, const char *text, uint64_t *number)
{
    if (option->kind == CLI_OPTION_SIZE)
        return cli_value_size(text, number);
    if (option->kind == CLI_OPTION_DURATION)
        return cli_value_duration(text, number);
    return cli_value_count(text, number);
}

static const char *expectation(const struct cli_option *option)
{
    if (option->kind == CLI_OPTION_SIZE)
        return "a size such as 64K, 1MiB or 2G";
    if (option->kind == CLI_OPTION_DURATION)
        return "a duration with its unit, such as 500ms, 2s or 5m";
    return "a whole number";
}

/* Takes a number; source is the flag or variable that it came from. */
static int take_number(struct cli_arguments *arguments, const struct cli_option *option,
                       const char *source, const char *text, uint64_t *number)
{
    char range[96];
    cli_option_range(option, range, sizeof(range));
    int error = parse_number(option, text, number);
    if (error == -EINVAL)
        return refuse(arguments, "%s: \"%.64s\" is not %s; give one%s%s", source, text,
                      expectation(option), *range ? " " : "", range);
    if (error == -ERANGE || *number < option->min || (option->max != 0 && *number > option->max))
        return refuse(arguments, "%s: %.64s is out of range; give %s%s%s", source, text,
                      expectation(option), *range ? " " : "", range);
    return 0;
}

static int take_switch(struct cli_arguments *arguments, const char *source, const char *text,
                       uint64_t *number)
{
    if (strcmp(text, "1") != 0 && strcmp(text, "0") != 0)
        return refuse(arguments, "%s: \"%.64s\" is neither 1 nor 0; set it to 1 for yes, 0 for no",
                      source, text);
    *number = *text == '1';
    return 0;
}

static int take_value(struct cli_arguments *arguments, uint32_t index, const char *source,
                      const char *text)
{
    const struct cli_option *option = &arguments->command->options[index];
    struct cli_option_value *value = &arguments->values[index];
    if (option->kind == CLI_OPTION_SWITCH)
        return take_switch(arguments, source, text, &value->number);
    if (*text == '\0')
        return refuse(arguments, "%s needs a value: %s", source, option->argument);
    if (value->count == CLI_OPTION_VALUES_MAX)
        return refuse(arguments, "%s is given more than %u times", source, CLI_OPTION_VALUES_MAX);
    if (value->count > 0 && !option->repeatable)
        return refuse(arguments, "%s is given twice; give it once", source);
    value->text[value->count++] = text;
    if (option->kind == CLI_OPTION_TEXT)
        return 0;
    return take_number(arguments, option, source, text, &value->number);
}

static int take_flag(struct cli_arguments *arguments, uint32_t index, const char *text)
{
    char source[CLI_VARIABLE_BYTES];
    snprintf(source, sizeof(source), "--%s", arguments->command->options[index].name);
    arguments->values[index].origin = CLI_ORIGIN_FLAG;
    return take_value(arguments, index, source, text);
}

/* ---- the flags ---- */

/* "--ldms" or "--ldms=8" as it stands in argv. */
static const char *flag_token(char *const *argv)
{
    return optarg && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

/* getopt_long takes any unambiguous beginning; a script that uses one breaks with the next option.
 */
static bool is_abbreviated(const char *token, const char *name)
{
    return token[1] == '-' && strcspn(token + 2, "=") != strlen(name);
}

static int refuse_unknown(struct cli_arguments *arguments, const char *token)
{
    const char *names[CLI_OPTIONS_MAX + COMMON_OPTIONS];
    uint32_t count = cli_option_count(arguments->command->options);
    for (uint32_t i = 0; i < COMMON_OPTIONS; i++)
        names[i] = common_options[i].name;
    for (uint32_t i = 0; i < count; i++)
        names[COMMON_OPTIONS + i] = arguments->command->options[i].name;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(token, "="), token);
    bool is_long = strncmp(token, "--", 2) == 0;
    const char *nearest = is_long ? cli_suggest(text + 2, names, count + COMMON_OPTIONS) : NULL;
    if (nearest)
        return refuse(arguments, "unknown option %s; did you mean --%s?", text, nearest);
    return refuse(arguments, "unknown option %s; `penstock %s --help` lists the options", text,
                  arguments->command->name);
}

static const struct option *common_option(int known)
{
    for (uint32_t i = 0; i < COMMON_OPTIONS; i++)
        if (common_options[i].val == known)
            return &common_options[i];
    return NULL;
}

/* An option that getopt_long knows; result shows whether a value is missing, or one too many. */
static int check_option(struct cli_arguments *arguments, int result, char *const *argv,
                        const char *name, const char *argument)
{
    if (is_abbreviated(flag_token(argv), name))
        return refuse_unknown(arguments, flag_token(argv));
    if (result == '?')
        return refuse(arguments, "--%s takes no value", name);
    if (result == ':')
        return refuse(arguments, "--%s needs a value: %s", name, argument);
    return 0;
}

static int take_common(struct cli_arguments *arguments, int known, const char **config_path)
{
    if (known == 'h')
        arguments->help = true;
    if (known == 'v')
        arguments->verbose = true;
    if (known == 'q')
        arguments->quiet = true;
    if (known != 'c')
        return 0;
    if (*config_path)
        return refuse(arguments, "--config is given twice; give it once");
    *config_path = optarg;
    return *optarg == '\0' ? refuse(arguments, "--config needs a value: FILE") : 0;
}

/* The letters of the command's own switches, behind those of every command. letters has room for
 * CLI_OPTIONS_MAX more. */
static void add_letters(const struct cli_option *options, char *letters)
{
    letters += strlen(letters);
    for (; options->name; options++) {
        if (options->letter)
            *letters++ = options->letter;
    }
    *letters = '\0';
}

/* What getopt_long returns for the long name of a switch, where it was given as a letter. */
static int value_of(const struct cli_option *options, int result)
{
    for (int i = 0; options[i].name; i++) {
        if (options[i].letter && options[i].letter == result)
            return TABLE_BASE + i;
    }
    return result;
}

/* Answers one result of getopt_long. */
static int take_result(struct cli_arguments *arguments, int result, char *const *argv,
                       const char **config_path)
{
    result = value_of(arguments->command->options, result);
    int known = result == '?' || result == ':' ? optopt : result;
    const struct option *common = common_option(known);
    if (!common && known < TABLE_BASE) {
        char letter[] = {'-', (char)optopt, '\0'};
        return refuse_unknown(arguments, optopt ? letter : argv[optind - 1]);
    }
    const struct cli_option *option =
        common ? NULL : &arguments->command->options[known - TABLE_BASE];
    int error = check_option(arguments, result, argv, common ? common->name : option->name,
                             common ? "FILE" : option->argument);
    if (error)
        return error;
    if (common)
        return take_common(arguments, known, config_path);
    return take_flag(arguments, (uint32_t)(known - TABLE_BASE), optarg ? optarg : "1");
}

static void list_for_getopt(const struct cli_option *options, struct option *list)
{
    memcpy(list, common_options, sizeof(common_options));
    uint32_t count = cli_option_count(options);
    for (uint32_t i = 0; i < count; i++)
        list[COMMON_OPTIONS + i] = (struct option){
            .name = options[i].name,
            .has_arg = options[i].kind == CLI_OPTION_SWITCH ? no_argument : required_argument,
            .val = TABLE_BASE + (int)i};
    list[COMMON_OPTIONS + count] = (struct option){0};
}

static int parse_flags(struct cli_arguments *arguments, int argc, char **argv,
                       const char **config_path)
{
    struct option list[CLI_OPTIONS_MAX + COMMON_OPTIONS + 1];
    list_for_getopt(arguments->command->options, list);
    opterr = 0;
    optind = 0; /* start afresh, even after a scan that stopped halfway */
    char letters[CLI_OPTIONS_MAX + sizeof(":hvq")] = ":hvq";
    add_letters(arguments->command->options, letters);
    int error = 0, result;
    while (!error && (result = getopt_long(argc, argv, letters, list, NULL)) != -1)
        error = take_result(arguments, result, argv, config_path);
    if (error)
        return error;
    arguments->positionals = argv + optind;
    arguments->positional_count = (uint32_t)(argc - optind);
    return 0;
}

/* ---- what the flags left open ---- */

struct cli_sections cli_sections_of(const struct cli_command *command, struct cli_section_key *keys)
{
    const struct cli_option *options = command->options;
    struct cli_sections sections = {.own = command->name,
                                    .shared = command->shared_section,
                                    .pick = command->picks_section,
                                    .keys = keys,
                                    .keys_count = cli_option_count(options)};
    for (uint32_t i = 0; i < sections.keys_count; i++) {
        keys[i] = (struct cli_section_key){.name = options[i].name,
                                           .is_shared = options[i].is_shared,
                                           .is_repeatable = options[i].repeatable};
        if (sections.pick && strcmp(options[i].name, sections.pick) == 0)
            sections.pick_max = options[i].max;
    }
    return sections;
}

static int open_config(struct cli_arguments *arguments, const char *path)
{
    struct cli_section_key keys[CLI_OPTIONS_MAX];
    if (!path)
        path = getenv("PENSTOCK_CONFIG");
    if (!path || *path == '\0')
        return 0;
    int error =
        cli_config_open(path, &arguments->config, arguments->error, sizeof(arguments->error));
    if (!error) {
        const struct cli_sections sections = cli_sections_of(arguments->command, keys);
        error = cli_sections_check(&sections, arguments->config, arguments->error,
                                   sizeof(arguments->error));
    }
    return error ? -EINVAL : 0;
}

/* From the configuration file; the value has an origin if the file has the option. */
static int take_configured(struct cli_arguments *arguments, uint32_t index)
{
    const char *name = arguments->command->options[index].name;
    struct cli_option_value *value = &arguments->values[index];
    struct cli_config_value values[CLI_OPTION_VALUES_MAX + 1];
    struct cli_section_key keys[CLI_OPTIONS_MAX];
    if (!arguments->config)
        return 0;
    const struct cli_sections sections = cli_sections_of(arguments->command, keys);
    int count = cli_sections_values(&sections, arguments->config, arguments->section, name, values,
                                    CLI_OPTION_VALUES_MAX + 1);
    if (count < 0)
        return refuse(arguments, "%s: %s", cli_config_path(arguments->config),
                      pst_error_text(count));
    if (count > (int)CLI_OPTION_VALUES_MAX) /* one too many is enough to be refused */
        count = (int)CLI_OPTION_VALUES_MAX + 1;
    int error = 0;
    for (int i = 0; i < count && !error; i++) {
        char source[PST_MESSAGE_BYTES / 2];
        snprintf(source, sizeof(source), "%.160s:%u: %s", cli_config_path(arguments->config),
                 values[i].line, name);
        value->origin = CLI_ORIGIN_CONFIG;
        error = take_value(arguments, index, source, values[i].text);
        value->line[value->count > 0 ? value->count - 1 : 0] = values[i].line;
    }
    return error;
}

static int fill_in(struct cli_arguments *arguments, uint32_t index)
{
    const struct cli_option *option = &arguments->command->options[index];
    struct cli_option_value *value = &arguments->values[index];
    if (value->origin != CLI_ORIGIN_NONE)
        return 0;
    char variable[CLI_VARIABLE_BYTES];
    const char *text = getenv(cli_option_variable(option, variable));
    if (text && *text != '\0') {
        value->origin = CLI_ORIGIN_ENVIRONMENT;
        return take_value(arguments, index, variable, text);
    }
    int error = take_configured(arguments, index);
    if (error || value->origin != CLI_ORIGIN_NONE)
        return error;
    if (option->fallback) {
        error = take_value(arguments, index, option->name, option->fallback);
        assert(!error); /* the table's own default breaks the table's own rules */
        return error;
    }
    if (option->required)
        return refuse(arguments, "--%s %s is missing: %s", option->name, option->argument,
                      option->help);
    return 0;
}

/* Which numbered section of the file counts, before it is looked into. */
static int pick_section(struct cli_arguments *arguments)
{
    const char *pick = arguments->command->picks_section;
    struct cli_section_key keys[CLI_OPTIONS_MAX];
    uint32_t index = 0;
    if (!pick || !arguments->config)
        return 0;
    while (strcmp(arguments->command->options[index].name, pick) != 0)
        index++;
    int error = fill_in(arguments, index);
    if (error)
        return error;
    const struct cli_sections sections = cli_sections_of(arguments->command, keys);
    return cli_sections_pick(&sections, arguments->config, arguments->values[index].number,
                             arguments->section, arguments->error, sizeof(arguments->error))
               ? -EINVAL
               : 0;
}

static int check_positionals(struct cli_arguments *arguments)
{
    const struct cli_command *command = arguments->command;
    uint32_t count = arguments->positional_count;
    if (count > command->positional_max)
        return refuse(arguments, "\"%.64s\" is one argument too many; write penstock %s%s%s",
                      arguments->positionals[command->positional_max], command->name,
                      command->positional ? " " : "",
                      command->positional ? command->positional : " without it");
    if (count < command->positional_min)
        return refuse(arguments, "an argument is missing; write penstock %s %s", command->name,
                      command->positional);
    for (uint32_t i = 0; i < count; i++)
        if (*arguments->positionals[i] == '\0')
            return refuse(arguments, "an argument is empty; write penstock %s %s", command->name,
                          command->positional);
    return 0;
}

static bool is_among(const char *names, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = names; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, bytes) == 0 && (at[bytes] == ',' || at[bytes] == '\0'))
            return true;
    }
    return false;
}

/* A switch that is set to 0 excludes nothing. */
static enum cli_origin origin_of(const struct cli_arguments *arguments, uint32_t index)
{
    const struct cli_option_value *value = &arguments->values[index];
    bool is_off = arguments->command->options[index].kind == CLI_OPTION_SWITCH && !value->number;
    return is_off ? CLI_ORIGIN_NONE : value->origin;
}

/* Of options that exclude each other the one counts that is set at the higher place. */
static void yield(struct cli_arguments *arguments, uint32_t index)
{
    const struct cli_option *options = arguments->command->options;
    enum cli_origin highest = CLI_ORIGIN_NONE;
    if (options[index].yields_to_positionals && arguments->positional_count > 0)
        highest = CLI_ORIGIN_FLAG;
    for (uint32_t i = 0; options[i].name; i++) {
        if (is_among(options[index].yields_to, options[i].name) &&
            origin_of(arguments, i) > highest)
            highest = origin_of(arguments, i);
    }
    if (arguments->values[index].origin >= highest)
        return;
    assert(!options[index].fallback && !options[index].required);
    arguments->values[index] = (struct cli_option_value){0};
}

int cli_arguments_parse(const struct cli_command *command, int argc, char **argv,
                        struct cli_arguments *arguments)
{
    assert(command && command->options && argc >= 1 && arguments);
    PST_CHECK_MAIN_THREAD();
    *arguments = (struct cli_arguments){.command = command};
    const char *config_path = NULL;
    int error = parse_flags(arguments, argc, argv, &config_path);
    if (error || arguments->help)
        return error;
    if (arguments->quiet && arguments->verbose)
        return refuse(arguments, "--quiet and --verbose exclude each other; give one of them");
    error = open_config(arguments, config_path);
    if (!error)
        error = pick_section(arguments);
    uint32_t count = cli_option_count(command->options);
    for (uint32_t i = 0; i < count && !error; i++)
        error = fill_in(arguments, i);
    if (error)
        return error;
    for (uint32_t i = 0; i < count; i++)
        yield(arguments, i);
    return check_positionals(arguments);
}

void cli_arguments_release(struct cli_arguments *arguments)
{
    cli_config_close(arguments->config);
    arguments->config = NULL;
}

/* ---- values by name ---- */

static const struct cli_option_value *find(const struct cli_arguments *arguments, const char *name)
{
    const struct cli_option *options = arguments->command->options;
    uint32_t index = 0;
    while (options[index].name && strcmp(options[index].name, name) != 0)
        index++;
    return options[index].name ? &arguments->values[index] : NULL;
}

static const struct cli_option_value *get(const struct cli_arguments *arguments, const char *name)
{
    const struct cli_option_value *value = find(arguments, name);
    assert(value); /* the command asks for an option that is not in its table */
    return value;
}

bool cli_argument_given(const struct cli_arguments *arguments, const char *name)
{
    return get(arguments, name)->origin != CLI_ORIGIN_NONE;
}

bool cli_argument_is_flag(const struct cli_arguments *arguments, const char *name)
{
    return get(arguments, name)->origin == CLI_ORIGIN_FLAG;
}

bool cli_argument_switch(const struct cli_arguments *arguments, const char *name)
{
    return get(arguments, name)->number != 0;
}

const char *cli_argument_text(const struct cli_arguments *arguments, const char *name)
{
    return get(arguments, name)->text[0];
}

uint64_t cli_argument_number(const struct cli_arguments *arguments, const char *name)
{
    return get(arguments, name)->number;
}

uint32_t cli_argument_count(const struct cli_arguments *arguments, const char *name)
{
    return get(arguments, name)->count;
}

uint32_t cli_argument_texts(const struct cli_arguments *arguments, const char *name,
                            const char **texts)
{
    const struct cli_option_value *value = get(arguments, name);
    memcpy(texts, value->text, value->count * sizeof(*texts));
    return value->count;
}

char *cli_argument_place(const struct cli_arguments *arguments, const char *name, uint32_t index,
                         char *text, size_t bytes)
{
    const struct cli_option_value *value = get(arguments, name);
    const struct cli_option option = {.name = name};
    char variable[CLI_VARIABLE_BYTES];
    if (value->origin == CLI_ORIGIN_FLAG)
        snprintf(text, bytes, "--%s", name);
    else if (value->origin == CLI_ORIGIN_ENVIRONMENT)
        snprintf(text, bytes, "%s", cli_option_variable(&option, variable));
    else if (value->origin == CLI_ORIGIN_CONFIG)
        snprintf(text, bytes, "%s:%u", cli_config_path(arguments->config), value->line[index]);
    else
        snprintf(text, bytes, "default");
    return text;
}

bool cli_argument_json(const struct cli_arguments *arguments)
{
    const struct cli_option_value *value = find(arguments, "json");
    return value && value->number != 0;
}
