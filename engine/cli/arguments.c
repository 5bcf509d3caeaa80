#include "engine/cli/command.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/cli/internal.h"
#include "engine/cli/suggest.h"
#include "engine/cli/value.h"

/* What getopt_long returns: the table's index from here on, so that no letter is among them. */
#define TABLE_BASE 256
#define COMMON_OPTIONS 2u

static int refuse(struct pst_arguments *arguments, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(struct pst_arguments *arguments, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(arguments->error, sizeof(arguments->error), format, list);
    va_end(list);
    return -EINVAL;
}

char *pst_option_variable(const struct pst_option *option, char *text)
{
    size_t used = (size_t)snprintf(text, PST_VARIABLE_BYTES, "PENSTOCK_");
    assert(used + strlen(option->name) < PST_VARIABLE_BYTES);
    for (const char *from = option->name; *from != '\0'; from++)
        text[used++] = *from == '-' ? '_' : (char)toupper((unsigned char)*from);
    text[used] = '\0';
    return text;
}

uint32_t pst_option_count(const struct pst_option *options)
{
    uint32_t count = 0;
    while (options[count].name)
        count++;
    assert(count <= PST_OPTIONS_MAX);
    return count;
}

static char *number_text(const struct pst_option *option, uint64_t number, char *text)
{
    if (option->kind == PST_OPTION_SIZE)
        return pst_value_exact_size(number, text);
    if (option->kind == PST_OPTION_DURATION)
        return pst_value_exact_duration(number, text);
    snprintf(text, PST_VALUE_TEXT_BYTES, "%llu", (unsigned long long)number);
    return text;
}

char *pst_option_range(const struct pst_option *option, char *text, size_t bytes)
{
    char min[PST_VALUE_TEXT_BYTES], max[PST_VALUE_TEXT_BYTES];
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

static int parse_number(const struct pst_option *option, const char *text, uint64_t *number)
{
    if (option->kind == PST_OPTION_SIZE)
        return pst_value_size(text, number);
    if (option->kind == PST_OPTION_DURATION)
        return pst_value_duration(text, number);
    return pst_value_count(text, number);
}

static const char *expectation(const struct pst_option *option)
{
    if (option->kind == PST_OPTION_SIZE)
        return "a size such as 64K, 1MiB or 2G";
    if (option->kind == PST_OPTION_DURATION)
        return "a duration with its unit, such as 500ms, 2s or 5m";
    return "a whole number";
}

/* Takes a number; source is the flag or variable that it came from. */
static int take_number(struct pst_arguments *arguments, const struct pst_option *option,
                       const char *source, const char *text, uint64_t *number)
{
    char range[96];
    pst_option_range(option, range, sizeof(range));
    int rc = parse_number(option, text, number);
    if (rc == -EINVAL)
        return refuse(arguments, "%s: \"%.64s\" is not %s; give one%s%s", source, text,
                      expectation(option), *range ? " " : "", range);
    if (rc == -ERANGE || *number < option->min || (option->max != 0 && *number > option->max))
        return refuse(arguments, "%s: %.64s is out of range; give %s%s%s", source, text,
                      expectation(option), *range ? " " : "", range);
    return 0;
}

static int take_switch(struct pst_arguments *arguments, const char *source, const char *text,
                       uint64_t *number)
{
    if (strcmp(text, "1") != 0 && strcmp(text, "0") != 0)
        return refuse(arguments, "%s: \"%.64s\" is neither 1 nor 0; set it to 1 for yes, 0 for no",
                      source, text);
    *number = *text == '1';
    return 0;
}

static int take_value(struct pst_arguments *arguments, uint32_t index, const char *source,
                      const char *text)
{
    const struct pst_option *option = &arguments->command->options[index];
    struct pst_option_value *value = &arguments->values[index];
    if (option->kind == PST_OPTION_SWITCH)
        return take_switch(arguments, source, text, &value->number);
    if (*text == '\0')
        return refuse(arguments, "%s needs a value: %s", source, option->argument);
    if (value->count == PST_OPTION_VALUES_MAX)
        return refuse(arguments, "%s is given more than %u times", source, PST_OPTION_VALUES_MAX);
    if (value->count > 0 && !option->repeatable)
        return refuse(arguments, "%s is given twice; give it once", source);
    value->text[value->count++] = text;
    if (option->kind == PST_OPTION_TEXT)
        return 0;
    return take_number(arguments, option, source, text, &value->number);
}

static int take_flag(struct pst_arguments *arguments, uint32_t index, const char *text)
{
    char source[PST_VARIABLE_BYTES];
    snprintf(source, sizeof(source), "--%s", arguments->command->options[index].name);
    arguments->values[index].given = true;
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

static int refuse_unknown(struct pst_arguments *arguments, const char *token)
{
    const char *names[PST_OPTIONS_MAX + COMMON_OPTIONS] = {"help", "verbose"};
    uint32_t count = pst_option_count(arguments->command->options);
    for (uint32_t i = 0; i < count; i++)
        names[COMMON_OPTIONS + i] = arguments->command->options[i].name;
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)strcspn(token, "="), token);
    bool is_long = strncmp(token, "--", 2) == 0;
    const char *nearest = is_long ? pst_suggest(text + 2, names, count + COMMON_OPTIONS) : NULL;
    if (nearest)
        return refuse(arguments, "unknown option %s; did you mean --%s?", text, nearest);
    return refuse(arguments, "unknown option %s; `penstock %s --help` lists those there are", text,
                  arguments->command->name);
}

/* Answers one result of getopt_long. */
static int take_result(struct pst_arguments *arguments, int result, char *const *argv)
{
    const struct pst_option *options = arguments->command->options;
    int known = result == '?' || result == ':' ? optopt : result;
    if (known == 'h' || known == 'v') {
        const char *name = known == 'h' ? "help" : "verbose";
        if (is_abbreviated(flag_token(argv), name))
            return refuse_unknown(arguments, flag_token(argv));
        if (result == '?')
            return refuse(arguments, "--%s takes no value", name);
        *(known == 'h' ? &arguments->help : &arguments->verbose) = true;
        return 0;
    }
    if (known < TABLE_BASE) {
        char letter[] = {'-', (char)optopt, '\0'};
        return refuse_unknown(arguments, optopt ? letter : argv[optind - 1]);
    }
    const struct pst_option *option = &options[known - TABLE_BASE];
    if (is_abbreviated(flag_token(argv), option->name))
        return refuse_unknown(arguments, flag_token(argv));
    if (result == '?')
        return refuse(arguments, "--%s takes no value", option->name);
    if (result == ':')
        return refuse(arguments, "--%s needs a value: %s", option->name, option->argument);
    return take_flag(arguments, (uint32_t)(known - TABLE_BASE), optarg ? optarg : "1");
}

static void list_for_getopt(const struct pst_option *options, struct option *list)
{
    list[0] = (struct option){.name = "help", .val = 'h'};
    list[1] = (struct option){.name = "verbose", .val = 'v'};
    uint32_t count = pst_option_count(options);
    for (uint32_t i = 0; i < count; i++)
        list[COMMON_OPTIONS + i] = (struct option){
            .name = options[i].name,
            .has_arg = options[i].kind == PST_OPTION_SWITCH ? no_argument : required_argument,
            .val = TABLE_BASE + (int)i};
    list[COMMON_OPTIONS + count] = (struct option){0};
}

static int parse_flags(struct pst_arguments *arguments, int argc, char **argv)
{
    struct option list[PST_OPTIONS_MAX + COMMON_OPTIONS + 1];
    list_for_getopt(arguments->command->options, list);
    opterr = 0;
    optind = 0; /* start afresh, even after a scan that stopped halfway */
    int rc = 0, result;
    while (rc == 0 && (result = getopt_long(argc, argv, ":hv", list, NULL)) != -1)
        rc = take_result(arguments, result, argv);
    if (rc != 0)
        return rc;
    arguments->positionals = argv + optind;
    arguments->positional_count = (uint32_t)(argc - optind);
    return 0;
}

/* ---- what the flags left open ---- */

static int fill_in(struct pst_arguments *arguments, uint32_t index)
{
    const struct pst_option *option = &arguments->command->options[index];
    struct pst_option_value *value = &arguments->values[index];
    if (value->given)
        return 0;
    char variable[PST_VARIABLE_BYTES];
    const char *text = getenv(pst_option_variable(option, variable));
    if (text && *text != '\0') {
        value->given = true;
        return take_value(arguments, index, variable, text);
    }
    if (option->fallback) {
        int rc = take_value(arguments, index, option->name, option->fallback);
        assert(rc == 0); /* the table's own default breaks the table's own rules */
        return rc;
    }
    if (option->required)
        return refuse(arguments, "--%s %s is missing: %s", option->name, option->argument,
                      option->help);
    return 0;
}

static int check_positionals(struct pst_arguments *arguments)
{
    const struct pst_command *command = arguments->command;
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
            return refuse(arguments, "an empty argument means nothing; write penstock %s %s",
                          command->name, command->positional);
    return 0;
}

int pst_arguments_parse(const struct pst_command *command, int argc, char **argv,
                        struct pst_arguments *arguments)
{
    assert(command && command->options && argc >= 1 && arguments);
    *arguments = (struct pst_arguments){.command = command};
    int rc = parse_flags(arguments, argc, argv);
    if (rc != 0 || arguments->help)
        return rc;
    uint32_t count = pst_option_count(command->options);
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = fill_in(arguments, i);
    return rc != 0 ? rc : check_positionals(arguments);
}

/* ---- values by name ---- */

static const struct pst_option_value *find(const struct pst_arguments *arguments, const char *name)
{
    const struct pst_option *options = arguments->command->options;
    uint32_t index = 0;
    while (options[index].name && strcmp(options[index].name, name) != 0)
        index++;
    return options[index].name ? &arguments->values[index] : NULL;
}

static const struct pst_option_value *get(const struct pst_arguments *arguments, const char *name)
{
    const struct pst_option_value *value = find(arguments, name);
    assert(value); /* the command asks for an option that is not in its table */
    return value;
}

bool pst_argument_given(const struct pst_arguments *arguments, const char *name)
{
    return get(arguments, name)->given;
}

bool pst_argument_switch(const struct pst_arguments *arguments, const char *name)
{
    return get(arguments, name)->number != 0;
}

const char *pst_argument_text(const struct pst_arguments *arguments, const char *name)
{
    return get(arguments, name)->text[0];
}

uint64_t pst_argument_number(const struct pst_arguments *arguments, const char *name)
{
    return get(arguments, name)->number;
}

uint32_t pst_argument_count(const struct pst_arguments *arguments, const char *name)
{
    return get(arguments, name)->count;
}

const char *pst_argument_text_at(const struct pst_arguments *arguments, const char *name,
                                 uint32_t index)
{
    const struct pst_option_value *value = get(arguments, name);
    assert(index < value->count);
    return value->text[index];
}

bool pst_argument_json(const struct pst_arguments *arguments)
{
    const struct pst_option_value *value = find(arguments, "json");
    return value && value->number != 0;
}
