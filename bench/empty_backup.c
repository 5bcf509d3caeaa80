/*
 * penstock-bench empty-backup: BACKUP_REQ to BACKUP_COMPLETE_REP of a backup of nothing, by two
 * processes of penstock node with 2 LDMs and one empty directory each, on tmpfs: as a client on the
 * control socket sees it, and as the node does. Beside it the same signals between as many
 * processes and threads, without files, over rings and over UNIX sockets (exchange.h). The ways
 * take turns, round by round; before each all threads have gone to sleep, and the backups of the
 * round before are removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
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
#include "bench/exchange.h"
#include "bench/fan_out.h"
#include "bench/samples.h"
#include "engine/base/clock.h"

#define NODES 2u
#define PATH_BYTES 512u
#define JOIN_NS UINT64_C(10000000000)
#define FSYNCS 1000u

enum row { ROW_CLIENT, ROW_NODE, ROW_EXCHANGE, ROWS = ROW_EXCHANGE + EXCHANGE_WAYS };

static const char *const row_names[ROWS] = {
    [ROW_CLIENT] = "backup, on the control socket",
    [ROW_NODE] = "backup, within the node",
    [ROW_EXCHANGE + EXCHANGE_RINGS] = "signals only, rings",
    [ROW_EXCHANGE + EXCHANGE_SOCKETS] = "signals only, sockets",
    [ROW_EXCHANGE + EXCHANGE_SOCKETS_POLLED] = "signals only, sockets, polled",
};

struct cluster {
    const char *penstock;
    char directory[PATH_BYTES / 2];
    pid_t nodes[NODES];
    int client_fd;
};

/* ---- files ---- */

