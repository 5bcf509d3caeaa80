/*
 * penstock-bench sweep: backups of one source into one directory with every combination of options,
 * in turns, and which of them to use. Called by bench.c, on the main thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/line.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "penstock/limits.h"

#define LIST_MAX 16u
#define CONFIGURATIONS_MAX RESULT_ROUNDS_MAX /* a round has as many turns */

/* A knee is not slower than the fastest by more than this. */
#define KNEE 1.05

struct configuration {
    uint64_t ldms, chunk_bytes, depth;
    const char *direct, *compress;
    struct result result;
};

struct sweep {
    struct common_choices common;
    const char *source, *to, *ldms, *chunks, *depths, *directs, *codecs;
    bool is_cold;
    const char *place; /* in to: what a run writes */
    struct configuration *configurations;
    uint32_t count;
};

/* ---- the combinations ---- */

static uint64_t buffer_bytes(const struct configuration *configuration)
{
    return configuration->ldms * configuration->chunk_bytes * configuration->depth;
}

static void describe(const struct configuration *configuration, char *text, size_t bytes)
{
    char chunk[SIZE_TEXT_BYTES];
    (void)snprintf(text, bytes, "--ldms %llu --chunk %s --depth %llu --direct %s --compress %s",
                   (unsigned long long)configuration->ldms,
                   choices_size_text(configuration->chunk_bytes, chunk),
                   (unsigned long long)configuration->depth, configuration->direct,
                   configuration->compress);
}

static bool add(struct sweep *sweep, const struct configuration *one)
{
    if (sweep->count == CONFIGURATIONS_MAX)
        return false;
    struct configuration *added = &sweep->configurations[sweep->count++];
    char flags[RESULT_KEY_BYTES / 2];
    *added = *one;
    describe(added, flags, sizeof(flags));
    (void)snprintf(added->result.key, sizeof(added->result.key), "backup %s%s",
                   sweep->is_cold ? "cold " : "", flags);
    for (struct configuration *other = sweep->configurations; other < added; other++) {
        if (strcmp(other->result.key, added->result.key) == 0) { /* a list has a value twice */
            sweep->count--;
            break;
        }
    }
    return true;
}

/* Splits words at commas in place. */
static uint32_t split(const char *list, const char **words)
{
    char *copy = strdup(list), *rest = NULL;
    uint32_t count = 0;
    bench_must(copy, "memory");
    for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (count == LIST_MAX)
            return 0;
        words[count++] = word; /* for as long as the process runs */
    }
    return count;
}

/* The last two of the five. */
static bool combine_words(struct sweep *sweep, struct configuration *one)
{
    const char *directs[LIST_MAX], *codecs[LIST_MAX];
    uint32_t directs_count = split(sweep->directs, directs);
    uint32_t codecs_count = split(sweep->codecs, codecs);
    for (uint32_t d = 0; d < directs_count; d++) {
        for (uint32_t c = 0; c < codecs_count; c++) {
            one->direct = directs[d];
            one->compress = codecs[c];
            if (!add(sweep, one))
                return false;
        }
    }
    return directs_count > 0 && codecs_count > 0;
}

static bool combine(struct sweep *sweep)
{
    uint64_t ldms[LIST_MAX], chunks[LIST_MAX], depths[LIST_MAX];
    uint32_t ldms_count = choices_numbers(sweep->ldms, PST_LDMS_MAX, ldms, LIST_MAX);
    uint32_t chunks_count = choices_numbers(sweep->chunks, PST_CHUNK_BYTES_MAX, chunks, LIST_MAX);
    uint32_t depths_count = choices_numbers(sweep->depths, PST_DEPTH_MAX, depths, LIST_MAX);
    sweep->configurations = calloc(CONFIGURATIONS_MAX, sizeof(*sweep->configurations));
    bench_must(sweep->configurations, "memory");
    for (uint32_t i = 0; i < ldms_count * chunks_count * depths_count; i++) {
        struct configuration one = {.ldms = ldms[i / (chunks_count * depths_count)],
                                    .chunk_bytes = chunks[i / depths_count % chunks_count],
                                    .depth = depths[i % depths_count]};
        if (!combine_words(sweep, &one))
            return false;
    }
    return sweep->count > 0;
}

/* ---- a run ---- */

