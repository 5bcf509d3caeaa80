/*
 * penstock-bench live: how long the writers of a database wait while it is backed up, beside how
 * long they wait otherwise. Called by bench.c, on the main thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/latency.h"
#include "bench/live_writer.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "engine/base/clock.h"

#define MORE "[-- OPTION OF penstock backup...]"
#define WARM_UP_NS UINT64_C(300000000)
#define WINDOW_NS UINT64_C(100000000)
#define PERCENTILES 3u

enum phase { PHASE_ALONE, PHASE_BACKUP, PHASE_PEER, PHASES };

static const char *const phase_names[] = {"alone", "backup", "peer"};
static const uint32_t permyriads[PERCENTILES] = {5000, 9900, 9990};
static const char *const percentile_names[] = {"p50", "p99", "p99.9"};

struct live {
    struct common_choices common;
    const char *source, *to, *writer, *peer;
    uint64_t environment_bytes;
    double alone_s;
    char pristine[PROGRAM_PATH_BYTES + 16];
    char environment[PROGRAM_PATH_BYTES + 16]; /* a copy of it in each phase */
    char target[PROGRAM_PATH_BYTES + 16], spec[PROGRAM_PATH_BYTES + 32];
    struct program backup;
    struct live_commits *commits; /* of the own writer; else NULL */
    int latencies_fd;             /* of the command: what it has printed */
    struct result results[PHASES];
    struct latency latencies[PHASES];
    struct result percentiles[PHASES][PERCENTILES]; /* one figure a round */
};

/* ---- the writer ---- */

/* Each phase begins with the same pages: what a snapshot keeps from being reused makes a file grow.
 */
static int copy_environment(const struct live *live)
{
    char output[16];
    struct program_cost cost;
    struct program copy = {0};
    const char *arguments[] = {"cp", "-a", live->pristine, live->environment};
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
        program_add(&copy, arguments[i]);
    int code = program_run(&copy, &cost, output, sizeof(output));
    program_settle(live->to);
    return code;
}

static pid_t writer_start(struct live *live)
{
    if (live->commits) {
        live->commits->count = 0;
        return live_writer_start(live->environment, live->commits, live->common.seed);
    }
    struct program program = {0};
    bench_must(ftruncate(live->latencies_fd, 0) == 0 && lseek(live->latencies_fd, 0, SEEK_SET) == 0,
               "latencies");
    program_add(&program, "/bin/sh");
    program_add(&program, "-c");
    program_add(&program, live->writer);
    return program_start(&program, live->latencies_fd);
}

/* How much it has noted so far: commits, or bytes of lines. */
static uint64_t writer_position(const struct live *live)
{
    struct stat status;
    if (live->commits)
        return __atomic_load_n(&live->commits->count, __ATOMIC_ACQUIRE);
    bench_must(fstat(live->latencies_fd, &status) == 0, "latencies");
    return (uint64_t)status.st_size;
}

/* The command may be a shell's child of a child: it is in a group of its own. */
static void writer_stop(struct live *live, pid_t writer)
{
    int status;
    errno = ECHILD;
    bench_must(waitpid(writer, &status, WNOHANG) == 0, "the writer has ended by itself");
    (void)kill(live->commits ? writer : -writer, SIGKILL);
    (void)waitpid(writer, &status, 0);
}

static void take_lines(const struct live *live, uint64_t from, uint64_t to, struct latency *latency)
{
    char *text =
        to > from ? mmap(NULL, to + 1, PROT_READ, MAP_PRIVATE, live->latencies_fd, 0) : MAP_FAILED;
    if (text == MAP_FAILED)
        return;
    for (uint64_t at = from; at < to;) {
        const char *end = memchr(text + at, '\n', to - at);
        char *after;
        double us = end ? strtod(text + at, &after) : -1;
        if (!end)
            break;
        if (us >= 0 && us < 1e12 && after > text + at && after <= end)
            latency_add(latency, (uint64_t)(us * 1e3));
        at = (uint64_t)(end - text) + 1;
    }
    (void)munmap(text, to + 1);
}

static void print_window(enum phase phase, uint32_t round, double at_s,
                         const struct latency *window)
{
    double p50 = latency_us(window, 5000);
    char median[32] = "null";
    if (p50 >= 0)
        (void)snprintf(median, sizeof(median), "%.3f", p50);
    printf("{\"message_type\":\"window\",\"phase\":\"%s\",\"round\":%u,\"at_s\":%.3f,"
           "\"commits\":%llu,\"p50_us\":%s,\"max_us\":%.3f}\n",
           phase_names[phase], round, at_s, (unsigned long long)window->count, median,
           (double)window->max_ns / 1e3);
}

