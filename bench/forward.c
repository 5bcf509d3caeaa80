/*
 * penstock-bench forward: signals from one process to hubs in others and back, over the product's
 * fabrics and over what the kernel has. A hub takes what has come and sends it on. Throughput: so
 * many in flight. Round trip: one to each hub, until all are back, awake (all poll, and yield) and
 * asleep (all sleep as soon as there is nothing). Fetch: a manifest of 1 MiB from the first hub, in
 * windows of pieces (engine/node/blob.h). The ways take turns, batch by batch, in an order drawn by
 * lot; the first is compared with each other by the medians of the batches.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/apart.h"
#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/ends.h"
#include "bench/facts.h"
#include "bench/program.h"
#include "bench/result.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "engine/node/blob.h"

#define BURST 32u
#define IN_FLIGHT 512u
#define WAYS_MAX 8u
#define BACKLOG 4096u
#define FETCHED_BYTES (1u << 20)
#define WINDOW_BYTES (PST_BLOB_WINDOW * PST_BLOB_DATA_BYTES)

static const struct end_kind *const kinds[] = {&end_shm,     &end_quic_udp, &end_quic_af_packet,
                                               &end_unix_32, &end_unix_1,   &end_raw,
                                               &end_udp,     &end_tcp,      &end_tls};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* What a hub does is told by the sequence of a signal. */
enum { SEQUENCE_AWAKE, SEQUENCE_ASLEEP, SEQUENCE_FETCH, SEQUENCE_END };

struct way {
    const struct end_kind *kind;
    void *end;
    pid_t hubs[ENDS_NODES_MAX + 1];
    struct samples trips[2]; /* by SEQUENCE_AWAKE, SEQUENCE_ASLEEP */
    struct samples fetches;
    uint64_t forwarded; /* signals, and how long they took */
    uint64_t forwarded_ns;
    double stream_ns[RESULT_ROUNDS_MAX]; /* a signal's time, by batch */
};

struct job {
    struct ends_place place;
    struct way ways[WAYS_MAX];
    uint32_t ways_count;
    struct common_choices common;
    uint32_t signals, trips, fetches; /* signals and trips: of a batch; fetches: of all */
    uint32_t batches;                 /* that counted */
    bool is_apart;
};

static struct pst_signal signal_make(uint32_t sequence)
{
    return (struct pst_signal){
        .gsn = PST_START_BACKUP_REQ,
        .version = PST_SIGNAL_VERSION,
        .length = sizeof(struct pst_order),
        .receiver_ref = pst_ref_make(1, PST_BLOCK_BACKUP, 1),
        .sequence = sequence,
    };
}

/* ---- a hub ---- */

/* What is still to be sent: as much as is in flight, at most. */
struct backlog {
    struct pst_signal signals[BACKLOG];
    uint32_t put, sent;
};

static void backlog_add(struct backlog *backlog, const struct pst_signal *signals, uint32_t count)
{
    bench_must(backlog->put + count <= BACKLOG, "too many signals in flight");
    memcpy(backlog->signals + backlog->put, signals, count * sizeof(*signals));
    backlog->put += count;
}

static void backlog_send(struct backlog *backlog, const struct end_kind *kind, void *end)
{
    uint32_t left = backlog->put - backlog->sent;
    if (left > 0)
        backlog->sent +=
            kind->put(end, 1, backlog->signals + backlog->sent, left < BURST ? left : BURST);
    if (backlog->sent == backlog->put)
        backlog->sent = backlog->put = 0;
}

/* Pieces, and the CONF. */
static void add_window(struct backlog *backlog)
{
    const struct pst_signal piece = signal_make(SEQUENCE_FETCH);
    for (uint32_t i = 0; i <= PST_BLOB_WINDOW; i++)
        backlog_add(backlog, &piece, 1);
}

static void forward(const struct end_kind *kind, void *end)
{
    static struct backlog backlog;
    struct pst_signal signals[ENDS_BURST] = {0};
    uint32_t last = SEQUENCE_AWAKE;
    while (last != SEQUENCE_END || backlog.put > 0) {
        uint32_t count = kind->take(end, signals);
        if (count > 0)
            last = signals[count - 1].sequence;
        if (count > 0 && last == SEQUENCE_FETCH)
            add_window(&backlog);
        else
            backlog_add(&backlog, signals, count);
        backlog_send(&backlog, kind, end);
        if (count > 0 || backlog.put > 0)
            continue;
        if (last == SEQUENCE_ASLEEP)
            kind->sleep(end);
        else
            sched_yield();
    }
}