static int run_one(struct sweep *sweep, struct configuration *configuration, bool counts)
{
    char ldms[24], chunk[24], depth[24], output[1 << 16];
    struct program program = {0};
    struct program_cost cost;
    (void)snprintf(ldms, sizeof(ldms), "%llu", (unsigned long long)configuration->ldms);
    (void)snprintf(chunk, sizeof(chunk), "%llu", (unsigned long long)configuration->chunk_bytes);
    (void)snprintf(depth, sizeof(depth), "%llu", (unsigned long long)configuration->depth);
    const char *arguments[] = {sweep->common.penstock,
                               "backup",
                               "--quiet",
                               "--json",
                               "--source",
                               sweep->source,
                               "--to",
                               sweep->place,
                               "--ldms",
                               ldms,
                               "--chunk",
                               chunk,
                               "--depth",
                               depth,
                               "--direct",
                               configuration->direct,
                               "--compress",
                               configuration->compress,
                               "--pace", /* who listens to others measures them, too */
                               "max"};
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
        program_add(&program, arguments[i]);
    if (sweep->is_cold)
        program_forget_pages(strchr(sweep->source, ':') + 1);
    int code = program_run(&program, &cost, output, sizeof(output));
    if (code != 0)
        return code;
    if (counts)
        result_add(&configuration->result, &cost);
    configuration->result.bytes = line_number(line_last(output), "source_bytes");
    program_remove_tree(sweep->place);
    program_settle(sweep->to);
    return 0;
}

static int run_all(struct sweep *sweep)
{
    struct rounds rounds = rounds_of(&sweep->common, sweep->count);
    while (rounds_next(&rounds)) {
        for (uint32_t i = 0; i < sweep->count; i++) {
            int code = run_one(sweep, &sweep->configurations[rounds.order[i]], rounds.counts);
            if (code != 0)
                return code;
        }
    }
    return 0;
}

/* ---- the answer ---- */

static double median_of(const struct configuration *configuration)
{
    return figures_median(configuration->result.seconds, configuration->result.count).median;
}

static int by_speed(const void *left, const void *right)
{
    double a = median_of(left), b = median_of(right);
    return (a > b) - (a < b);
}

/* Fewer LDMs leave cores to the database, fewer buffers memory. */
static bool is_cheaper(const struct configuration *one, const struct configuration *other)
{
    if (one->ldms != other->ldms)
        return one->ldms < other->ldms;
    if (buffer_bytes(one) != buffer_bytes(other))
        return buffer_bytes(one) < buffer_bytes(other);
    return median_of(one) < median_of(other);
}

static const struct configuration *find_knee(const struct sweep *sweep)
{
    const struct configuration *fastest = &sweep->configurations[0], *knee = fastest;
    for (uint32_t i = 1; i < sweep->count; i++) {
        const struct configuration *one = &sweep->configurations[i];
        if (median_of(one) <= KNEE * median_of(fastest) && is_cheaper(one, knee))
            knee = one;
    }
    return knee;
}

static void print_ini(const struct configuration *configuration, const char *line_end)
{
    char chunk[SIZE_TEXT_BYTES];
    printf("[backup]%sldms = %llu%schunk = %s%sdepth = %llu%sdirect = %s%scompress = %s", line_end,
           (unsigned long long)configuration->ldms, line_end,
           choices_size_text(configuration->chunk_bytes, chunk), line_end,
           (unsigned long long)configuration->depth, line_end, configuration->direct, line_end,
           configuration->compress);
}

static void print_choice_json(const char *which, const struct configuration *configuration)
{
    char flags[RESULT_KEY_BYTES];
    describe(configuration, flags, sizeof(flags));
    printf("{\"message_type\":\"choice\",\"which\":\"%s\",\"flags\":\"%s\",\"ini\":\"", which,
           flags);
    print_ini(configuration, "\\n");
    printf("\\n\"}\n");
}

static void print_json(const struct sweep *sweep, const struct configuration *knee)
{
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct configuration *one = &sweep->configurations[i];
        result_print_json(&one->result);
        printf(",\"ldms\":%llu,\"chunk_bytes\":%llu,\"depth\":%llu,\"direct\":\"%s\","
               "\"compress\":\"%s\",\"buffer_bytes\":%llu",
               (unsigned long long)one->ldms, (unsigned long long)one->chunk_bytes,
               (unsigned long long)one->depth, one->direct, one->compress,
               (unsigned long long)buffer_bytes(one));
        result_end_json();
    }
    print_choice_json("fastest", &sweep->configurations[0]);
    print_choice_json("knee", knee);
}

static void print_row(const struct configuration *one, const struct configuration *fastest,
                      const char *mark)
{
    char chunk[SIZE_TEXT_BYTES], buffers[SIZE_TEXT_BYTES];
    const struct result *result = &one->result;
    struct figures_range ratio =
        figures_paired(result->seconds, fastest->result.seconds, result->count);
    double seconds = median_of(one), gib = (double)result->bytes / (double)(1u << 30);
    double cpu_s = gib > 0 ? figures_median(result->cpu_s, result->count).median / gib : 0;
    printf("%5llu %6s %6llu %7s %9s  %8s  %8.3f %7.0f  %9.3f  %5.2f", (unsigned long long)one->ldms,
           choices_size_text(one->chunk_bytes, chunk), (unsigned long long)one->depth, one->direct,
           one->compress, choices_size_text(buffer_bytes(one), buffers), seconds,
           (double)result->bytes / 1e6 / seconds, cpu_s, ratio.median);
    if (ratio.high > 0)
        printf(" [%.2f, %.2f]", ratio.low, ratio.high);
    printf("  %s\n", mark);
}

