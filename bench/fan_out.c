/*
 * penstock-bench fan-out: one REQ to each of N worker threads, as a hub to its LDMs, until the last
 * CONF is back; over the product's rings and doorbells, and over what others would take. Awake: all
 * threads poll, and yield their core when there is nothing. Asleep: all sleep as soon as there is
 * nothing, the hub too. The ways take turns batch by batch, in an order drawn by lot, so that what
 * else runs on the machine strikes all of them.
 */
#include "bench/fan_out.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/program.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "engine/base/clock.h"

static const struct fan_out_way *const ways[] = {&fan_out_rings, &fan_out_eventfd, &fan_out_pipe,
                                                 &fan_out_condition};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const uint32_t threads_of[] = {1, 2, 4, 8, 16, 64};
#define SIZES (sizeof(threads_of) / sizeof(threads_of[0]))

#define STOP UINT32_MAX /* the sequence of the last signal */

struct batch {
    const struct fan_out_way *kind;
    void *way;
    uint32_t threads;
    bool may_sleep;
};

struct worker {
    struct batch *batch;
    uint32_t number;
    pthread_t thread;
};

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct batch *batch = worker->batch;
    struct pst_signal signal = {0};
    uint32_t cpus = bench_cpus();
    bench_pin(cpus > 1 ? 1 + worker->number % (cpus - 1) : 0);
    while (signal.sequence != STOP) {
        if (!batch->kind->take(batch->way, worker->number, &signal, batch->may_sleep)) {
            if (!batch->may_sleep)
                sched_yield();
            continue;
        }
        signal.gsn = PST_START_BACKUP_CONF;
        batch->kind->answer(batch->way, worker->number, &signal);
    }
    return NULL;
}

static uint64_t round_trip(struct batch *batch, uint32_t sequence)
{
    struct pst_signal signal = {
        .gsn = PST_START_BACKUP_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_order),
        .sequence = sequence,
    };
    uint32_t answers = 0;
    uint64_t start_ns = pst_monotonic_ns();
    for (uint32_t i = 0; i < batch->threads; i++)
        batch->kind->send(batch->way, i, &signal);
    while (answers < batch->threads) {
        uint32_t more = batch->kind->collect(batch->way, batch->may_sleep);
        answers += more;
        if (more == 0 && !batch->may_sleep)
            sched_yield();
    }
    return pst_monotonic_ns() - start_ns;
}

/* Long enough for all to have gone to sleep. */
static void let_sleep(const struct batch *batch)
{
    struct timespec nap = {.tv_nsec = 100000 + 10000 * (long)batch->threads};
    if (batch->may_sleep)
        (void)nanosleep(&nap, NULL);
}

static void run_batch(const struct fan_out_way *kind, uint32_t threads, bool may_sleep,
                      uint32_t rounds, struct samples *samples)
{
    struct batch batch = {kind, kind->open(threads), threads, may_sleep};
    static struct worker workers[FAN_OUT_THREADS_MAX];
    for (uint32_t i = 0; i < threads; i++) {
        workers[i] = (struct worker){.batch = &batch, .number = i};
        bench_must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "thread");
    }
    (void)round_trip(&batch, 0); /* until all have started */
    for (uint32_t i = 1; i <= rounds; i++) {
        let_sleep(&batch);
        samples_add(samples, round_trip(&batch, i));
    }
    (void)round_trip(&batch, STOP);
    for (uint32_t i = 0; i < threads; i++)
        (void)pthread_join(workers[i].thread, NULL);
    kind->close(batch.way);
}

static void print_row(bool json, uint32_t threads, bool may_sleep, const char *name,
                      struct samples *samples)
{
    char key[64];
    (void)snprintf(key, sizeof(key), "fan-out %u %s %s", threads, may_sleep ? "asleep" : "awake",
                   name);
    if (json) {
        samples_print_json(samples, key);
        return;
    }
    printf("%7u  %-6s  %-13s", threads, may_sleep ? "asleep" : "awake", name);
    samples_print(samples, 10, 1);
    printf("\n");
}

static void run_size(const struct common_choices *common, uint32_t threads, bool may_sleep)
{
    struct samples samples[WAYS];
    struct rounds batches = rounds_of(common, WAYS);
    uint32_t trips = samples_of_batch(common->repeat);
    batches.least = SAMPLES_BATCHES;
    for (uint32_t way = 0; way < WAYS; way++)
        samples_open(&samples[way], SAMPLES_BATCHES * trips);
    while (rounds_next(&batches)) {
        for (uint32_t i = 0; i < WAYS; i++) {
            uint32_t way = batches.order[i];
            run_batch(ways[way], threads, may_sleep, trips, batches.counts ? &samples[way] : NULL);
        }
    }
    for (uint32_t way = 0; way < WAYS; way++) {
        print_row(common->json, threads, may_sleep, ways[way]->name, &samples[way]);
        samples_close(&samples[way]);
    }
}

int bench_fan_out(int argc, char **argv)
{
    static struct common_choices common = COMMON_CHOICES_DEFAULT(1000);
    uint64_t threads = 0;
    const char *const places[] = {NULL};
    const struct choice choices[] = {
        {"threads", CHOICE_COUNT, "N", &threads, FAN_OUT_THREADS_MAX,
         "only so many workers, up to 64; by default 1, 2, 4, 8, 16 and 64"},
        MEASURING_CHOICES(&common, 1000000, "fan-outs for each row, in 20 batches, at least"),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &common);
    if (status >= 0)
        return status;
    facts_print(common.json, argv, places);
    if (!common.json)
        printf(
            "one signal to each worker and an answer from each, microseconds; %u rounds a row, or "
            "more; "
            "%u CPUs: %s\n%7s  %-6s  %-13s  %10s  %10s  %10s\n",
            (uint32_t)common.repeat, bench_cpus(),
            bench_cpus() > 2 ? "the hub has one of its own, the workers share the others"
                             : "all workers share one, so a row grows with their number",
            "workers", "", "way", "p50", "p99", "p99.9");
    bench_pin(0);
    for (uint32_t size = 0; size < SIZES; size++) {
        if (threads != 0 && size > 0)
            break;
        for (int may_sleep = 0; may_sleep < 2; may_sleep++)
            run_size(&common, threads ? (uint32_t)threads : threads_of[size], may_sleep);
    }
    return 0;
}
