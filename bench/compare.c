/*
 * penstock-bench compare: two files of JSON lines that penstock-bench has printed, row by row, and
 * whether the second is better, worse, or not resolved. Called by bench.c, on the main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/figures.h"
#include "bench/line.h"
#include "bench/result.h"

#define ROWS_MAX 1024u

struct row {
    char key[RESULT_KEY_BYTES];
    double seconds[RESULT_ROUNDS_MAX];
    uint32_t count;
    uint64_t bytes; /* that a round moved; 0: not told */
};

/* Of the environment of a file's first run: what makes figures differ, if it does. */
static const char *const facts[] = {"host",   "kernel", "cpu",      "cpus", "numa_nodes", "memory",
                                    "commit", "build",  "penstock", "load", "places"};
#define FACTS (sizeof(facts) / sizeof(facts[0]))
#define FACT_BYTES 512u

struct rows {
    const char *path;
    char facts[FACTS][FACT_BYTES]; /* "": not told */
    struct row *rows;
    uint32_t count;
};

/* Runs of one key are put together: a file may hold several runs, one behind the other. */
static struct row *row_of(struct rows *rows, const char *key)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        if (strcmp(rows->rows[i].key, key) == 0)
            return &rows->rows[i];
    }
    if (rows->count == ROWS_MAX) {
        (void)fprintf(stderr, "penstock-bench: %s: more than %u different results\n", rows->path,
                      ROWS_MAX);
        exit(1);
    }
    struct row *row = &rows->rows[rows->count++];
    (void)snprintf(row->key, sizeof(row->key), "%s", key);
    return row;
}

static void read_facts(struct rows *rows, const char *line)
{
    for (uint32_t i = 0; i < FACTS; i++) {
        char *fact = rows->facts[i];
        if (fact[0] == '\0' && !line_text(line, facts[i], fact, FACT_BYTES) &&
            !line_texts(line, facts[i], fact, FACT_BYTES))
            fact[0] = '\0';
    }
}

static void read_result(struct rows *rows, const char *line, uint32_t number, const char *key)
{
    static double seconds[RESULT_ROUNDS_MAX];
    uint32_t count = line_figures(line, "seconds", seconds, RESULT_ROUNDS_MAX);
    if (count == 0) {
        (void)fprintf(stderr, "penstock-bench: %s: line %u: no times above 0: left out\n",
                      rows->path, number);
        return;
    }
    struct row *row = row_of(rows, key);
    row->bytes = line_number(line, "bytes");
    for (uint32_t i = 0; i < count && row->count < RESULT_ROUNDS_MAX; i++)
        row->seconds[row->count++] = seconds[i];
}

static bool read_rows(struct rows *rows)
{
    char *line = NULL, key[RESULT_KEY_BYTES];
    size_t room = 0;
    FILE *file = fopen(rows->path, "re");
    rows->rows = calloc(ROWS_MAX, sizeof(*rows->rows));
    bench_must(rows->rows, "memory");
    bench_must(file, rows->path);
    for (uint32_t number = 1; getline(&line, &room, file) > 0; number++) {
        if (line_text(line, "key", key, sizeof(key)))
            read_result(rows, line, number, key);
        else
            read_facts(rows, line);
    }
    free(line);
    (void)fclose(file);
    if (rows->count == 0)
        (void)fprintf(stderr, "penstock-bench: %s: no result of penstock-bench --json is in it\n",
                      rows->path);
    return rows->count > 0;
}

static double median_of(const struct row *row)
{
    return figures_median(row->seconds, row->count).median;
}

/* Rounds that moved other amounts are not one piece of work. What lives grows a little. */
static bool is_other_work(const struct row *a, const struct row *b)
{
    double ratio = (double)a->bytes / (double)b->bytes;
    return a->bytes > 0 && b->bytes > 0 && (ratio < 0.98 || ratio > 1.02);
}

static const char *verdict_of(const struct row *a, const struct row *b,
                              const struct figures_range *ratio)
{
    return is_other_work(a, b) ? "other bytes" : figures_verdict_text(figures_judge(ratio));
}

static void print_row(bool json, const struct row *a, const struct row *b)
{
    struct figures_range ratio = figures_unpaired(b->seconds, b->count, a->seconds, a->count);
    const char *verdict = verdict_of(a, b, &ratio);
    if (json) {
        printf("{\"message_type\":\"comparison\",\"key\":");
        facts_print_text(a->key);
        printf(",\"a_median_s\":%.9f,\"b_median_s\":%.9f,\"a_rounds\":%u,\"b_rounds\":%u,"
               "\"ratio\":%.4f,\"low\":%.4f,\"high\":%.4f,\"verdict\":\"%s\"}\n",
               median_of(a), median_of(b), a->count, b->count, ratio.median, ratio.low, ratio.high,
               verdict);
        return;
    }
    printf("%11.6f %11.6f  %6.3f ", median_of(a), median_of(b), ratio.median);
    if (ratio.high > 0)
        printf("[%6.3f, %6.3f]", ratio.low, ratio.high);
    else
        printf("%16s", "too few rounds");
    printf("  %-12s  %s\n", verdict, a->key);
}

static void print_difference(bool json, const char *fact, const char *a, const char *b)
{
    if (!json) {
        printf("%s: A %s, B %s\n", fact, *a ? a : "unknown", *b ? b : "unknown");
        return;
    }
    printf("{\"message_type\":\"difference\",\"fact\":\"%s\",\"a\":", fact);
    facts_print_text(a);
    printf(",\"b\":");
    facts_print_text(b);
    printf("}\n");
}

static void print_differences(bool json, const struct rows *a, const struct rows *b)
{
    for (uint32_t i = 0; i < FACTS; i++) {
        if (strcmp(a->facts[i], b->facts[i]) != 0)
            print_difference(json, facts[i], a->facts[i], b->facts[i]);
    }
}

static int print_all(bool json, struct rows *a, struct rows *b)
{
    uint32_t both = 0;
    print_differences(json, a, b);
    if (!json)
        printf("%11s %11s  %6s %-16s  %-12s\n", "A, s", "B, s", "B / A", "[95 %]", "B is");
    for (uint32_t i = 0; i < a->count; i++) {
        for (uint32_t k = 0; k < b->count; k++) {
            if (strcmp(a->rows[i].key, b->rows[k].key) != 0)
                continue;
            print_row(json, &a->rows[i], &b->rows[k]);
            both++;
        }
    }
    if (both < a->count || both < b->count)
        (void)fprintf(stderr, "penstock-bench: only in A: %u, only in B: %u\n", a->count - both,
                      b->count - both);
    return both > 0 ? 0 : 1;
}

int bench_compare(int argc, char **argv)
{
    static struct rows a, b;
    bool json = false;
    const struct choice choices[] = {
        {"json", CHOICE_SWITCH, NULL, &json, 0, "JSON lines on standard output"}, {0}};
    int rest, status = choices_parse(argc, argv, choices, "A B", &rest);
    if (status >= 0)
        return status;
    if (rest + 2 != argc) {
        (void)fprintf(stderr, "penstock-bench: compare takes two files, what penstock-bench --json "
                              "printed before and after\n");
        return 2;
    }
    a.path = argv[rest];
    b.path = argv[rest + 1];
    return read_rows(&a) && read_rows(&b) ? print_all(json, &a, &b) : 1;
}
