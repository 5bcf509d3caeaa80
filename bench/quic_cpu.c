/*
 * penstock-bench quic-cpu: the CPU time of signals between two nodes of the quic fabric, both ends
 * in one thread, which takes their turns, over a kernel socket each: what they cost, whatever else
 * the machine does. A trip: one signal there and one back. A stream: one way, 32 a round. A window:
 * pieces of a manifest there, and a question back (engine/node/blob.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/facts.h"
#include "bench/program.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "engine/node/blob.h"
#include "net/quic/quic_fabric.h"

#define BURST 32u

static struct pst_quic_network network;

static struct {
    struct pst_fabric *fabric;
    bool has_joined;
    uint64_t received;
} nodes[2]; /* ids 1, 2 */

static double cpu_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void turn(uint32_t which)
{
    struct pst_fabric_event event;
    int status;
    while ((status = pst_fabric_poll(nodes[which].fabric, pst_monotonic_ns(), &event)) > 0) {
        bench_must(event.type <= PST_FABRIC_JOINED, "fabric");
        nodes[which].has_joined |= event.type == PST_FABRIC_JOINED;
        nodes[which].received += event.signals_count;
    }
    bench_must(status == 0, "fabric");
}

static void nodes_open(void)
{
    char message[256];
    uint32_t process = (uint32_t)getpid() & 0x1fff; /* 127.32.0.0…127.63.255.0 */
    network.mtu_bytes = PST_QUIC_MTU;
    network.keys_count = 1;
    for (uint32_t node = 1; node <= 2; node++) {
        network.members[node] =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PST_QUIC_PORT)};
        network.members[node].sin_addr.s_addr = htonl(0x7f200000u | process << 8 | node);
    }
    for (uint32_t i = 0; i < 2; i++) {
        const struct pst_quic_config config = {
            .network = &network,
            .failure_ns = UINT64_C(3600000000000),
            .hello = {.cluster = "bench", .cluster_id = 1, .node = i + 1, .incarnation = 1}};
        int error = pst_quic_fabric_open(&config, &nodes[i].fabric, message, sizeof(message));
        bench_must(!error, message);
    }
    while (!nodes[0].has_joined || !nodes[1].has_joined) {
        turn(0);
        turn(1);
    }
}

/* count signals to the other node, until it has them. */
static void transfer(uint32_t from, uint32_t count)
{
    const struct pst_signal signal = {.gsn = PST_START_BACKUP_REQ,
                                      .version = PST_SIGNAL_VERSION,
                                      .length = sizeof(struct pst_order)};
    uint64_t wanted = nodes[1 - from].received + count;
    for (uint32_t i = 0; i < count; i++)
        bench_must(pst_fabric_send(nodes[from].fabric, 2 - from, &signal) == 0, "room");
    while (nodes[1 - from].received < wanted) {
        turn(from);
        turn(1 - from);
    }
}

/* Microseconds a round. */
static double run(uint32_t there, uint32_t back, uint32_t rounds)
{
    double start_us = cpu_us();
    for (uint32_t i = 0; i < rounds; i++) {
        transfer(0, there);
        if (back > 0)
            transfer(1, back);
    }
    return (cpu_us() - start_us) / rounds;
}

static const struct {
    const char *name;
    uint32_t there, back;
} exchanges[] = {{"one there, one back", 1, 1},
                 {"32 there", BURST, 0},
                 {"a window of a manifest, a question", PST_BLOB_WINDOW + 1, 1}};

#define EXCHANGES (sizeof(exchanges) / sizeof(exchanges[0]))

/* A round of a result is the mean of a batch. */
static void measure(const struct common_choices *common, struct result *results)
{
    struct rounds batches = rounds_of(common, EXCHANGES);
    batches.least = SAMPLES_BATCHES;
    while (rounds_next(&batches)) {
        for (uint32_t i = 0; i < EXCHANGES; i++) {
            uint32_t which = batches.order[i];
            double took_s = run(exchanges[which].there, exchanges[which].back,
                                samples_of_batch(common->repeat)) /
                            1e6;
            if (batches.counts)
                result_add(&results[which], &(struct program_cost){took_s, took_s, 0});
        }
    }
}

static void print(const struct common_choices *common, struct result *results)
{
    if (!common->json)
        printf("CPU time of both ends, microseconds; medians of %u batches of %u rounds\n"
               "%-34s  %9s  %9s\n",
               results[0].count, samples_of_batch(common->repeat), "", "a round", "a signal");
    for (uint32_t i = 0; i < EXCHANGES; i++) {
        if (common->json) {
            (void)snprintf(results[i].key, sizeof(results[i].key), "quic-cpu, a round: %s",
                           exchanges[i].name);
            result_print_json(&results[i]);
            result_end_json();
            continue;
        }
        double took_us = 1e6 * figures_median(results[i].seconds, results[i].count).median;
        printf("%-34s  %9.2f  %9.2f\n", exchanges[i].name, took_us,
               took_us / (exchanges[i].there + exchanges[i].back));
    }
}

int bench_quic_cpu(int argc, char **argv)
{
    static const char *const places[] = {NULL};
    static struct common_choices common = COMMON_CHOICES_DEFAULT(20000);
    static struct result results[EXCHANGES];
    const struct choice choices[] = {
        MEASURING_CHOICES(&common, 100000000, "rounds of each exchange, in 20 batches, at least"),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &common);
    if (status >= 0)
        return status;
    if (common.json)
        facts_print(true, argv, places);
    nodes_open();
    measure(&common, results);
    print(&common, results);
    pst_fabric_close(nodes[0].fabric);
    pst_fabric_close(nodes[1].fabric);
    return 0;
}
