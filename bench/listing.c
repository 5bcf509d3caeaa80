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
#include "bench/rounds.h"
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

/* Returns the objects. *cost: the clock, and the CPU time of the calling thread, an object. */
static uint64_t list(struct pst_source *source, struct drain *drain, struct program_cost *cost)
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
    *cost = (struct program_cost){.seconds = (double)ns / 1e9 / (double)listing.objects,
                                  .cpu_s = (double)cpu_ns / 1e9 / (double)listing.objects};
    return listing.objects;
}

static void print(bool json, uint32_t ldms, struct result *result)
{
    if (!json) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%u LDMs", ldms);
        result_print_us(name, result);
        return;
    }
    (void)snprintf(result->key, sizeof(result->key), "listing, an object, ldms=%u", ldms);
    result_print_json(result);
    result_end_json();
}

static void run(struct pst_source *source, uint32_t ldms_max, uint32_t pause_us,
                const struct common_choices *common)
{
    static struct result results[LDMS_MAX];
    struct drain drain = {.sink = {.acquire = acquire, .emit = emit},
                          .slot = aligned_alloc(64, PST_FRAGMENT_SLOT_BYTES),
                          .source = source,
                          .pause = {.tv_nsec = (long)pause_us * 1000}};
    uint64_t objects = 0;
    struct rounds rounds = rounds_of(common, ldms_max);
    if (!drain.slot)
        fail("slot", -ENOMEM);
    while (rounds_next(&rounds)) {
        for (uint32_t i = 0; i < ldms_max; i++) {
            struct program_cost cost;
            source->policy.ldms = rounds.order[i] + 1;
            objects = list(source, &drain, &cost);
            if (rounds.counts)
                result_add(&results[rounds.order[i]], &cost);
        }
    }
    if (!common->json)
        printf("%llu objects, %u rounds in turns; us an object, median [95 %%]\n%-26s  %-25s %s\n",
               (unsigned long long)objects, rounds.counted, "", "clock", "CPU time of the walk");
    for (uint32_t i = 0; i < ldms_max; i++)
        print(common->json, i + 1, &results[i]);
    free(drain.slot);
}

int bench_listing(int argc, char **argv)
{
    static struct common_choices common = COMMON_CHOICES_DEFAULT(10);
    uint64_t ldms_max = 4, pause_us = 0;
    const char *root;
    const struct choice choices[] = {
        {"ldms", CHOICE_COUNT, "N", &ldms_max, LDMS_MAX, "for 1 to N LDMs, up to 16"},
        {"pause", CHOICE_COUNT, "US", &pause_us, PAUSE_US_MAX,
         "sleep so long for each fragment, up to 999999, as where LDMs are slower: threads are as "
         "far ahead of the walk as they may be"},
        MEASURING_CHOICES(&common, RESULT_ROUNDS_MAX, "rounds through all of DIR for each number"),
        {0}};
    int status = choices_begin_operand(argc, argv, choices, "DIR", &root, &common);
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
    if (common.json)
        facts_print(true, argv, places);
    run(source, (uint32_t)ldms_max, (uint32_t)pause_us, &common);
    pst_source_close(source);
    return 0;
}
