/*
 * sim [--swarm] [--seeds A..B]   a campaign: every seed, then every fault must have fired
 * sim [--swarm] --seed N         one seed again, told event by event
 * sim --plants                   every planted bug is found, by the checker that should
 * sim --invariants               every bug planted into a machine's state falls to an invariant
 * sim --plant NAME …             the same as above with a planted bug
 * sim --count                    how many signals a backup takes, by the size of the cluster
 * sim --scenario FILE            tells a scenario
 * sim --scenarios DIR            every scenario: its checkers, and its story as in NAME.trace
 *
 * --swarm: size of the cluster and faults differ from seed to seed; else 3 nodes of 2 LDMs.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "penstock/log.h"
#include "tests/sim/count.h"
#include "tests/sim/invariants.h"
#include "tests/sim/scenarios.h"
#include "tests/sim/sim.h"

#define SEEDS_DEFAULT 10000u
#define PLANT_SEEDS_MAX 10000u /* each planted bug is found within so many */

static struct sim sim;

/* An assertion of a machine fails: say of which seed. */
static void on_abort(int number)
{
    char text[64];
    int bytes = snprintf(text, sizeof(text), "the seed is %" PRIu64 "\n", sim.seed);
    (void)number;
    if (write(STDERR_FILENO, text, (size_t)bytes) < 0)
        _exit(1);
}

/* What the product logs is part of the story. */
static void tell_log(void *context, enum pst_log_level level, const char *message)
{
    (void)context;
    (void)level;
    sim_tell(&sim, "log: %s", message);
}

struct job {
    uint64_t first;
    uint64_t last;
    bool is_one;
    bool swarm;
    bool plants;
    bool invariants;
    bool count;
    enum sim_plant plant;
    const char *scenario;
    const char *scenarios;
};

static bool run(const struct job *job, uint64_t seed, FILE *story)
{
    struct sim_options options;
    sim_options_of_seed(&options, seed, job->swarm);
    options.plant = job->plant;
    options.story = story;
    return sim_run(&sim, seed, &options, NULL);
}

static void add(struct sim_statistics *sum, const struct sim_statistics *more)
{
    const uint64_t *from = (const uint64_t *)more;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(uint64_t); i++)
        ((uint64_t *)sum)[i] += from[i];
}

static uint32_t never(const char *what, const char *name, uint64_t hits)
{
    printf("| %s %s | %" PRIu64 " |\n", what, name, hits);
    return hits == 0;
}