/* For a picture of how it went. */
static void print_windows(const struct live *live, enum phase phase, uint32_t round, uint64_t from,
                          uint64_t to)
{
    static struct latency window;
    const struct live_commit *commits = live->commits->commits;
    uint64_t start_ns = commits[from].end_ns, next_ns = start_ns + WINDOW_NS;
    window = (struct latency){0};
    for (uint64_t i = from; i < to; i++) {
        if (commits[i].end_ns >= next_ns && window.count > 0) {
            print_window(phase, round, (double)(next_ns - start_ns) / 1e9, &window);
            window = (struct latency){0};
        }
        while (commits[i].end_ns >= next_ns)
            next_ns += WINDOW_NS;
        latency_add(&window, commits[i].ns);
    }
    print_window(phase, round, (double)(next_ns - start_ns) / 1e9, &window);
}

/* ---- a phase ---- */

static void sleep_ns(uint64_t ns)
{
    struct timespec span = {.tv_sec = (time_t)(ns / 1000000000),
                            .tv_nsec = (long)(ns % 1000000000)};
    while (nanosleep(&span, &span) < 0 && !program_is_interrupted())
        bench_must(errno == EINTR, "nanosleep");
}

static int work(struct live *live, enum phase phase, struct program_cost *cost)
{
    char output[4096];
    struct program peer = {0};
    uint64_t began_ns = pst_monotonic_ns();
    int code = 0;
    switch (phase) {
    case PHASE_ALONE:
        sleep_ns((uint64_t)(live->alone_s * 1e9));
        *cost = (struct program_cost){.seconds = (double)(pst_monotonic_ns() - began_ns) / 1e9};
        return program_is_interrupted() ? 130 : 0;
    case PHASE_BACKUP:
        code = program_run(&live->backup, cost, output, sizeof(output));
        break;
    default:
        program_add(&peer, "/bin/sh");
        program_add(&peer, "-c");
        program_add(&peer, live->peer);
        bench_must(mkdir(live->target, 0700) == 0, live->target);
        code = program_run(&peer, cost, output, sizeof(output));
    }
    return code;
}

static void note(struct live *live, enum phase phase, const struct program_cost *cost,
                 const struct latency *latency)
{
    result_add(&live->results[phase], cost);
    latency_join(&live->latencies[phase], latency);
    for (uint32_t i = 0; i < PERCENTILES; i++) {
        struct program_cost figure = {.seconds = latency_us(latency, permyriads[i]) / 1e6};
        if (figure.seconds >= 0)
            result_add(&live->percentiles[phase][i], &figure);
    }
}

static int run_phase(struct live *live, enum phase phase, const struct rounds *rounds)
{
    static struct latency latency;
    struct program_cost cost;
    int copied = live->commits ? copy_environment(live) : 0;
    if (copied != 0)
        return copied; /* what is there of it goes with the scratch */
    pid_t writer = writer_start(live);
    latency = (struct latency){0};
    sleep_ns(WARM_UP_NS);
    uint64_t from = writer_position(live);
    int code = work(live, phase, &cost);
    uint64_t to = writer_position(live);
    writer_stop(live, writer);
    for (uint64_t i = from; live->commits && i < to; i++)
        latency_add(&latency, live->commits->commits[i].ns);
    if (!live->commits)
        take_lines(live, from, to, &latency);
    if (code == 0 && rounds->counts)
        note(live, phase, &cost, &latency);
    if (code == 0 && rounds->counts && live->common.json && live->commits && to > from)
        print_windows(live, phase, rounds->counted, from, to);
    program_remove_tree(live->target);
    if (live->commits)
        program_remove_tree(live->environment);
    program_settle(live->to);
    return code;
}

static int run_all(struct live *live)
{
    uint32_t phases = live->peer ? PHASES : PHASE_PEER;
    struct rounds rounds = rounds_of(&live->common, phases);
    while (rounds_next(&rounds)) {
        for (uint32_t i = 0; i < phases; i++) {
            int code = run_phase(live, (enum phase)rounds.order[i], &rounds);
            if (code != 0)
                return 1;
        }
    }
    return 0;
}

/* ---- the answer ---- */

