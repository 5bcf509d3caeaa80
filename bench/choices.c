/* The command lines of the subcommands, from tables. Called on the main thread, at the start. */
#include "bench/choices.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/facts.h"
#include "bench/program.h"

#define CHOICES_MAX 40u
#define CHOICE_FIRST 256 /* what getopt_long returns of the first one */
#define REPEAT "repeat"

static void print_usage(FILE *out, const char *name, const struct choice *choices, const char *more)
{
    (void)fprintf(out, "usage: penstock-bench %s [OPTION]...%s%s\n", name, more ? " " : "",
                  more ? more : "");
    for (const struct choice *choice = choices; choice->name; choice++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s%s%s", choice->name, choice->argument ? " " : "",
                       choice->argument ? choice->argument : "");
        (void)fprintf(out, "  %-20s  %s", left, choice->help);
        if (choice->kind == CHOICE_COUNT || choice->kind == CHOICE_BYTES) {
            char size[SIZE_TEXT_BYTES];
            uint64_t number = *(const uint64_t *)choice->value;
            if (number > 0)
                (void)fprintf(out, " (default: %s)", choices_size_text(number, size));
        }
        if (strcmp(choice->name, REPEAT) == 0)
            (void)fprintf(out, "; --rounds is another name of it");
        if (choice->kind == CHOICE_TEXT && *(const char *const *)choice->value)
            (void)fprintf(out, " (default: %s)", *(const char *const *)choice->value);
        (void)fputc('\n', out);
    }
}

static bool parse_number(const char *text, const char **end, uint64_t max, uint64_t *number)
{
    static const char suffixes[] = "KMG";
    char *after;
    errno = 0;
    unsigned long long value = strtoull(text, &after, 10);
    const char *suffix = *after ? strchr(suffixes, *after) : NULL;
    unsigned shift = suffix ? 10 * (unsigned)(suffix - suffixes + 1) : 0;
    *end = suffix ? after + 1 : after;
    *number = (uint64_t)value << shift;
    return !errno && after != text && *text != '-' && value > 0 && value <= max >> shift;
}

uint32_t choices_numbers(const char *text, uint64_t max, uint64_t *numbers, uint32_t room)
{
    for (uint32_t count = 0; count < room; text++) {
        if (!parse_number(text, &text, max, &numbers[count]))
            return 0;
        count++;
        if (*text != ',')
            return *text ? 0 : count;
    }
    return 0;
}

const char *choices_size_text(uint64_t bytes, char text[SIZE_TEXT_BYTES])
{
    static const char *const suffixes[] = {"", "K", "M", "G"};
    uint32_t unit = 0;
    while (unit < 3 && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, SIZE_TEXT_BYTES, "%llu%s", (unsigned long long)bytes, suffixes[unit]);
    return text;
}

static bool set(const struct choice *choice, const char *argument)
{
    const char *end;
    char *after;
    switch (choice->kind) {
    case CHOICE_TEXT: /* not "": the path of a variable that is not set would be the root */
        *(const char **)choice->value = argument;
        return *argument != '\0';
    case CHOICE_COUNT:
    case CHOICE_BYTES:
        return parse_number(argument, &end, choice->max, choice->value) && !*end;
    case CHOICE_SECONDS:
        *(double *)choice->value = strtod(argument, &after);
        return after != argument && !*after && *(double *)choice->value >= 0 &&
               *(double *)choice->value <= (double)choice->max;
    case CHOICE_SWITCH:
        *(bool *)choice->value = true;
        return true;
    }
    return false;
}

static int refer_to_help(const char *name)
{
    (void)fprintf(stderr, "`penstock-bench %s --help` lists the options\n", name);
    return 2;
}

/* options: all zeros, CHOICES_MAX + 3 of them. */
static void list_options(const struct choice *choices, struct option *options)
{
    uint32_t count = 0;
    *options++ = (struct option){"help", no_argument, NULL, 'h'};
    for (const struct choice *choice = choices; choice->name; choice++, count++) {
        bench_must(count < CHOICES_MAX, "a table of options");
        int has_argument = choice->kind == CHOICE_SWITCH ? no_argument : required_argument;
        *options++ = (struct option){choice->name, has_argument, NULL, CHOICE_FIRST + (int)count};
        if (strcmp(choice->name, REPEAT) == 0)
            *options++ = (struct option){"rounds", has_argument, NULL, CHOICE_FIRST + (int)count};
    }
}

