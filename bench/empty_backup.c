/*
 * penstock-bench empty-backup: BACKUP_REQ to BACKUP_COMPLETE_REP of a backup of nothing, by
 * processes of penstock node with 2 LDMs and one empty directory each, on tmpfs, joined by the
 * fabric of a host or by the one between hosts: as a client on the control socket sees it, and as
 * the node does. Beside two nodes the same signals between as many processes and threads, without
 * files, over rings and over UNIX sockets (exchange.h). The ways take turns, in an order drawn by
 * lot for each batch, when all threads have gone to sleep and the last backups are removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/choices.h"
#include "bench/exchange.h"
#include "bench/facts.h"
#include "bench/program.h"
#include "bench/rounds.h"
#include "bench/samples.h"
#include "engine/base/clock.h"

#define NODES_MAX 16u
#define PATH_BYTES 512u
#define JOIN_NS UINT64_C(20000000000)
#define FSYNCS 1000u

enum fabric { FABRIC_SHM, FABRIC_QUIC, FABRICS };

static const char *const fabric_names[FABRICS] = {"shm", "quic"};

static const char *const exchange_names[EXCHANGE_WAYS] = {
    [EXCHANGE_RINGS] = "signals only, rings",
    [EXCHANGE_SOCKETS] = "signals only, sockets",
    [EXCHANGE_SOCKETS_POLLED] = "signals only, sockets, polled",
};

struct cluster {
    enum fabric fabric;
    uint32_t nodes_count;
    const char *penstock;
    char directory[PATH_BYTES / 2];
    pid_t nodes[NODES_MAX];
    int client_fd;
    struct samples by_client, by_node;
};

struct job {
    struct common_choices common;
    const char *directory;
    uint32_t nodes;
    struct cluster clusters[FABRICS];
    uint32_t clusters_count;
    struct exchange exchanges[EXCHANGE_WAYS];
    struct samples exchanged[EXCHANGE_WAYS];
    uint32_t exchanges_count;
};

/* ---- files ---- */

static void path_of(const struct cluster *cluster, char *path, const char *what, uint32_t node)
{
    (void)snprintf(path, PATH_BYTES, "%s/%s%u", cluster->directory, what, node);
}

static void remove_backups(const struct cluster *cluster)
{
    char to[PATH_BYTES], path[2 * PATH_BYTES];
    for (uint32_t node = 1; node <= cluster->nodes_count; node++) {
        path_of(cluster, to, "to", node);
        DIR *directory = opendir(to);
        bench_must(directory, to);
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
            (void)snprintf(path, sizeof(path), "%s/%s", to, entry->d_name);
            if (strncmp(entry->d_name, "BACKUP-", strlen("BACKUP-")) == 0)
                program_remove_tree(path);
        }
        (void)closedir(directory);
    }
}

