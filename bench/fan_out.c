/*
 * penstock-bench fan-out: one REQ to each of N worker threads, as a hub to its LDMs, until the last
 * CONF is back; over the product's rings and doorbells, and over what others would take. Awake: all
 * threads poll, and yield their core when there is nothing. Asleep: all sleep as soon as there is
 * nothing, the hub too. The ways take turns batch by batch, so that what else runs on the machine
 * strikes all of them.
 */
#include "bench/fan_out.h"

#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bench/program.h"
#include "bench/samples.h"
#include "engine/base/clock.h"

static const struct fan_out_way *const ways[] = {&fan_out_rings, &fan_out_eventfd, &fan_out_pipe,
                                                 &fan_out_condition};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const uint32_t threads_of[] = {1, 2, 4, 8, 16, 64};
#define SIZES (sizeof(threads_of) / sizeof(threads_of[0]))

#define BATCHES 5u
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

static void print_row(uint32_t threads, bool may_sleep, const char *name, struct samples *samples)
{
    samples_sort(samples);
    printf("%7u  %-6s  %-13s  %10.1f  %10.1f  %10.1f\n", threads, may_sleep ? "asleep" : "awake",
           name, samples_us(samples, 500), samples_us(samples, 990), samples_us(samples, 999));
}

static void run_size(uint32_t threads, bool may_sleep, uint32_t rounds)
{
    struct samples samples[WAYS];
    for (uint32_t way = 0; way < WAYS; way++)
        samples_open(&samples[way], rounds);
    for (uint32_t batch = 0; batch < BATCHES; batch++) {
        for (uint32_t i = 0; i < WAYS; i++) {
            uint32_t way = (i + batch) % WAYS;
            run_batch(ways[way], threads, may_sleep, rounds / BATCHES, &samples[way]);
        }
    }
    for (uint32_t way = 0; way < WAYS; way++) {
        print_row(threads, may_sleep, ways[way]->name, &samples[way]);
        samples_close(&samples[way]);
    }
}

static const char usage_text[] =
    "usage: penstock-bench fan-out [OPTION]...\n"
    "  --rounds N    fan-outs for each row, in 5 batches (default: 100)\n"
    "  --threads N   only so many workers, up to 64 (default: 1, 2, 4, 8, 16, 64)\n";

static const struct option long_options[] = {
    {"rounds", required_argument, NULL, 'r'},
    {"threads", required_argument, NULL, 't'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

int bench_fan_out(int argc, char **argv)
{
    uint32_t rounds = 100, threads = 0, number;
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(usage_text, stdout);
            return 0;
        }
        number =
            option == '?' ? 0 : bench_number(optarg, option == 't' ? FAN_OUT_THREADS_MAX : 1000000);
        if (number == 0 || (option == 'r' && number < BATCHES)) {
            (void)fputs(usage_text, stderr);
            return 2;
        }
        *(option == 'r' ? &rounds : &threads) = number;
    }
    printf("one signal to each worker and an answer from each, microseconds; %u rounds a row; "
           "%u CPUs: %s\n%7s  %-6s  %-13s  %10s  %10s  %10s\n",
           rounds, bench_cpus(),
           bench_cpus() > 2 ? "the hub has one of its own, the workers share the others"
                            : "all workers share one, so a row grows with their number",
           "workers", "", "way", "p50", "p99", "p99.9");
    bench_pin(0);
    for (uint32_t size = 0; size < SIZES; size++) {
        if (threads != 0 && size > 0)
            break;
        for (int may_sleep = 0; may_sleep < 2; may_sleep++)
            run_size(threads ? threads : threads_of[size], may_sleep, rounds);
    }
    return 0;
}