static void hub_run(const struct job *job, const struct end_kind *kind, uint32_t node)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (job->is_apart)
        apart_cross();
    bench_pin(bench_cpus() > 1 ? 1 + (node - 2) % (bench_cpus() - 1) : 0);
    void *end = kind->open(&job->place, node);
    forward(kind, end);
    kind->close(end);
    _exit(0);
}

/* ---- the process that measures ---- */

static void put_one(struct way *way, uint32_t node, uint32_t sequence)
{
    const struct pst_signal signal = signal_make(sequence);
    while (way->kind->put(way->end, node, &signal, 1) == 0)
        sched_yield();
}

static void round_trip(const struct job *job, struct way *way, uint32_t sequence)
{
    struct pst_signal signals[ENDS_BURST];
    uint32_t hubs = job->place.nodes - 1;
    for (uint32_t node = 2; node <= job->place.nodes; node++)
        put_one(way, node, sequence);
    for (uint32_t back = 0; back < hubs;) {
        uint32_t count = way->kind->take(way->end, signals);
        back += count;
        if (count > 0)
            continue;
        program_end_if_interrupted();
        if (sequence == SEQUENCE_ASLEEP)
            way->kind->sleep(way->end);
        else
            sched_yield();
    }
}

static void way_open(const struct job *job, struct way *way)
{
    for (uint32_t node = 2; node <= job->place.nodes; node++) {
        way->hubs[node] = fork();
        bench_must(way->hubs[node] >= 0, "fork");
        if (way->hubs[node] == 0)
            hub_run(job, way->kind, node);
    }
    way->end = way->kind->open(&job->place, 1);
    round_trip(job, way, SEQUENCE_ASLEEP); /* no hub polls while it is not its turn */
    samples_open(&way->trips[SEQUENCE_AWAKE], SAMPLES_BATCHES * job->trips);
    samples_open(&way->trips[SEQUENCE_ASLEEP], SAMPLES_BATCHES * job->trips);
    samples_open(&way->fetches, SAMPLES_BATCHES);
}

static void way_close(const struct job *job, struct way *way)
{
    round_trip(job, way, SEQUENCE_END);
    for (uint32_t node = 2; node <= job->place.nodes; node++)
        (void)waitpid(way->hubs[node], NULL, 0);
    way->kind->close(way->end);
    samples_close(&way->trips[SEQUENCE_AWAKE]);
    samples_close(&way->trips[SEQUENCE_ASLEEP]);
    samples_close(&way->fetches);
}

/* ---- measuring ---- */

static uint64_t stream(const struct job *job, struct way *way, uint32_t count)
{
    struct pst_signal signals[BURST], got[ENDS_BURST];
    uint32_t sent = 0, received = 0, node = 2;
    for (uint32_t i = 0; i < BURST; i++)
        signals[i] = signal_make(SEQUENCE_AWAKE);
    uint64_t start_ns = pst_monotonic_ns();
    while (received < count) {
        uint32_t left = count - sent, more = 0;
        if (left > 0 && sent - received + BURST <= IN_FLIGHT)
            more = way->kind->put(way->end, node, signals, left < BURST ? left : BURST);
        node = node < job->place.nodes ? node + 1 : 2;
        uint32_t back = way->kind->take(way->end, got);
        sent += more;
        received += back;
        if (more + back == 0)
            sched_yield();
    }
    return pst_monotonic_ns() - start_ns;
}

static void measure_trips(const struct job *job, struct way *way, uint32_t sequence, bool counts)
{
    for (uint32_t i = 0; i < job->trips; i++) {
        if (sequence == SEQUENCE_ASLEEP)
            (void)usleep(100);
        uint64_t start_ns = pst_monotonic_ns();
        round_trip(job, way, sequence);
        samples_add(counts ? &way->trips[sequence] : NULL, pst_monotonic_ns() - start_ns);
    }
}