/* What never happened was not tested. Returns how much of it there is. */
static uint32_t report_coverage(const struct sim_statistics *sum)
{
    uint32_t missing = 0;
    puts("| what | hits |\n|---|---|");
    for (int i = 0; i < SIM_FAULTS; i++)
        missing += never("fault", sim_fault_names[i], sum->faults[i]);
    for (int i = 0; i < PST_MASTER_STATES; i++) {
        const char *state = pst_master_state_name((enum pst_master_state)i);
        missing += never("client abort, master in", state, sum->aborts_in[i]);
        missing += never("node dies, its master in", state, sum->crashes_in[i]);
    }
    missing += never("backup", "complete", sum->complete);
    missing += never("backup", "aborted", sum->aborted);
    missing += never("backup", "refused", sum->refused);
    missing += never("backup", "whose client never heard its end", sum->untold);
    missing += never("node", "in doubt, its master dead", sum->in_doubt);
    missing += never("doubt", "settled: committed", sum->settled);
    missing += never("doubt", "settled: aborted", sum->given_up);
    missing += never("sender", "released by the next DEFINE", sum->stale_senders);
    missing += never("answer", "late, twice or forged, ignored", sum->stray_answers);
    return missing;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static int run_campaign(const struct job *job)
{
    struct sim_statistics sum = {0};
    uint64_t failed = 0;
    uint64_t count = job->last - job->first + 1;
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    printf("seeds %" PRIu64 "..%" PRIu64 "\n", job->first, job->last);
    for (uint64_t seed = job->first; seed <= job->last; seed++) {
        if (!run(job, seed, NULL)) {
            printf("seed %" PRIu64 ": %s: %s\n  to see it: sim%s --seed %" PRIu64 "\n", seed,
                   sim_checker_names[sim.checker], sim.failure, job->swarm ? " --swarm" : "", seed);
            failed++;
        }
        add(&sum, &sim.statistics);
    }
    double seconds = seconds_since(&start);
    uint32_t missing = report_coverage(&sum);
    printf("%" PRIu64 " events, %.0f seconds, %.0f seeds/s\n", sum.events, seconds,
           (double)count / seconds);
    if (missing != 0)
        printf("%u things never happened in this campaign: it has not tested them\n", missing);
    printf("%" PRIu64 " passed, %" PRIu64 " failed, 0 skipped\n", count - failed,
           failed + (missing != 0));
    return failed != 0 || missing != 0;
}

static int run_one(const struct job *job)
{
    printf("seed %" PRIu64 "\n", job->first);
    bool passed = run(job, job->first, stdout);
    if (passed)
        printf("seed %" PRIu64 ": passed\n", job->first);
    else
        printf("seed %" PRIu64 ": %s: %s\n", job->first, sim_checker_names[sim.checker],
               sim.failure);
    return !passed;
}

/* The first seed by which the checker that should finds the bug; 0: none. *others: findings of
 * other checkers before. */
static uint64_t hunt(const struct job *job, uint64_t *others)
{
    *others = 0;
    for (uint64_t seed = 1; seed <= PLANT_SEEDS_MAX; seed++) {
        if (run(job, seed, NULL))
            continue;
        if (sim.planted && sim.checker == sim_plant_checkers[job->plant])
            return seed;
        ++*others;
    }
    return 0;
}

/* Shows that the checkers can fail. */
static int run_plants(struct job job)
{
    int unseen = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("| planted bug | what is wrong | checker | seed |\n|---|---|---|---|");
    for (int plant = SIM_PLANT_NONE + 1; plant < SIM_PLANTS; plant++) {
        job.plant = (enum sim_plant)plant;
        uint64_t others;
        uint64_t seed = hunt(&job, &others);
        printf("| %s | %s | %s | %" PRIu64 " |\n", sim_plant_names[plant],
               sim_plant_meanings[plant], sim_checker_names[sim_plant_checkers[plant]], seed);
        if (seed == 0)
            printf("NOT FOUND by that checker in %u seeds; others found something in %" PRIu64 "\n",
                   PLANT_SEEDS_MAX, others);
        unseen += seed == 0;
    }
    printf("%d passed, %d failed, 0 skipped\n", SIM_PLANTS - 1 - unseen, unseen);
    return unseen != 0;
}

static enum sim_plant plant_of(const char *name)
{
    for (int i = 0; i < SIM_PLANTS; i++) {
        if (strcmp(name, sim_plant_names[i]) == 0)
            return (enum sim_plant)i;
    }
    fprintf(stderr, "sim: no planted bug %s\n", name);
    exit(2);
}

static int usage(void)
{
    fputs("usage: sim [--swarm] [--seeds A..B | --seed N] [--plant NAME]\n"
          "       sim --plants | --invariants | --count | --scenario FILE | --scenarios DIR\n",
          stderr);
    return 2;
}

static bool parse(int argc, char **argv, struct job *job)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'},     {"seed", required_argument, NULL, 'n'},
        {"swarm", no_argument, NULL, 'w'},           {"plant", required_argument, NULL, 'p'},
        {"plants", no_argument, NULL, 'P'},          {"invariants", no_argument, NULL, 'i'},
        {"count", no_argument, NULL, 'c'},           {"scenario", required_argument, NULL, 'f'},
        {"scenarios", required_argument, NULL, 'd'}, {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char after;
        if (option == 's' &&
            sscanf(optarg, "%" SCNu64 "..%" SCNu64 "%c", &job->first, &job->last, &after) == 2)
            continue;
        if (option == 'n' && sscanf(optarg, "%" SCNu64 "%c", &job->first, &after) == 1)
            job->is_one = true;
        else if (option == 'w')
            job->swarm = true;
        else if (option == 'p')
            job->plant = plant_of(optarg);
        else if (option == 'P')
            job->plants = job->swarm = true;
        else if (option == 'i')
            job->invariants = true;
        else if (option == 'c')
            job->count = true;
        else if (option == 'f')
            job->scenario = optarg;
        else if (option == 'd')
            job->scenarios = optarg;
        else
            return false;
    }
    return optind == argc && job->first <= job->last;
}

int main(int argc, char **argv)
{
    struct job job = {.first = 1, .last = SEEDS_DEFAULT};
    bool is_understood = parse(argc, argv, &job);
    if (job.is_one)
        job.last = job.first;
    else if (!is_understood)
        return usage();
    signal(SIGABRT, on_abort);
    pst_log_set_level(job.is_one || job.scenario || job.scenarios ? PST_LOG_INFO : PST_LOG_ERROR);
    pst_log_set_hook(tell_log, NULL);
    sim.requests = sim_requests_new();
    if (!sim.requests) {
        fputs("sim: out of memory\n", stderr);
        return 1;
    }
    if (job.scenario)
        return run_scenario(&sim, job.scenario);
    if (job.scenarios)
        return run_scenarios(&sim, job.scenarios);
    if (job.count)
        return run_counts(&sim);
    if (job.invariants)
        return run_invariants(&sim);
    if (job.plants)
        return run_plants(job);
    return job.is_one ? run_one(&job) : run_campaign(&job);
}
