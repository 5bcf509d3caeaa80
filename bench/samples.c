/* Samples of a bench in order, their quantiles, and the CPUs that it runs on. Any one thread. */
#include "bench/samples.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/latency.h"
#include "bench/program.h"
#include "bench/result.h"

void samples_open(struct samples *samples, uint32_t room)
{
    *samples = (struct samples){.ns = calloc(room, sizeof(uint64_t)), .room = room};
    bench_must(samples->ns, "memory");
}

void samples_close(struct samples *samples)
{
    free(samples->ns);
    samples->ns = NULL;
}

void samples_add(struct samples *samples, uint64_t ns)
{
    if (!samples)
        return;
    if (samples->count == samples->room) {
        samples->room *= 2;
        samples->ns = realloc(samples->ns, samples->room * sizeof(uint64_t));
        bench_must(samples->ns, "memory");
    }
    samples->ns[samples->count++] = ns;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void samples_sort(struct samples *samples)
{
    qsort(samples->ns, samples->count, sizeof(samples->ns[0]), compare);
}

double samples_us(const struct samples *samples, uint32_t permille)
{
    if (samples->count == 0)
        return 0;
    uint64_t at = (uint64_t)samples->count * permille / 1000;
    return (double)samples->ns[at < samples->count ? at : samples->count - 1] / 1e3;
}

uint32_t samples_of_batch(uint64_t all)
{
    return (uint32_t)((all + SAMPLES_BATCHES - 1) / SAMPLES_BATCHES);
}

static uint32_t batches_of(const struct samples *samples)
{
    return samples->count < SAMPLES_BATCHES ? samples->count : SAMPLES_BATCHES;
}

void samples_batches(const struct samples *samples, double *medians)
{
    uint32_t batches = batches_of(samples), count = batches ? samples->count / batches : 0;
    for (uint32_t i = 0; i < batches; i++) {
        struct samples batch;
        samples_open(&batch, count);
        for (uint32_t k = 0; k < count; k++)
            samples_add(&batch, samples->ns[i * count + k]);
        samples_sort(&batch);
        medians[i] = 1e3 * samples_us(&batch, 500);
        samples_close(&batch);
    }
}

void samples_print(struct samples *samples, int width, int decimals)
{
    static const uint32_t permilles[] = {500, 990, 999};
    samples_sort(samples);
    for (uint32_t i = 0; i < 3; i++) {
        uint64_t beyond = (uint64_t)samples->count * (1000 - permilles[i]) / 1000;
        if (beyond < LATENCY_BEYOND)
            printf("  %*s", width, "-");
        else
            printf("  %*.*f", width, decimals, samples_us(samples, permilles[i]));
    }
}

void samples_print_json(const struct samples *samples, const char *key)
{
    static struct result result;
    static struct latency latency;
    double medians[SAMPLES_BATCHES];
    if (samples->count == 0)
        return;
    result = (struct result){.count = batches_of(samples)};
    latency = (struct latency){0};
    (void)snprintf(result.key, sizeof(result.key), "%s", key);
    samples_batches(samples, medians);
    for (uint32_t i = 0; i < result.count; i++)
        result.seconds[i] = medians[i] / 1e9;
    for (uint32_t i = 0; i < samples->count; i++)
        latency_add(&latency, samples->ns[i]);
    result_print_json(&result);
    latency_print_json(&latency);
    result_end_json();
}

/* Those that the process may use, as it was started: whoever is pinned sees only one. */
static const cpu_set_t *allowed(void)
{
    static cpu_set_t set;
    if (CPU_COUNT(&set) == 0)
        (void)sched_getaffinity(0, sizeof(set), &set);
    return &set;
}

uint32_t bench_cpus(void)
{
    return (uint32_t)CPU_COUNT(allowed());
}

void bench_pin(uint32_t cpu)
{
    cpu_set_t one;
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, allowed()) || cpu-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
        return;
    }
}
