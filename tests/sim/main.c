/*
 * sim [--seeds A..B]        runs a campaign: every seed, then every fault must have fired
 * sim --seed N [--trace]    runs one seed again, and tells it as a story
 * sim --plant NAME …        the same with a planted bug
 * sim --plants              every planted bug must be found
 */
#include "tests/sim/sim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEEDS_DEFAULT 20000u
#define PLANT_SEEDS_MAX 200u /* each planted bug is found within so many */

static struct sim sim;

static bool run(uint64_t seed, enum sim_plant plant, bool trace)
{
    struct sim_options options;
    sim_options_of_seed(&options, seed);
    options.plant = plant;
    options.trace = trace;
    return sim_run(&sim, seed, &options);
}

static void add(struct sim_statistics *sum, const struct sim_statistics *more)
{
    sum->events += more->events;
    sum->complete += more->complete;
    sum->aborted += more->aborted;
    sum->refused += more->refused;
    sum->stale_senders += more->stale_senders;
    sum->stray_answers += more->stray_answers;
    for (int i = 0; i < SIM_FAULTS; i++)
        sum->faults[i] += more->faults[i];
    for (int i = 0; i <= PST_MASTER_CLEANING; i++)
        sum->aborts_in[i] += more->aborts_in[i];
}

/* What never happened was not tested. Returns how much of it there is. */
static int report_coverage(const struct sim_statistics *sum)
{
    int missing = 0;
    for (int i = 0; i < SIM_FAULTS; i++) {
        printf("  fault %-16s %8llu\n", sim_fault_names[i], (unsigned long long)sum->faults[i]);
        missing += sum->faults[i] == 0;
    }
    for (int i = 0; i <= PST_MASTER_CLEANING; i++) {
        printf("  client abort in %-10s %4llu\n", pst_master_state_name((enum pst_master_state)i),
               (unsigned long long)sum->aborts_in[i]);
        missing += sum->aborts_in[i] == 0;
    }
    missing += sum->complete == 0 || sum->aborted == 0 || sum->refused == 0;
    missing += sum->stale_senders == 0 || sum->stray_answers == 0;
    return missing;
}

static int run_campaign(uint64_t first, uint64_t last, enum sim_plant plant)
{
    struct sim_statistics sum = {0};
    uint64_t failed = 0;
    struct timespec start;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t seed = first; seed <= last; seed++) {
        if (!run(seed, plant, false)) {
            printf("seed %llu: %s: %s\n  to see it: sim --seed %llu --trace\n",
                   (unsigned long long)seed, sim_checker_names[sim.checker], sim.failure,
                   (unsigned long long)seed);
            failed++;
        }
        add(&sum, &sim.statistics);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    int missing = report_coverage(&sum);
    printf("%llu backups complete, %llu aborted, %llu refused; %llu stale senders, %llu stray "
           "answers; %llu events; %.0f seeds/s\n",
           (unsigned long long)sum.complete, (unsigned long long)sum.aborted,
           (unsigned long long)sum.refused, (unsigned long long)sum.stale_senders,
           (unsigned long long)sum.stray_answers, (unsigned long long)sum.events,
           (double)(last - first + 1) / seconds);
    if (missing != 0)
        printf("%d things never happened in this campaign: it has not tested them\n", missing);
    printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)(last - first + 1 - failed),
           (unsigned long long)failed + (missing != 0));
    return failed != 0 || missing != 0;
}

static int run_one(uint64_t seed, enum sim_plant plant, bool trace)
{
    bool passed = run(seed, plant, trace);
    printf("seed %llu: %s\n", (unsigned long long)seed, passed ? "passed" : sim.failure);
    return !passed;
}

/* Shows that the checkers can fail: returns how many bugs went unseen. */
static int run_plants(void)
{
    int unseen = 0;
    for (int plant = SIM_PLANT_NONE + 1; plant < SIM_PLANTS; plant++) {
        uint64_t seed = 1;
        while (seed <= PLANT_SEEDS_MAX && run(seed, (enum sim_plant)plant, false))
            seed++;
        bool found = seed <= PLANT_SEEDS_MAX && sim.planted;
        if (found)
            printf("%-18s found by seed %3llu: %s\n", sim_plant_names[plant],
                   (unsigned long long)seed, sim.failure);
        else
            printf("%-18s NOT FOUND in %u seeds (%s)\n", sim_plant_names[plant], PLANT_SEEDS_MAX,
                   sim_plant_meanings[plant]);
        unseen += !found;
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
    fputs("usage: sim [--seeds A..B | --seed N [--trace] | --plants] [--plant NAME]\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 's'}, {"seed", required_argument, NULL, 'n'},
        {"trace", no_argument, NULL, 't'},       {"plant", required_argument, NULL, 'p'},
        {"plants", no_argument, NULL, 'P'},      {NULL, 0, NULL, 0},
    };
    unsigned long long first = 1;
    unsigned long long last = SEEDS_DEFAULT;
    bool one = false;
    bool trace = false;
    bool plants = false;
    enum sim_plant plant = SIM_PLANT_NONE;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        char after;
        if (option == 's' && sscanf(optarg, "%llu..%llu%c", &first, &last, &after) == 2)
            continue;
        if (option == 'n' && sscanf(optarg, "%llu%c", &first, &after) == 1)
            one = true;
        else if (option == 't')
            trace = true;
        else if (option == 'p')
            plant = plant_of(optarg);
        else if (option == 'P')
            plants = true;
        else
            return usage();
    }
    sim.requests = sim_requests_new();
    if (!sim.requests)
        return 1;
    if (optind != argc || (one ? plants : trace || last < first))
        return usage();
    if (plants)
        return run_plants();
    return one ? run_one(first, plant, trace) : run_campaign(first, last, plant);
}
