/* penstock-bench listing: a dir: source listed into nowhere for several numbers of LDMs, in turns:
 * what threads that read ahead gain, and what the walk itself still costs. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/result.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "engine/source/fragment_check.h"
#include "engine/source/registry/registry.h"
#include "engine/source/source.h"

#define LDMS_MAX 16u
#define PAUSE_US_MAX 999999u

/* Takes each fragment, checks it as a node does, and drops it. */
struct drain {
    struct pst_fragment_sink sink; /* first */
    struct pst_fragment_descriptor *slot;
    const struct pst_source *source;
    struct timespec pause; /* for each fragment */
};

static int acquire(struct pst_fragment_sink *sink, struct pst_fragment_descriptor **slot)
{
    *slot = ((struct drain *)sink)->slot;
    return 0;
}

static int emit(struct pst_fragment_sink *sink, struct pst_fragment_descriptor *slot)
{
    static const struct pst_fragment_limits limits = {.ldms = LDMS_MAX};
    const struct drain *drain = (struct drain *)sink;
    if (pst_fragment_fault(drain->source, &limits, slot))
        return -EINVAL;
    if (drain->pause.tv_nsec > 0)
        (void)nanosleep(&drain->pause, NULL);
    return 0;
}

static void fail(const char *what, int error)
{
    (void)fprintf(stderr, "%s: %s\n", what, pst_error_text(error));
    exit(1);
}

static uint64_t thread_cpu_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* Returns the objects; adds the clock, and the CPU time of the calling thread, an object. */
static uint64_t list(struct pst_source *source, struct drain *drain, struct samples *clock,
                     struct samples *cpu)
{
    struct pst_source_listing listing;
    int error = pst_source_freeze(source, UINT64_MAX);
    if (!error)
        error = pst_source_snapshot(source, 1);
    if (error)
        fail("snapshot", error);
    uint64_t began_ns = pst_monotonic_ns(), cpu_began_ns = thread_cpu_ns();
    error = pst_source_list(source, &drain->sink, &listing);
    uint64_t cpu_ns = thread_cpu_ns() - cpu_began_ns, ns = pst_monotonic_ns() - began_ns;
    if (error)
        fail("list", error);
    pst_source_release(source);
    samples_add(clock, ns / listing.objects);
    samples_add(cpu, cpu_ns / listing.objects);
    return listing.objects;
}

static void print_json(uint32_t ldms, const struct samples *clock, const struct samples *cpu)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "listing, an object, ldms=%u", ldms);
    samples_print_rounds(clock, cpu, key);
}

static void print(uint32_t ldms, struct samples *clock, struct samples *cpu)
{
    samples_sort(clock);
    samples_sort(cpu);
    printf("%4u  %6.3f [%6.3f, %6.3f]  %6.3f [%6.3f, %6.3f]\n", ldms, samples_us(clock, 500),
           samples_us(clock, 100), samples_us(clock, 900), samples_us(cpu, 500),
           samples_us(cpu, 100), samples_us(cpu, 900));
}

static void run(struct pst_source *source, uint32_t ldms_max, uint32_t rounds, uint32_t pause_us,
                bool json)
{
    struct drain drain = {.sink = {.acquire = acquire, .emit = emit},
                          .slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES),
                          .source = source,
                          .pause = {.tv_nsec = (long)pause_us * 1000}};
    struct samples clock[LDMS_MAX], cpu[LDMS_MAX];
    uint64_t objects = 0;
    if (!drain.slot)
        fail("slot", -ENOMEM);
    for (uint32_t i = 0; i < ldms_max; i++) {
        samples_open(&clock[i], rounds);
        samples_open(&cpu[i], rounds);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < ldms_max; i++) {
            uint32_t at = (i + round) % ldms_max;
            source->policy.ldms = at + 1;
            objects = list(source, &drain, &clock[at], &cpu[at]);
        }
    }
    if (!json)
        printf("%llu objects, %u rounds in turns; us an object, median [10 %%, 90 %%]\n"
               "LDMs                   clock   CPU time of the walk\n",
               (unsigned long long)objects, rounds);
    for (uint32_t i = 0; i < ldms_max; i++) {
        if (json)
            print_json(i + 1, &clock[i], &cpu[i]);
        else
            print(i + 1, &clock[i], &cpu[i]);
        samples_close(&clock[i]);
        samples_close(&cpu[i]);
    }
    free(drain.slot);
}

int bench_listing(int argc, char **argv)
{
    uint64_t ldms_max = 4, rounds = 10, pause_us = 0;
    bool json = false;
    const char *root;
    const struct choice choices[] = {
        {"ldms", CHOICE_COUNT, "N", &ldms_max, LDMS_MAX, "for 1 to N LDMs, up to 16"},
        {"rounds", CHOICE_COUNT, "N", &rounds, RESULT_ROUNDS_MAX, "through all of DIR for each"},
        {"pause", CHOICE_COUNT, "US", &pause_us, PAUSE_US_MAX,
         "sleep so long for each fragment, up to 999999, as where LDMs are slower: threads are as "
         "far ahead of the walk as they may be"},
        {"json", CHOICE_SWITCH, NULL, &json, 0, "JSON lines on standard output"},
        {0}};
    int status = choices_parse_operand(argc, argv, choices, "DIR", &root);
    if (status >= 0)
        return status;
    char spec[PST_PATH_BYTES_MAX + 8], text[PST_SOURCE_ERROR_BYTES];
    struct pst_source *source;
    (void)snprintf(spec, sizeof(spec), "dir:%s", root);
    const char *specs[] = {spec};
    if (pst_sources_open(specs, 1, &source, text, sizeof(text))) {
        (void)fprintf(stderr, "%s\n", text);
        return 1;
    }
    const char *const places[] = {root, NULL};
    if (json)
        facts_print(true, argv, places);
    run(source, (uint32_t)ldms_max, (uint32_t)rounds, (uint32_t)pause_us, json);
    pst_source_close(source);
    return 0;
}