/* order: "+": what is no option ends them, "": they may stand behind it, too. */
static int parse(int argc, char **argv, const struct choice *choices, const char *more,
                 const char *order, int *rest)
{
    struct option options[CHOICES_MAX + 3] = {0};
    list_options(choices, options);
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, order, options, NULL)) != -1) {
        if (option == 'h') {
            print_usage(stdout, argv[0], choices, more);
            return 0;
        }
        if (option != '?' && set(&choices[option - CHOICE_FIRST], optarg))
            continue;
        if (option != '?')
            (void)fprintf(stderr, "penstock-bench: --%s: cannot use '%s'\n",
                          choices[option - CHOICE_FIRST].name, optarg);
        return refer_to_help(argv[0]);
    }
    *rest = optind;
    if (more || optind == argc)
        return -1;
    (void)fprintf(stderr, "penstock-bench: %s takes no '%s'\n", argv[0], argv[optind]);
    return refer_to_help(argv[0]);
}

/* Of the last subcommand that was parsed: there is one in a process. */
static const struct choice *current;

static void print_configuration(void)
{
    const char *separator = "";
    for (const struct choice *choice = current; choice->name; choice++) {
        const char *text = choice->kind == CHOICE_TEXT ? *(const char **)choice->value : NULL;
        uint64_t number = 0;
        printf("%s\"--%s\":", separator, choice->name);
        separator = ",";
        if (choice->kind == CHOICE_COUNT || choice->kind == CHOICE_BYTES)
            number = *(const uint64_t *)choice->value;
        if (text)
            facts_print_text(text);
        else if (choice->kind == CHOICE_SWITCH)
            printf(*(const bool *)choice->value ? "true" : "false");
        else if (choice->kind == CHOICE_SECONDS)
            printf("%g", *(const double *)choice->value);
        else if (number > 0)
            printf("%llu", (unsigned long long)number);
        else
            printf("null"); /* what it stands for, --help says */
    }
}

int choices_parse(int argc, char **argv, const struct choice *choices, const char *more, int *rest)
{
    return parse(argc, argv, choices, more, "+", rest);
}

static bool parse_cpus(const char *text, cpu_set_t *cpus)
{
    CPU_ZERO(cpus);
    do {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (end == text)
            return false;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
        }
        if (end == text || first > last || last >= CPU_SETSIZE)
            return false;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, cpus);
        text = end;
    } while (*text++ == ',');
    return !text[-1];
}

/* The kernel leaves out what the process cannot have, and says nothing. */
static bool move_to(const char *list)
{
    cpu_set_t cpus, got;
    return parse_cpus(list, &cpus) && sched_setaffinity(0, sizeof(cpus), &cpus) == 0 &&
           sched_getaffinity(0, sizeof(got), &got) == 0 && CPU_EQUAL(&cpus, &got);
}

/* -1, or the exit code. */
static int put_into_force(const struct choice *choices, struct common_choices *common)
{
    static char beside[PROGRAM_PATH_BYTES];
    current = choices;
    facts_note_configuration(print_configuration);
    if (common->penstock)
        facts_note_program(common->penstock);
    else
        common->penstock = program_beside("penstock", beside);
    if (!common->cpus || move_to(common->cpus))
        return -1;
    (void)fprintf(stderr, "penstock-bench: --cpus: cannot run on all of '%s'\n", common->cpus);
    return 2;
}

int choices_begin(int argc, char **argv, const struct choice *choices, const char *more, int *rest,
                  struct common_choices *common)
{
    int status = choices_parse(argc, argv, choices, more, rest);
    return status >= 0 ? status : put_into_force(choices, common);
}

int choices_begin_operand(int argc, char **argv, const struct choice *choices, const char *more,
                          const char **operand, struct common_choices *common)
{
    int rest, status = parse(argc, argv, choices, more, "", &rest);
    if (status >= 0)
        return status;
    *operand = argv[rest];
    if (rest + 1 == argc)
        return put_into_force(choices, common);
    (void)fprintf(stderr, "penstock-bench: %s takes one %s\n", argv[0], more);
    return refer_to_help(argv[0]);
}
