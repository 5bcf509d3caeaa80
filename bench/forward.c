/*
 * penstock-bench forward: signals from one process through a hub in another and back, over the shm
 * fabric and over UNIX SEQPACKET sockets, up to 32 signals a packet or one. The hub takes bursts,
 * and sends each signal on to its receiver. Throughput: as many in flight as go in. Round trip: one
 * at a time, awake (both poll, and yield) and asleep (both sleep as soon as there is nothing). The
 * ways take turns, batch by batch.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/fan_out.h"
#include "bench/samples.h"
#include "engine/base/clock.h"
#include "net/shm/shm_fabric.h"

#define BURST PST_FABRIC_BURST
#define BATCHES 5u

/* One side's end of a way. */
struct end {
    struct pst_fabric *fabric; /* NULL: the socket */
    uint32_t peer;
    int socket;
    uint32_t packet; /* signals in one packet of the socket, at most */
    bool has_joined;
};

struct way {
    const char *name;
    struct end end;
    pid_t hub;
    uint64_t forwarded; /* signals, and how long they took, window by window */
    uint64_t forwarded_ns;
    struct samples trips[2]; /* awake, asleep */
};

/* What the hub does is told by the sequence of a signal. */
enum { SEQUENCE_AWAKE, SEQUENCE_ASLEEP, SEQUENCE_END };

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

/* ---- the two sorts of end ---- */

static uint32_t fabric_take(struct end *end, struct pst_signal *signals)
{
    struct pst_fabric_event event;
    uint32_t count = 0;
    int status = pst_fabric_poll(end->fabric, pst_monotonic_ns(), &event);
    bench_must(status >= 0, "fabric");
    if (status == 0)
        return 0;
    if (event.type == PST_FABRIC_JOINED)
        end->has_joined = true;
    bench_must(event.type != PST_FABRIC_FAILED && event.type != PST_FABRIC_EXPELLED, "fabric");
    if (event.type == PST_FABRIC_SIGNALS) {
        count = event.signals_count;
        memcpy(signals, event.signals, count * sizeof(*signals));
    }
    return count;
}

static uint32_t take(struct end *end, struct pst_signal *signals)
{
    if (end->fabric)
        return fabric_take(end, signals);
    ssize_t bytes = recv(end->socket, signals, BURST * sizeof(*signals), MSG_DONTWAIT);
    bench_must(bytes > 0 || errno == EAGAIN, "socket");
    return bytes > 0 ? (uint32_t)bytes / (uint32_t)sizeof(*signals) : 0;
}

/* How many of them went in. */
static uint32_t put(struct end *end, const struct pst_signal *signals, uint32_t count)
{
    if (!end->fabric) {
        uint32_t some = count < end->packet ? count : end->packet;
        ssize_t sent = send(end->socket, signals, some * sizeof(*signals), MSG_DONTWAIT);
        bench_must(sent > 0 || errno == EAGAIN, "socket");
        return sent > 0 ? some : 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        int error = pst_fabric_send(end->fabric, end->peer, &signals[i]);
        if (error == -EAGAIN)
            return i;
        bench_must(!error, "fabric");
    }
    return count;
}

static void sleep_until_woken(struct end *end)
{
    struct pollfd readable = {.fd = end->socket, .events = POLLIN};
    if (!end->fabric) {
        (void)poll(&readable, 1, -1);
        return;
    }
    readable.fd = pst_fabric_fd(end->fabric);
    pst_fabric_announce(end->fabric);
    uint64_t now_ns = pst_monotonic_ns(), until_ns = pst_fabric_deadline_ns(end->fabric);
    if (pst_fabric_is_quiet(end->fabric) && now_ns < until_ns)
        (void)poll(&readable, 1, (int)((until_ns - now_ns) / 1000000 + 1));
    pst_fabric_cancel(end->fabric);
}

/* ---- the hub ---- */