/* What the file system takes for a sync: a tmpfs has nothing to do. */
static double fsync_us(const char *directory)
{
    char path[PATH_BYTES];
    struct samples samples;
    samples_open(&samples, FSYNCS);
    (void)snprintf(path, sizeof(path), "%s/synced", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (uint32_t i = 0; i < FSYNCS; i++) {
        bench_must(pwrite(fd, path, sizeof(path), 0) == (ssize_t)sizeof(path), path);
        uint64_t start_ns = pst_monotonic_ns();
        bench_must(fsync(fd) == 0, path);
        samples_add(&samples, pst_monotonic_ns() - start_ns);
    }
    (void)close(fd);
    samples_sort(&samples);
    double us = samples_us(&samples, 500);
    samples_close(&samples);
    return us;
}

/* ---- nodes ---- */

static void make_key(const struct cluster *cluster)
{
    char path[PATH_BYTES];
    path_of(cluster, path, "key", 0);
    FILE *file = fopen(path, "we");
    bench_must(file && fchmod(fileno(file), 0600) == 0, path);
    for (uint32_t i = 0; i < 8; i++)
        (void)fprintf(file, "%08x", 0x600d5eedu + i);
    bench_must(fputc('\n', file) == '\n' && fclose(file) == 0, path);
}

/* ID=ADDRESS,… of all. */
static void write_members(const struct cluster *cluster, char *members)
{
    uint32_t process = (uint32_t)getppid() & 0x1fff;
    size_t at = 0;
    for (uint32_t node = 1; node <= cluster->nodes_count; node++)
        at += (size_t)snprintf(members + at, PATH_BYTES - at, "%s%u=127.%u.%u.%u",
                               node > 1 ? "," : "", node, 32 + process / 256, process % 256, node);
}

static void node_run(const struct cluster *cluster, uint32_t node)
{
    char source[PATH_BYTES + 8] = "dir:", to[PATH_BYTES], socket[PATH_BYTES], joined_by[PATH_BYTES];
    char log[PATH_BYTES], key[PATH_BYTES], nodes[16], id[4];
    bool is_shm = cluster->fabric == FABRIC_SHM;
    path_of(cluster, source + strlen(source), "from", node);
    path_of(cluster, to, "to", node);
    path_of(cluster, socket, "socket", node);
    path_of(cluster, log, "log", node);
    path_of(cluster, key, "key", 0);
    if (is_shm)
        path_of(cluster, joined_by, "fabric", 0);
    else
        write_members(cluster, joined_by);
    (void)snprintf(id, sizeof(id), "%u", node);
    (void)snprintf(nodes, sizeof(nodes), "1-%u", cluster->nodes_count);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_must(freopen(log, "w", stderr) != NULL, log);
    execl(cluster->penstock, "penstock", "node", "--cluster", "bench", "--id", id, "--socket",
          socket, "--to", to, "--ldms", "2", "--source", source,
          is_shm ? "--nodes" : "--cluster-key", is_shm ? nodes : key,
          is_shm ? "--fabric-dir" : "--member", joined_by, (char *)NULL);
    bench_must(false, cluster->penstock);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bench_must(fd >= 0 && strlen(path) < sizeof(address.sun_path), path);
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* One backup, timed here; *node_ns: by the node. false: refused. */
static bool back_up(int fd, uint64_t *client_ns, uint64_t *node_ns)
{
    static const char request[] = "{\"request\":\"backup\"}", elapsed[] = "\"elapsed_ns\":";
    char answer[4096];
    uint64_t start_ns = pst_monotonic_ns();
    bench_must(send(fd, request, strlen(request), MSG_NOSIGNAL) > 0, "node");
    for (;;) {
        ssize_t bytes = recv(fd, answer, sizeof(answer) - 1, 0);
        bench_must(bytes > 0, "node");
        answer[bytes] = '\0';
        if (strstr(answer, "\"failed\""))
            return false;
        const char *found = strstr(answer, elapsed);
        if (!found)
            continue;
        *client_ns = pst_monotonic_ns() - start_ns;
        *node_ns = strtoull(found + strlen(elapsed), NULL, 10);
        return true;
    }
}

static void sleep_ms(long ms)
{
    struct timespec nap = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&nap, NULL);
}

/* Until all are up and have met. */
static void await_cluster(struct cluster *cluster)
{
    char path[PATH_BYTES];
    uint64_t until_ns = pst_monotonic_ns() + JOIN_NS, ignored_ns;
    path_of(cluster, path, "socket", 1);
    errno = ETIMEDOUT;
    cluster->client_fd = -1;
    while (cluster->client_fd < 0 && pst_monotonic_ns() < until_ns) {
        sleep_ms(10);
        cluster->client_fd = connect_to(path);
    }
    bench_must(cluster->client_fd >= 0, path);
    while (!back_up(cluster->client_fd, &ignored_ns, &ignored_ns)) {
        bench_must(pst_monotonic_ns() < until_ns, "the nodes have not met; see the logs beside");
        sleep_ms(10);
    }
}

static void cluster_open(const struct job *job, struct cluster *cluster)
{
    char path[PATH_BYTES];
    cluster->penstock = job->common.penstock;
    cluster->nodes_count = job->nodes;
    (void)snprintf(cluster->directory, sizeof(cluster->directory), "%s/%s", job->directory,
                   fabric_names[cluster->fabric]);
    bench_must(mkdir(cluster->directory, 0700) == 0, cluster->directory);
    samples_open(&cluster->by_client, (uint32_t)job->common.repeat);
    samples_open(&cluster->by_node, (uint32_t)job->common.repeat);
    make_key(cluster);
    for (uint32_t node = 1; node <= cluster->nodes_count; node++) {
        path_of(cluster, path, "from", node);
        bench_must(mkdir(path, 0700) == 0, path);
        cluster->nodes[node - 1] = fork();
        bench_must(cluster->nodes[node - 1] >= 0, "fork");
        if (cluster->nodes[node - 1] == 0)
            node_run(cluster, node);
    }
    await_cluster(cluster);
}

static void cluster_close(struct cluster *cluster)
{
    for (uint32_t node = 0; node < cluster->nodes_count; node++)
        (void)kill(cluster->nodes[node], SIGTERM);
    for (uint32_t node = 0; node < cluster->nodes_count; node++) {
        (void)waitpid(cluster->nodes[node], NULL, 0);
        cluster->nodes[node] = 0;
    }
    (void)close(cluster->client_fd);
    samples_close(&cluster->by_client);
    samples_close(&cluster->by_node);
}

/* ---- measuring ---- */

static void take_turn(struct job *job, uint32_t turn, bool counts)
{
    uint64_t client_ns, node_ns;
    sleep_ms(2);
    program_end_if_interrupted();
    if (turn >= job->clusters_count) {
        uint32_t way = turn - job->clusters_count;
        samples_add(counts ? &job->exchanged[way] : NULL, exchange_round(&job->exchanges[way]));
        return;
    }
    struct cluster *cluster = &job->clusters[turn];
    bench_must(back_up(cluster->client_fd, &client_ns, &node_ns), "backup");
    samples_add(counts ? &cluster->by_client : NULL, client_ns);
    samples_add(counts ? &cluster->by_node : NULL, node_ns);
    remove_backups(cluster);
}

static void measure(struct job *job)
{
    uint32_t ways = job->clusters_count + job->exchanges_count;
    struct rounds batches = rounds_of(&job->common, ways);
    batches.least = SAMPLES_BATCHES;
    while (rounds_next(&batches)) {
        for (uint32_t i = 0; i < samples_of_batch(job->common.repeat) * ways; i++)
            take_turn(job, batches.order[i % ways], batches.counts);
    }
}

static void exchanges_open(struct job *job)
{
    char fabric[PATH_BYTES];
    (void)snprintf(fabric, sizeof(fabric), "%s/exchange", job->directory);
    for (uint32_t way = 0; way < job->exchanges_count; way++) {
        exchange_open(&job->exchanges[way], (enum exchange_way)way, fabric);
        (void)exchange_round(&job->exchanges[way]);
        samples_open(&job->exchanged[way], (uint32_t)job->common.repeat);
    }
}

static void print_row(bool json, const char *name, const char *detail, struct samples *samples)
{
    char key[96];
    (void)snprintf(key, sizeof(key), "empty-backup %s %s", name, detail);
    if (json) {
        samples_print_json(samples, key);
        return;
    }
    printf("%-6s%-29s", name, detail);
    samples_print(samples, 9, 0);
    printf("\n");
}

/* Before the samples are put in order. */
static void print_ratio(const struct cluster *ours, const struct cluster *theirs)
{
    double batches[2][SAMPLES_BATCHES];
    samples_batches(&ours->by_node, batches[0]);
    samples_batches(&theirs->by_node, batches[1]);
    struct figures_range ratio = figures_paired(batches[0], batches[1], SAMPLES_BATCHES);
    printf("within the node, %s / %s, median of %u batches: %.2f [%.2f, %.2f]\n",
           fabric_names[ours->fabric], fabric_names[theirs->fabric], SAMPLES_BATCHES, ratio.median,
           ratio.low, ratio.high);
}

static void print_heading(const struct job *job)
{
    printf("a sync in %s takes %.1f us\n", job->directory, fsync_us(job->directory));
    if (job->exchanges_count > 0)
        printf("%u signals through the hub of the master\n", job->exchanges[0].signals);
    if (job->clusters_count > 1)
        print_ratio(&job->clusters[1], &job->clusters[0]);
    printf("\n%-35s  %9s  %9s  %9s\n", "", "p50", "p99", "p99.9");
}

static void print(struct job *job)
{
    bool json = job->common.json;
    if (!json)
        print_heading(job);
    for (uint32_t i = 0; i < job->clusters_count; i++) {
        struct cluster *cluster = &job->clusters[i];
        print_row(json, fabric_names[cluster->fabric], "backup, on the control socket",
                  &cluster->by_client);
        print_row(json, fabric_names[cluster->fabric], "backup, within the node",
                  &cluster->by_node);
    }
    for (uint32_t way = 0; way < job->exchanges_count; way++)
        print_row(json, "", exchange_names[way], &job->exchanged[way]);
}

static void run(struct job *job)
{
    exchanges_open(job);
    for (uint32_t i = 0; i < job->clusters_count; i++)
        cluster_open(job, &job->clusters[i]);
    measure(job);
    print(job);
    for (uint32_t i = 0; i < job->clusters_count; i++)
        cluster_close(&job->clusters[i]);
    for (uint32_t way = 0; way < job->exchanges_count; way++) {
        samples_close(&job->exchanged[way]);
        exchange_close(&job->exchanges[way]);
    }
}

/* ---- the command line ---- */

static bool parse_fabrics(struct job *job, const char *list)
{
    static const enum fabric both[][FABRICS] = {{FABRIC_SHM, FABRIC_QUIC},
                                                {FABRIC_QUIC, FABRIC_SHM}};
    static const char *const texts[] = {"shm", "quic", "shm,quic", "quic,shm"};
    for (uint32_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(list, texts[i]) != 0)
            continue;
        job->clusters_count = 1 + i / 2;
        job->clusters[0].fabric = both[i % 2][0];
        job->clusters[1].fabric = both[i % 2][1];
        return true;
    }
    return false;
}