/* A window is asked for when the last one is there. */
static void measure_fetch(struct way *way, bool counts)
{
    struct pst_signal signals[ENDS_BURST];
    uint64_t start_ns = pst_monotonic_ns();
    for (uint32_t fetched = 0; fetched < FETCHED_BYTES; fetched += WINDOW_BYTES) {
        put_one(way, 2, SEQUENCE_FETCH);
        for (uint32_t back = 0; back < PST_BLOB_WINDOW + 1;) {
            uint32_t count = way->kind->take(way->end, signals);
            back += count;
            if (count == 0)
                sched_yield();
        }
    }
    samples_add(counts ? &way->fetches : NULL, pst_monotonic_ns() - start_ns);
}

static void measure_batch(const struct job *job, struct way *way, const struct rounds *batches)
{
    uint64_t took_ns = stream(job, way, job->signals);
    if (batches->counts) {
        way->forwarded += job->signals;
        way->forwarded_ns += took_ns;
        way->stream_ns[batches->counted] = (double)took_ns / job->signals;
    }
    if (batches->counted < job->fetches)
        measure_fetch(way, batches->counts);
    measure_trips(job, way, SEQUENCE_AWAKE, batches->counts);
    measure_trips(job, way, SEQUENCE_ASLEEP, batches->counts); /* last: its hubs sleep on */
}

static void print_ratio(const double *ours, const double *theirs, uint32_t batches)
{
    struct figures_range ratio = figures_paired(ours, theirs, batches);
    printf("  %6.2f [%5.2f, %5.2f]", ratio.median, ratio.low, ratio.high);
}

/* Before the samples are put in order. */
static void print_ratios(const struct way *way, const struct way *other, uint32_t batches)
{
    double ours[SAMPLES_BATCHES], theirs[SAMPLES_BATCHES];
    printf("%-14s", other->kind->name);
    print_ratio(way->stream_ns, other->stream_ns, batches);
    for (uint32_t i = SEQUENCE_AWAKE; i <= SEQUENCE_ASLEEP; i++) {
        samples_batches(&way->trips[i], ours);
        samples_batches(&other->trips[i], theirs);
        print_ratio(ours, theirs, SAMPLES_BATCHES);
    }
    printf("\n");
}

static void print_way(struct way *way)
{
    double ns = (double)way->forwarded_ns / (double)way->forwarded;
    printf("%-14s %9.3f %9.0f", way->kind->name, 1e3 / ns, ns);
    for (uint32_t i = SEQUENCE_AWAKE; i <= SEQUENCE_ASLEEP; i++)
        samples_print(&way->trips[i], 8, 1);
    samples_sort(&way->fetches);
    printf("  %8.1f\n", samples_us(&way->fetches, 500) / 1e3);
}

static void print_text(struct job *job)
{
    if (job->ways_count > 1)
        printf("%s / others: medians of %u batches [95 %% interval]\n%-14s  %-22s  %-22s  %s\n",
               job->ways[0].kind->name, job->batches, "", "time of a signal", "round trip awake",
               "asleep");
    for (uint32_t i = 1; i < job->ways_count; i++)
        print_ratios(&job->ways[0], &job->ways[i], job->batches);
    printf("\n%-14s %9s %9s  %28s  %28s  %8s\n%-14s %9s %9s  %8s  %8s  %8s  %8s  %8s  %8s  %8s\n",
           "", "million/s", "ns each", "awake", "asleep", "1 MiB", "", "", "", "p50", "p99",
           "p99.9", "p50", "p99", "p99.9", "ms");
    for (uint32_t i = 0; i < job->ways_count; i++)
        print_way(&job->ways[i]);
}

static const char *key_of(const struct job *job, const struct way *way, const char *what)
{
    static char key[RESULT_KEY_BYTES];
    (void)snprintf(key, sizeof(key), "forward %s%u %s %s", job->is_apart ? "apart " : "",
                   job->place.nodes - 1, way->kind->name, what);
    return key;
}

static void print_figures(const char *key, const double *ns, uint32_t count)
{
    static struct result result;
    result = (struct result){.count = count};
    (void)snprintf(result.key, sizeof(result.key), "%s", key);
    for (uint32_t i = 0; i < count; i++)
        result.seconds[i] = ns[i] / 1e9;
    result_print_json(&result);
    result_end_json();
}