static void forward(struct end *end)
{
    struct pst_signal signals[BURST] = {0};
    bool may_sleep = false;
    for (;;) {
        uint32_t count = take(end, signals), sent = 0;
        while (sent < count) {
            uint32_t more = put(end, signals + sent, count - sent);
            if (more == 0)
                sched_yield();
            sent += more;
        }
        if (count > 0)
            may_sleep = signals[count - 1].sequence == SEQUENCE_ASLEEP;
        if (count > 0 && signals[count - 1].sequence == SEQUENCE_END)
            return;
        if (count == 0 && may_sleep)
            sleep_until_woken(end);
        else if (count == 0)
            sched_yield();
    }
}

static void open_fabric(struct end *end, const char *directory, uint32_t node)
{
    char message[256];
    struct pst_shm_config config = {
        .directory = directory,
        .failure_ns = UINT64_C(3600000000000),
        .hello = {.cluster = "bench", .node = node, .incarnation = node},
    };
    *end = (struct end){.peer = 3 - node, .socket = -1};
    if (pst_shm_fabric_open(&config, &end->fabric, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "penstock-bench: %s\n", message);
        exit(1);
    }
}

static void await_join(struct end *end)
{
    struct pst_signal signals[BURST];
    while (!end->has_joined)
        bench_must(take(end, signals) == 0, "nothing before it joined");
}

static void hub_run(struct end end, const char *directory)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(bench_cpus() > 1 ? 1 : 0);
    if (directory) {
        open_fabric(&end, directory, 2);
        await_join(&end);
    }
    forward(&end);
    /* The last answer is to be read before the end is seen. */
    if (!directory)
        (void)shutdown(end.socket, SHUT_WR);
    else
        pst_fabric_close(end.fabric);
    _exit(0);
}

/* directory: of the fabric; NULL: a pair of sockets, so many signals a packet. */
static void open_way(struct way *way, const char *name, const char *directory, uint32_t packet)
{
    int sockets[2] = {-1, -1};
    way->name = name;
    if (!directory)
        bench_must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0, "sockets");
    way->hub = fork();
    bench_must(way->hub >= 0, "fork");
    if (way->hub == 0) {
        if (sockets[0] >= 0)
            close(sockets[0]);
        hub_run((struct end){.socket = sockets[1], .packet = packet}, directory);
    }
    way->end = (struct end){.socket = sockets[0], .packet = packet};
    if (!directory) {
        close(sockets[1]);
        return;
    }
    open_fabric(&way->end, directory, 1);
    await_join(&way->end);
}

static void round_trip(struct way *way, uint32_t sequence)
{
    struct pst_signal signals[BURST], signal = signal_make(sequence);
    bench_must(put(&way->end, &signal, 1) == 1, "one signal goes in");
    while (take(&way->end, signals) == 0) {
        if (sequence == SEQUENCE_ASLEEP)
            sleep_until_woken(&way->end);
        else
            sched_yield();
    }
}

static void close_way(struct way *way)
{
    struct pst_signal signal = signal_make(SEQUENCE_END);
    bench_must(put(&way->end, &signal, 1) == 1, "the end goes in");
    if (way->end.fabric)
        pst_fabric_publish(way->end.fabric);
    (void)waitpid(way->hub, NULL, 0);
    pst_fabric_close(way->end.fabric);
    if (way->end.socket >= 0)
        close(way->end.socket);
}

/* ---- measuring ---- */

static void measure_throughput(struct way *way, uint32_t count)
{
    struct pst_signal signals[BURST], got[BURST];
    uint32_t sent = 0, received = 0;
    for (uint32_t i = 0; i < BURST; i++)
        signals[i] = signal_make(SEQUENCE_AWAKE);
    uint64_t start_ns = pst_monotonic_ns();
    while (received < count) {
        uint32_t left = count - sent;
        uint32_t more = left ? put(&way->end, signals, left < BURST ? left : BURST) : 0;
        uint32_t back = take(&way->end, got);
        sent += more;
        received += back;
        if (more + back == 0)
            sched_yield();
    }
    way->forwarded += count;
    way->forwarded_ns += pst_monotonic_ns() - start_ns;
}