static struct job job = {.clusters_count = 1, .common = COMMON_CHOICES_DEFAULT(1000)};

/* Those that an error or an interrupt has left. */
static void end_nodes(void)
{
    for (uint32_t i = 0; i < FABRICS * NODES_MAX; i++) {
        pid_t node = job.clusters[i / NODES_MAX].nodes[i % NODES_MAX];
        if (node > 0 && kill(node, SIGKILL) == 0)
            (void)waitpid(node, NULL, 0);
    }
}

int bench_empty_backup(int argc, char **argv)
{
    const char *directory = "/dev/shm", *fabrics = "shm";
    uint64_t nodes = 2;
    const struct choice choices[] = {
        {"nodes", CHOICE_COUNT, "N", &nodes, NODES_MAX,
         "of a cluster, 2 to 16; exchanges only with 2"},
        {"fabric", CHOICE_TEXT, "F[,F]", &fabrics, 0, "shm, quic: a cluster of each"},
        {"dir", CHOICE_TEXT, "DIR", &directory, 0,
         "where sources, backups and sockets go; give a tmpfs"},
        {"penstock", CHOICE_TEXT, "PATH", &job.common.penstock, 0,
         "program to run as nodes; by default the one beside this"},
        MEASURING_CHOICES(
            &job.common, 1000000,
            "backups of each cluster, exchanges of each way, in 20 batches, at least"),
        {0}};
    int rest, status = choices_begin(argc, argv, choices, NULL, &rest, &job.common);
    if (status >= 0)
        return status;
    if (nodes < 2 || !parse_fabrics(&job, fabrics)) {
        (void)fprintf(stderr, "penstock-bench: --nodes or --fabric: no such value\n");
        return 2;
    }
    job.nodes = (uint32_t)nodes;
    job.exchanges_count = job.nodes == 2 ? EXCHANGE_WAYS : 0;
    program_catch_interrupts();
    job.directory = program_scratch(directory, end_nodes);
    const char *places[] = {directory, NULL};
    facts_print(job.common.json, argv, places);
    if (!job.common.json)
        printf("a backup of nothing, %u nodes with 2 LDMs each, %u rounds or more, %u CPUs, "
               "microseconds\n",
               job.nodes, (uint32_t)job.common.repeat, bench_cpus());
    (void)fflush(stdout);
    run(&job);
    return 0;
}