static void print_json(struct job *job)
{
    for (uint32_t i = 0; i < job->ways_count; i++) {
        const struct way *way = &job->ways[i];
        print_figures(key_of(job, way, "signal"), way->stream_ns, job->batches);
        samples_print_json(&way->trips[SEQUENCE_AWAKE], key_of(job, way, "awake"));
        samples_print_json(&way->trips[SEQUENCE_ASLEEP], key_of(job, way, "asleep"));
        samples_print_json(&way->fetches, key_of(job, way, "manifest"));
    }
}

static void run(struct job *job)
{
    for (uint32_t i = 0; i < job->ways_count; i++)
        way_open(job, &job->ways[i]);
    struct rounds batches = rounds_of(&job->common, job->ways_count);
    batches.least = SAMPLES_BATCHES;
    while (rounds_next(&batches)) {
        for (uint32_t i = 0; i < job->ways_count; i++)
            measure_batch(job, &job->ways[batches.order[i]], &batches);
    }
    job->batches = batches.counted;
    (job->common.json ? print_json : print_text)(job);
    for (uint32_t i = 0; i < job->ways_count; i++)
        way_close(job, &job->ways[i]);
}

/* ---- the command line ---- */

static bool parse_ways(struct job *job, const char *ways)
{
    char list[256], *rest = NULL;
    if ((size_t)snprintf(list, sizeof(list), "%s", ways) >= sizeof(list))
        return false;
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        uint32_t kind = 0;
        while (kind < KINDS && strcmp(kinds[kind]->name, name) != 0)
            kind++;
        if (kind == KINDS || job->ways_count == WAYS_MAX)
            return false;
        job->ways[job->ways_count++].kind = kinds[kind];
    }
    return job->ways_count > 0;
}

static void set_up(struct job *job, const char *place)
{
    uint32_t process = (uint32_t)getpid() & 0x1fff; /* 127.32.0.0…127.63.255.0 */
    program_catch_interrupts();
    job->place.directory = program_scratch(place, NULL);
    job->place.network = UINT32_C(0x7f200000) | process << 8;
    job->place.interfaces[0] = job->is_apart ? APART_HERE : "lo";
    job->place.interfaces[1] = job->is_apart ? APART_THERE : "lo";
    if (job->is_apart)
        job->place.network = apart_open(job->place.nodes);
}

int bench_forward(int argc, char **argv)
{
    static struct job job = {.common = COMMON_CHOICES_DEFAULT(1000)};
    uint64_t hubs = 1, signals = 200000, fetches = 5;
    const char *over = "shm,unix-32,unix-1";
    const char *const places[] = {getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", NULL};
    const struct choice choices[] = {
        {"over", CHOICE_TEXT, "WAY,...", &over, 0,
         "shm, quic-udp, quic-af_packet (root, --apart, one hub), unix-32, unix-1, raw (frames; "
         "root), udp, tcp, tls"},
        {"nodes", CHOICE_COUNT, "N", &hubs, ENDS_NODES_MAX - 1,
         "hubs, up to 16: a round trip is one signal to each"},
        {"signals", CHOICE_COUNT, "N", &signals, 1000000000,
         "signals through the hubs, each way of sending, in 20 batches"},
        {"fetches", CHOICE_COUNT, "N", &fetches, SAMPLES_BATCHES, "manifests of 1 MiB, up to 20"},
        {"apart", CHOICE_SWITCH, NULL, &job.is_apart, 0,
         "the hubs in another network namespace, over a veth pair (root, ip, nft; not for shm)"},
        MEASURING_CHOICES(&job.common, 10000000,
                          "round trips, awake and asleep each, in 20 batches, at least"),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &job.common);
    if (status >= 0)
        return status;
    if (!parse_ways(&job, over)) {
        (void)fprintf(stderr, "penstock-bench: --over: no such value\n");
        return 2;
    }
    job.signals = samples_of_batch(signals);
    job.trips = samples_of_batch(job.common.repeat);
    job.fetches = (uint32_t)fetches;
    job.place.nodes = (uint32_t)hubs + 1;
    facts_print(job.common.json, argv, places);
    set_up(&job, places[0]);
    if (!job.common.json)
        printf("from one process to %u hubs in others and back; %u CPUs; %u signals and %u round "
               "trips a batch, microseconds\n\n",
               job.place.nodes - 1, bench_cpus(), job.signals, job.trips);
    (void)fflush(stdout);
    bench_pin(0);
    run(&job);
    return 0;
}