static void measure_trips(struct way *way, uint32_t sequence, uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds; i++) {
        if (sequence == SEQUENCE_ASLEEP)
            (void)usleep(100);
        uint64_t start_ns = pst_monotonic_ns();
        round_trip(way, sequence);
        samples_add(&way->trips[sequence], pst_monotonic_ns() - start_ns);
    }
}

static void print_way(struct way *way)
{
    double ns = (double)way->forwarded_ns / (double)way->forwarded;
    samples_sort(&way->trips[SEQUENCE_AWAKE]);
    samples_sort(&way->trips[SEQUENCE_ASLEEP]);
    printf("%-14s %9.3f %9.0f", way->name, 1e3 / ns, ns);
    for (int i = SEQUENCE_AWAKE; i <= SEQUENCE_ASLEEP; i++)
        printf("  %8.1f %8.1f %8.1f", samples_us(&way->trips[i], 500),
               samples_us(&way->trips[i], 990), samples_us(&way->trips[i], 999));
    printf("\n");
}

static void run(const char *directory, uint32_t signals, uint32_t rounds)
{
    struct way ways[3] = {0};
    uint32_t count = sizeof(ways) / sizeof(ways[0]);
    open_way(&ways[0], "shm fabric", directory, 0);
    open_way(&ways[1], "UNIX, by 32", NULL, BURST);
    open_way(&ways[2], "UNIX, by 1", NULL, 1);
    for (uint32_t i = 0; i < count; i++) {
        round_trip(&ways[i], SEQUENCE_ASLEEP); /* no hub polls while it is not its turn */
        samples_open(&ways[i].trips[SEQUENCE_AWAKE], rounds);
        samples_open(&ways[i].trips[SEQUENCE_ASLEEP], rounds);
    }
    for (uint32_t batch = 0; batch < BATCHES * count; batch++) {
        struct way *way = &ways[(batch + batch / count) % count];
        measure_throughput(way, signals / BATCHES);
        measure_trips(way, SEQUENCE_AWAKE, rounds / BATCHES);
        measure_trips(way, SEQUENCE_ASLEEP, rounds / BATCHES); /* last: its hub sleeps on */
    }
    for (uint32_t i = 0; i < count; i++) {
        print_way(&ways[i]);
        close_way(&ways[i]);
        samples_close(&ways[i].trips[SEQUENCE_AWAKE]);
        samples_close(&ways[i].trips[SEQUENCE_ASLEEP]);
    }
}

static const char usage_text[] =
    "usage: penstock-bench forward [OPTION]...\n"
    "  --signals N   signals through the hub, each way of sending (default: 200000)\n"
    "  --rounds N    round trips, awake and asleep each (default: 1000)\n";

static const struct option long_options[] = {
    {"rounds", required_argument, NULL, 'r'},
    {"signals", required_argument, NULL, 's'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void remove_directory(const char *directory)
{
    static const char *const names[] = {"node-1.lock", "node-2.lock"};
    char path[128];
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

int bench_forward(int argc, char **argv)
{
    uint32_t signals = 200000, rounds = 1000;
    char directory[] = "/tmp/penstock-bench-XXXXXX";
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        uint32_t number = option == 'r' || option == 's' ? bench_number(optarg, 1000000000) : 0;
        if (option == 'h') {
            (void)fputs(usage_text, stdout);
            return 0;
        }
        if (number < BATCHES) {
            (void)fputs(usage_text, stderr);
            return 2;
        }
        *(option == 'r' ? &rounds : &signals) = number;
    }
    bench_must(mkdtemp(directory) != NULL, directory);
    printf(
        "from one process through a hub in another and back; %u CPUs; %u signals; %u round trips, "
        "microseconds\n%-14s %9s %9s  %26s  %26s\n%-14s %9s %9s  %8s %8s %8s  %8s %8s %8s\n",
        bench_cpus(), signals, rounds, "", "million/s", "ns each", "awake", "asleep", "", "", "",
        "p50", "p99", "p99.9", "p50", "p99", "p99.9");
    (void)fflush(stdout);
    bench_pin(0);
    run(directory, signals, rounds);
    remove_directory(directory);
    return 0;
}