static void path_of(const struct cluster *cluster, char *path, const char *what, uint32_t node)
{
    (void)snprintf(path, PATH_BYTES, "%s/%s%u", cluster->directory, what, node);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_tree(const char *path)
{
    bench_must(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, path);
}

static void remove_backups(const struct cluster *cluster)
{
    char to[PATH_BYTES], path[2 * PATH_BYTES];
    for (uint32_t node = 1; node <= NODES; node++) {
        path_of(cluster, to, "to", node);
        DIR *directory = opendir(to);
        bench_must(directory, to);
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
            (void)snprintf(path, sizeof(path), "%s/%s", to, entry->d_name);
            if (strncmp(entry->d_name, "BACKUP-", strlen("BACKUP-")) == 0)
                remove_tree(path);
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

static void node_run(const struct cluster *cluster, uint32_t node)
{
    char source[PATH_BYTES + 8] = "dir:", to[PATH_BYTES], socket[PATH_BYTES], fabric[PATH_BYTES];
    char log[PATH_BYTES], id[4];
    path_of(cluster, source + strlen(source), "from", node);
    path_of(cluster, to, "to", node);
    path_of(cluster, socket, "socket", node);
    path_of(cluster, log, "log", node);
    path_of(cluster, fabric, "fabric", 0);
    (void)snprintf(id, sizeof(id), "%u", node);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_must(freopen(log, "w", stderr) != NULL, log);
    execl(cluster->penstock, "penstock", "node", "--cluster", "bench", "--id", id, "--nodes", "1-2",
          "--socket", socket, "--fabric-dir", fabric, "--to", to, "--ldms", "2", "--source", source,
          (char *)NULL);
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

/* Until both are up and have met. */
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

static void cluster_open(struct cluster *cluster)
{
    char path[PATH_BYTES];
    for (uint32_t node = 1; node <= NODES; node++) {
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
    for (uint32_t node = 0; node < NODES; node++)
        (void)kill(cluster->nodes[node], SIGTERM);
    for (uint32_t node = 0; node < NODES; node++)
        (void)waitpid(cluster->nodes[node], NULL, 0);
    (void)close(cluster->client_fd);
}

/* ---- measuring ---- */

static void measure(struct cluster *cluster, struct exchange *exchanges, struct samples *rows,
                    uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds * (1 + EXCHANGE_WAYS); i++) {
        uint32_t turn = i % (1 + EXCHANGE_WAYS);
        uint64_t client_ns, node_ns;
        sleep_ms(2);
        if (turn < EXCHANGE_WAYS) {
            samples_add(&rows[ROW_EXCHANGE + turn], exchange_round(&exchanges[turn]));
            continue;
        }
        bench_must(back_up(cluster->client_fd, &client_ns, &node_ns), "backup");
        samples_add(&rows[ROW_CLIENT], client_ns);
        samples_add(&rows[ROW_NODE], node_ns);
        remove_backups(cluster);
    }
}

static void run(struct cluster *cluster, uint32_t rounds)
{
    struct exchange exchanges[EXCHANGE_WAYS];
    struct samples rows[ROWS];
    char fabric[PATH_BYTES];
    path_of(cluster, fabric, "exchange", 0);
    for (uint32_t way = 0; way < EXCHANGE_WAYS; way++) {
        exchange_open(&exchanges[way], (enum exchange_way)way, fabric);
        (void)exchange_round(&exchanges[way]);
    }
    for (uint32_t row = 0; row < ROWS; row++)
        samples_open(&rows[row], rounds);
    cluster_open(cluster);
    measure(cluster, exchanges, rows, rounds);
    cluster_close(cluster);
    printf("%u signals through the hub of the master; a sync in %s takes %.1f us\n\n"
           "%-30s  %9s  %9s  %9s\n",
           exchanges[0].signals, cluster->directory, fsync_us(cluster->directory), "", "p50", "p99",
           "p99.9");
    for (uint32_t row = 0; row < ROWS; row++) {
        samples_sort(&rows[row]);
        printf("%-30s  %9.0f  %9.0f  %9.0f\n", row_names[row], samples_us(&rows[row], 500),
               samples_us(&rows[row], 990), samples_us(&rows[row], 999));
        samples_close(&rows[row]);
    }
    for (uint32_t way = 0; way < EXCHANGE_WAYS; way++)
        exchange_close(&exchanges[way]);
}

/* ---- the command line ---- */

static const char usage_text[] =
    "usage: penstock-bench empty-backup [OPTION]...\n"
    "  --rounds N       backups, and exchanges of each way (default: 500)\n"
    "  --penstock PATH  program to run as nodes (default: the one beside this)\n"
    "  --dir DIR        where sources, backups and sockets go; give a tmpfs (default: /dev/shm)\n";

static const struct option long_options[] = {
    {"rounds", required_argument, NULL, 'r'},
    {"penstock", required_argument, NULL, 'p'},
    {"dir", required_argument, NULL, 'd'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void find_penstock(char *path)
{
    ssize_t bytes = readlink("/proc/self/exe", path, PATH_BYTES - sizeof("penstock"));
    bench_must(bytes > 0, "/proc/self/exe");
    path[bytes] = '\0';
    strcpy(strrchr(path, '/') + 1, "penstock");
}

int bench_empty_backup(int argc, char **argv)
{
    char beside[PATH_BYTES];
    struct cluster cluster = {.penstock = beside};
    const char *directory = "/dev/shm";
    uint32_t rounds = 500;
    int option;
    find_penstock(beside);
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'r')
            rounds = bench_number(optarg, 1000000);
        else if (option == 'p')
            cluster.penstock = optarg;
        else if (option == 'd')
            directory = optarg;
        if (option == 'h' || option == '?' || rounds == 0) {
            (void)fputs(usage_text, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    (void)snprintf(cluster.directory, sizeof(cluster.directory), "%s/penstock-bench-XXXXXX",
                   directory);
    bench_must(mkdtemp(cluster.directory) != NULL, cluster.directory);
    printf("a backup of nothing, 2 nodes with 2 LDMs each, %u rounds, %u CPUs, microseconds\n",
           rounds, bench_cpus());
    (void)fflush(stdout);
    run(&cluster, rounds);
    remove_tree(cluster.directory);
    return 0;
}