static void print_text(const struct sweep *sweep, const struct configuration *knee)
{
    char flags[RESULT_KEY_BYTES];
    const struct configuration *fastest = &sweep->configurations[0];
    printf("%5s %6s %6s %7s %9s  %8s  %8s %7s  %9s  %s\n", "LDMs", "chunk", "depth", "direct",
           "compress", "buffers", "seconds", "MB/s", "CPU s/GiB", "time / the fastest's");
    for (uint32_t i = 0; i < sweep->count; i++) {
        const struct configuration *one = &sweep->configurations[i];
        print_row(one, fastest,
                  one == knee ? (one == fastest ? "fastest, knee" : "knee")
                              : (one == fastest ? "fastest" : ""));
    }
    describe(knee, flags, sizeof(flags));
    printf(
        "\nThe knee has the fewest LDMs, then the least memory, of all that take no more than %.0f "
        "%% longer than the fastest:\n\n    penstock backup %s\n\nor in the file of --config, for "
        "a node below [node]:\n\n",
        100 * (KNEE - 1), flags);
    print_ini(knee, "\n");
    printf("\n");
    if (fastest->result.count < SAMPLES_BATCHES)
        printf(
            "\n%u rounds are few: with --repeat %u the order of near ones can be trusted more.\n",
            fastest->result.count, SAMPLES_BATCHES);
}

/* ---- the command line ---- */

static const char *powers_of_two(uint32_t cpus, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "1");
    for (uint32_t ldms = 2; ldms <= cpus && used < bytes - 8; ldms *= 2)
        used += (size_t)snprintf(text + used, bytes - used, ",%u", ldms);
    return text;
}

/* -1: go on; else the exit code. */
static int check(struct sweep *sweep)
{
    if (!sweep->source || !strchr(sweep->source, ':') || !sweep->to) {
        (void)fprintf(stderr, "penstock-bench: sweep needs --source KIND:… and --to DIR\n");
        return 2;
    }
    if (!combine(sweep)) {
        (void)fprintf(stderr,
                      "penstock-bench: a list is not one of numbers or words in their range, "
                      "or there are more than %u combinations\n",
                      CONFIGURATIONS_MAX);
        return 2;
    }
    program_catch_interrupts();
    sweep->place = program_scratch(sweep->to, NULL);
    return -1;
}

int bench_sweep(int argc, char **argv)
{
    char ldms[64];
    static struct sweep sweep = {.common = COMMON_CHOICES_DEFAULT(7),
                                 .chunks = "256K,1M,4M",
                                 .depths = "4,8,16",
                                 .directs = "auto",
                                 .codecs = "auto"};
    sweep.ldms = powers_of_two(bench_cpus(), ldms, sizeof(ldms));
    const struct choice choices[] = {
        {"source", CHOICE_TEXT, "KIND:PATH", &sweep.source, 0, "what to back up, as penstock's"},
        {"to", CHOICE_TEXT, "DIR", &sweep.to, 0,
         "where the backups go, each removed before the next one begins"},
        {"ldms", CHOICE_TEXT, "N,...", &sweep.ldms, 0, "numbers of LDMs"},
        {"chunk", CHOICE_TEXT, "SIZE,...", &sweep.chunks, 0, "payloads of one write"},
        {"depth", CHOICE_TEXT, "N,...", &sweep.depths, 0, "chunks in flight for each LDM"},
        {"direct", CHOICE_TEXT, "WORD,...", &sweep.directs, 0, "auto, on, off"},
        {"compress", CHOICE_TEXT, "WORD,...", &sweep.codecs, 0, "none, auto, lz4, zstd:LEVEL"},
        {"cold", CHOICE_SWITCH, NULL, &sweep.is_cold, 0,
         "read the source from its disk each time, not from the page cache"},
        COMMON_CHOICES(&sweep.common),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &sweep.common);
    if (status < 0)
        status = check(&sweep);
    if (status >= 0)
        return status;
    const char *source_path = strchr(sweep.source, ':') + 1;
    const char *places[] = {sweep.to, access(source_path, F_OK) == 0 ? source_path : NULL, NULL};
    facts_print(sweep.common.json, argv, places);
    if (run_all(&sweep) != 0)
        return 1;
    qsort(sweep.configurations, sweep.count, sizeof(sweep.configurations[0]), by_speed);
    (sweep.common.json ? print_json : print_text)(&sweep, find_knee(&sweep));
    return 0;
}