static void print_phase(struct live *live, enum phase phase)
{
    struct result *result = &live->results[phase];
    if (!live->common.json) {
        char what[64];
        (void)snprintf(what, sizeof(what), "%-7s %3u x %6.2f s", phase_names[phase], result->count,
                       figures_median(result->seconds, result->count).median);
        latency_print_text(what, &live->latencies[phase]);
        return;
    }
    result_print_json(result);
    latency_print_json(&live->latencies[phase]);
    result_end_json();
    for (uint32_t i = 0; i < PERCENTILES; i++) {
        if (live->percentiles[phase][i].count == 0)
            continue;
        result_print_json(&live->percentiles[phase][i]);
        result_end_json();
    }
}

static void print_all(struct live *live)
{
    for (uint32_t i = 0; i < PHASES; i++) {
        if (live->results[i].count > 0)
            print_phase(live, (enum phase)i);
    }
    if (!live->common.json)
        printf("\nA percentile is left out where fewer than %u commits lie beyond it.\n",
               LATENCY_BEYOND);
}

/* ---- the command line ---- */

static void set_up(struct live *live, char **more, int more_count)
{
    const char *scratch = program_scratch(live->to, NULL);
    (void)snprintf(live->target, sizeof(live->target), "%s/target", scratch);
    (void)snprintf(live->pristine, sizeof(live->pristine), "%s/pristine", scratch);
    (void)snprintf(live->environment, sizeof(live->environment), "%s/environment", scratch);
    (void)snprintf(live->spec, sizeof(live->spec), "lmdb:%s", live->environment);
    if (!live->writer) {
        live->source = live->spec;
        live->commits = live_commits_map();
        live_environment_make(live->pristine, live->environment_bytes, live->common.seed);
    } else {
        live->latencies_fd = memfd_create("latencies", MFD_CLOEXEC);
        bench_must(live->latencies_fd >= 0, "latencies");
    }
    (void)setenv("SOURCE", strchr(live->source, ':') + 1, 1);
    (void)setenv("TARGET", live->target, 1);
    const char *arguments[] = {live->common.penstock, "backup", "--quiet",   "--json", "--source",
                               live->source,          "--to",   live->target};
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++)
        program_add(&live->backup, arguments[i]);
    program_add_all(&live->backup, more, more_count);
    for (uint32_t i = 0; i < PHASES; i++) {
        (void)snprintf(live->results[i].key, RESULT_KEY_BYTES, "live %s", phase_names[i]);
        for (uint32_t k = 0; k < PERCENTILES; k++)
            (void)snprintf(live->percentiles[i][k].key, RESULT_KEY_BYTES, "live %s %s",
                           phase_names[i], percentile_names[k]);
    }
}

int bench_live(int argc, char **argv)
{
    static struct live live = {.common = COMMON_CHOICES_DEFAULT(8),
                               .environment_bytes = 256u << 20,
                               .alone_s = 2,
                               .latencies_fd = -1};
    const struct choice choices[] = {
        {"to", CHOICE_TEXT, "DIR", &live.to, 0,
         "where the backups go, and, without --writer, an LMDB environment that is made"},
        {"bytes", CHOICE_BYTES, "SIZE", &live.environment_bytes, UINT64_C(1) << 40,
         "of that environment, which one process writes without a pause"},
        {"writer", CHOICE_TEXT, "COMMAND", &live.writer, 0,
         "instead: prints a latency in microseconds for each transaction, a line each, unbuffered"},
        {"source", CHOICE_TEXT, "KIND:PATH", &live.source, 0, "with --writer: what it writes to"},
        {"peer", CHOICE_TEXT, "COMMAND", &live.peer, 0,
         "another way to back up $SOURCE, to be compared: into the directory $TARGET"},
        {"alone", CHOICE_SECONDS, "S", &live.alone_s, 3600,
         "seconds of a phase without a backup, by default 2"},
        COMMON_CHOICES(&live.common),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, MORE, &rest, &live.common);
    if (status >= 0)
        return status;
    if (!live.to || !live.writer != !live.source || (live.source && !strchr(live.source, ':'))) {
        (void)fprintf(stderr, "penstock-bench: live needs --to, and --writer and --source together "
                              "or neither\n");
        return 2;
    }
    const char *path = live.source ? strchr(live.source, ':') + 1 : NULL;
    const char *places[] = {live.to, path && access(path, F_OK) == 0 ? path : NULL, NULL};
    facts_print(live.common.json, argv, places);
    program_catch_interrupts();
    set_up(&live, argv + rest, argc - rest);
    status = run_all(&live);
    if (status == 0)
        print_all(&live);
    return status;
}
