/*
 * penstock-bench scan, restore, verify: whole runs of penstock on what the operator has, round
 * after round. Called by bench.c, on the main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/line.h"
#include "bench/result.h"
#include "bench/rounds.h"

#define MORE "[-- OPTION OF penstock...]"

struct whole {
    struct common_choices common;
    const char *from; /* what is read: a source, or a directory of backups */
    const char *path; /* of it */
    const char *to;   /* restore: where its target is made */
    bool is_cold;
    const char *target;
    struct program program;
    struct result result;
};

/* Each command reports what it went over under a name of its own. */
static uint64_t bytes_of(const char *output)
{
    const char *summary = line_last(output);
    uint64_t bytes = line_number(summary, "source_bytes");
    return bytes > 0 ? bytes : line_number(summary, "file_bytes");
}

static int run_one(struct whole *whole, bool counts)
{
    char output[1 << 16];
    struct program_cost cost;
    if (whole->is_cold)
        program_forget_pages(whole->path);
    int code = program_run(&whole->program, &cost, output, sizeof(output));
    if (code != 0)
        return code;
    if (counts)
        result_add(&whole->result, &cost);
    whole->result.bytes = bytes_of(output);
    if (whole->to) {
        program_remove_tree(whole->target);
        program_settle(whole->to);
    }
    return 0;
}

static int run(struct whole *whole)
{
    struct rounds rounds = rounds_of(&whole->common, 1);
    while (rounds_next(&rounds)) {
        int code = run_one(whole, rounds.counts);
        if (code != 0)
            return 1;
    }
    if (whole->common.json) {
        result_print_json(&whole->result);
        result_end_json();
        return 0;
    }
    result_print_heading();
    result_print_text(&whole->result);
    return 0;
}

/* The key names what was run, but not the scratch directories. */
static void set_up(struct whole *whole, const char *command, char **more, int more_count)
{
    char *key = whole->result.key;
    size_t used =
        (size_t)snprintf(key, RESULT_KEY_BYTES, "%s%s", command, whole->is_cold ? " cold" : "");
    for (int i = 0; i < more_count && used < RESULT_KEY_BYTES; i++)
        used += (size_t)snprintf(key + used, RESULT_KEY_BYTES - used, " %s", more[i]);
    program_add_all(&whole->program, more, more_count);
    if (!whole->to)
        return;
    whole->target = program_scratch(whole->to, NULL);
    program_add(&whole->program, "--target");
    program_add(&whole->program, whole->target);
}

static int measure(struct whole *whole, const char *command, char **argv, char **more,
                   int more_count)
{
    const char *places[3] = {0};
    uint32_t count = 0;
    struct stat status;
    if (whole->path && stat(whole->path, &status) == 0)
        places[count++] = whole->path;
    places[count] = whole->to;
    program_catch_interrupts();
    set_up(whole, command, more, more_count);
    facts_print(whole->common.json, argv, places);
    return run(whole);
}

static int missing(const char *name)
{
    (void)fprintf(stderr, "penstock-bench: %s is missing\n", name);
    return 2;
}

static void begin(struct whole *whole, const char *command)
{
    program_add(&whole->program, whole->common.penstock);
    program_add(&whole->program, command);
    program_add(&whole->program, "--quiet");
    program_add(&whole->program, "--json");
}

#define COLD(whole)                                                                                \
    {                                                                                              \
        "cold", CHOICE_SWITCH, NULL, &(whole)->is_cold, 0,                                         \
            "read from the disk each time, not from the page cache"                                \
    }

int bench_scan(int argc, char **argv)
{
    static struct whole whole = {.common = COMMON_CHOICES_DEFAULT(20)};
    const struct choice choices[] = {
        {"source", CHOICE_TEXT, "KIND:PATH", &whole.from, 0, "what to read, as penstock's"},
        COLD(&whole),
        COMMON_CHOICES(&whole.common),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, MORE, &rest, &whole.common);
    if (status >= 0)
        return status;
    if (!whole.from)
        return missing("--source");
    whole.path = strchr(whole.from, ':') ? strchr(whole.from, ':') + 1 : whole.from;
    begin(&whole, "backup");
    program_add(&whole.program, "--source");
    program_add(&whole.program, whole.from);
    program_add(&whole.program, "--to");
    program_add(&whole.program, "null:");
    return measure(&whole, "scan", argv, argv + rest, argc - rest);
}

int bench_verify(int argc, char **argv)
{
    static struct whole whole = {.common = COMMON_CHOICES_DEFAULT(20)};
    const struct choice choices[] = {{"from", CHOICE_TEXT, "DIR", &whole.from, 0,
                                      "directory of backups; the newest is verified"},
                                     COLD(&whole),
                                     COMMON_CHOICES(&whole.common),
                                     {0}};
    int rest, status = choices_begin(argc, argv, choices, MORE, &rest, &whole.common);
    if (status >= 0)
        return status;
    if (!whole.from)
        return missing("--from");
    whole.path = whole.from;
    begin(&whole, "verify");
    program_add(&whole.program, "--from");
    program_add(&whole.program, whole.from);
    return measure(&whole, "verify", argv, argv + rest, argc - rest);
}

int bench_restore(int argc, char **argv)
{
    static struct whole whole = {.common = COMMON_CHOICES_DEFAULT(20)};
    const struct choice choices[] = {
        {"from", CHOICE_TEXT, "DIR", &whole.from, 0,
         "directory of backups; the newest is restored"},
        {"to", CHOICE_TEXT, "DIR", &whole.to, 0,
         "where it is restored to, into a directory that is removed each time"},
        COLD(&whole),
        COMMON_CHOICES(&whole.common),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, MORE, &rest, &whole.common);
    if (status >= 0)
        return status;
    if (!whole.from || !whole.to)
        return missing(whole.from ? "--to" : "--from");
    whole.path = whole.from;
    begin(&whole, "restore");
    program_add(&whole.program, "--from");
    program_add(&whole.program, whole.from);
    return measure(&whole, "restore", argv, argv + rest, argc - rest);
}

int bench_run(int argc, char **argv)
{
    static struct whole whole = {.common = COMMON_CHOICES_DEFAULT(20)};
    const struct choice choices[] = {COMMON_CHOICES(&whole.common), {0}};
    whole.path = "."; /* where the command runs */
    int rest, status = choices_begin(argc, argv, choices, "-- COMMAND...", &rest, &whole.common);
    if (status >= 0)
        return status;
    if (rest == argc)
        return missing("the command");
    return measure(&whole, "run", argv, argv + rest, argc - rest);
}
