/*
 * The options of a subcommand as a table: read by getopt_long, printed by --help. Main thread.
 */
#ifndef PST_BENCH_CHOICES_H
#define PST_BENCH_CHOICES_H

#include <stdbool.h>
#include <stdint.h>

enum choice_kind {
    CHOICE_TEXT,    /* const char *: the argument itself */
    CHOICE_COUNT,   /* uint64_t from 1 to max */
    CHOICE_BYTES,   /* the same, with a suffix K, M or G if wanted */
    CHOICE_SECONDS, /* double from 0 to max */
    CHOICE_SWITCH,  /* bool */
};

struct choice {
    const char *name;
    enum choice_kind kind;
    const char *argument; /* for --help; NULL: a switch */
    void *value;          /* of the kind's type; has the default */
    uint64_t max;
    const char *help;
};

#define CHOICES_ROUNDS_MAX 512u

/* What all subcommands that measure have. */
struct common_choices {
    uint64_t repeat;  /* rounds that are counted, at least */
    double runtime_s; /* more rounds until they have taken so long */
    double ramp_s;    /* rounds that begin before do not count; nor does the first, unless it is to
                         be the only one */
    uint64_t seed;    /* of every order drawn by lot and of all data that is made */
    const char *cpus; /* "0-3,8": for the bench and what it starts; NULL: as it was started */
    const char *penstock;
    bool json;
};

/* Of one that takes no program. most, what: of its rounds, as they may be asked for. */
#define MEASURING_CHOICES(common, most, what)                                                      \
    {"repeat", CHOICE_COUNT, "N", &(common)->repeat, (most), what},                                \
        {"runtime",                                                                                \
         CHOICE_SECONDS,                                                                           \
         "S",                                                                                      \
         &(common)->runtime_s,                                                                     \
         1000000,                                                                                  \
         "of each row: more rounds until they have taken so long, or 512, or batches of them"},    \
        {"ramp",                                                                                   \
         CHOICE_SECONDS,                                                                           \
         "S",                                                                                      \
         &(common)->ramp_s,                                                                        \
         1000000,                                                                                  \
         "rounds that begin in the first S seconds do not count; nor does the first of several"},  \
        {"seed",          CHOICE_COUNT, "N",                                                       \
         &(common)->seed, UINT32_MAX,   "of the order of runs, and of data that is made"},         \
        {"cpus", CHOICE_TEXT, "LIST", &(common)->cpus, 0, "CPUs to run on, such as 0-3,8"},        \
    {                                                                                              \
        "json", CHOICE_SWITCH, NULL, &(common)->json, 0, "JSON lines on standard output"           \
    }

#define COMMON_CHOICES(common)                                                                     \
    {"penstock",          CHOICE_TEXT, "PATH",                                                     \
     &(common)->penstock, 0,           "program to measure; by default the one beside this"},      \
        MEASURING_CHOICES(common, CHOICES_ROUNDS_MAX, "rounds that count, at least")

#define COMMON_CHOICES_DEFAULT(rounds)                                                             \
    {                                                                                              \
        .repeat = (rounds), .seed = 1                                                              \
    }

/* The last of choices has no name; they and their values are borrowed until the end: facts.h prints
 * them. more: what else the subcommand takes, for --help, or NULL: it takes no other arguments. -1:
 * go on, *rest is the index of the first such argument; else the exit code, with everything said.
 */
int choices_parse(int argc, char **argv, const struct choice *choices, const char *more, int *rest);

/* The same of a subcommand that has the common ones, which it puts into force: it moves the process
 * to the CPUs, and finds the program. */
int choices_begin(int argc, char **argv, const struct choice *choices, const char *more, int *rest,
                  struct common_choices *common);

/* The same of a subcommand that takes one other argument, which *operand gets. */
int choices_begin_operand(int argc, char **argv, const struct choice *choices, const char *more,
                          const char **operand, struct common_choices *common);

/* "1,2,4" as numbers, "64K,1M" too, each from 1 to max. Returns how many, or 0: it is no such list,
 * or longer than room. */
uint32_t choices_numbers(const char *text, uint64_t max, uint64_t *numbers, uint32_t room);

/* The inverse of a size: 1048576 is "1M". */
#define SIZE_TEXT_BYTES 24u
const char *choices_size_text(uint64_t bytes, char text[SIZE_TEXT_BYTES]);

#endif
