/* The shm fabric between processes: killed, stopped, gone wild, started again. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "tests/suite.h"
#include "tests/unit/net/fabric_rig.h"

/* Sanitizers slow this down tenfold, and gain nothing from more of the same. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SIGNALS_EACH 20000u
#define ROUNDS 10
#else
#define SIGNALS_EACH 170000u
#define ROUNDS 30
#endif

#define NODES 3u
#define STOPPED_NS UINT64_C(1500000000)

static const char *directory;

static struct pst_shm_config config_of(uint32_t node, uint64_t incarnation)
{
    struct pst_shm_config config = rig_config(directory, node, incarnation, 0);
    config.ring_signals = 256;
    return config;
}

/* Runs role(node, incarnation) in a child, which never returns. */
static pid_t start(void (*role)(uint32_t node, uint64_t incarnation), uint32_t node,
                   uint64_t incarnation)
{
    pid_t child = fork();
    if (child < 0)
        abort();
    if (child == 0) {
        role(node, incarnation);
        _exit(0);
    }
    return child;
}

/* How a child ended: its exit code, or 1000 + its signal. */
static int end_of(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child)
        abort();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void kill_and_reap(pid_t child)
{
    kill(child, SIGKILL);
    CU_ASSERT_EQUAL(end_of(child), 1000 + SIGKILL);
}

/* As many signals as the rings take. */
static bool send_more(struct rig_node *node, uint32_t to, uint64_t *sent, uint64_t total)
{
    bool worked = false;
    while (*sent < total) {
        struct pst_signal signal = rig_signal(*sent);
        int error = pst_fabric_send(node->fabric, to, &signal);
        if (error)
            break;
        ++*sent;
        worked = true;
    }
    return worked;
}

/* ---- many signals among several processes ---- */

/* Everybody sends to everybody, keeps what a full ring does not take, and sleeps when there is
 * nothing to do. Exit code: what was wrong. */
static void talk(uint32_t id, uint64_t incarnation)
{
    struct rig_node node;
    struct pst_shm_config config = config_of(id, incarnation);
    uint64_t sent[NODES + 1] = {0}, deadline_ns = pst_monotonic_ns() + 2 * RIG_PATIENCE_NS;
    uint32_t done = 0;
    rig_open(&node, &config);
    while (done < NODES - 1) {
        bool worked = false;
        done = 0;
        for (uint32_t to = 1; to <= NODES; to++) {
            if (to == id)
                continue;
            worked |= node.joined[to] && send_more(&node, to, &sent[to], SIGNALS_EACH);
            done += sent[to] == SIGNALS_EACH && node.received[to] == SIGNALS_EACH;
            if (node.misplaced[to] || node.joined[to] > 1)
                _exit(1);
        }
        if (pst_monotonic_ns() > deadline_ns)
            _exit(2);
        if (worked)
            rig_poll(&node);
        else if (done < NODES - 1)
            rig_poll_and_sleep(&node, -1);
    }
    rig_close(&node);
}

static void nothing_is_lost_among_three_processes(void)
{
    pid_t children[NODES];
    directory = rig_make_directory();
    for (uint32_t i = 0; i < NODES; i++)
        children[i] = start(talk, i + 1, 500 + i);
    for (uint32_t i = 0; i < NODES; i++)
        CU_ASSERT_EQUAL(end_of(children[i]), 0);
    rig_remove_directory(directory);
}

/* ---- killed while it sends ---- */

static void chatter(uint32_t id, uint64_t incarnation)
{
    struct rig_node node;
    struct pst_shm_config config = config_of(id, incarnation);
    uint64_t sent = 0;
    rig_open(&node, &config);
    for (;;) {
        rig_poll(&node);
        (void)send_more(&node, 2, &sent, UINT64_MAX);
    }
}

/* By turns the one that accepts and the one that connects is killed, at every sort of moment; what
 * it sent before is whole, its end is certain, and its next life joins. */
static void killed_nodes_are_missed_and_come_again(void)
{
    directory = rig_make_directory();
    struct rig_node node;
    struct pst_shm_config config = config_of(2, 7);
    rig_open(&node, &config);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint32_t id = round % 2 ? 1 : 3;
        uint32_t life = (round + 1) / 2;
        pid_t child = start(chatter, id, 1000 + round);
        CU_ASSERT_TRUE_FATAL(rig_until(&node, 1, &node.joined[id], life));
        CU_ASSERT_EQUAL(node.incarnation, 1000 + round);
        CU_ASSERT_TRUE(rig_until_received(&node, 1, &node.received[id], 37 * round));
        kill_and_reap(child);
        CU_ASSERT_TRUE_FATAL(rig_until(&node, 1, &node.failed[id], life));
        CU_ASSERT_EQUAL(node.failure[id], PST_FABRIC_DIED);
        CU_ASSERT_EQUAL(node.misplaced[id], 0);
    }
    CU_ASSERT_EQUAL(pst_fabric_counters(node.fabric, 0).ring_bytes, 0);
    CU_ASSERT_EQUAL(node.expelled, 0);
    rig_close(&node);
    rig_remove_directory(directory);
}

/* A child of the node's that lives on must not keep its sockets, nor its lock. */
static int orphan_told[2];

static void orphan_leaver(uint32_t id, uint64_t incarnation)
{
    struct rig_node node;
    struct pst_shm_config config = config_of(id, incarnation);
    rig_open(&node, &config);
    if (!rig_until(&node, 1, &node.joined[2], 1))
        _exit(3);
    pid_t orphan = fork();
    if (orphan == 0) {
        (void)close_range(0, 2, 0); /* the test's output is not to wait for it */
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
        _exit(127);
    }
    if (write(orphan_told[1], &orphan, sizeof(orphan)) != (ssize_t)sizeof(orphan))
        _exit(5);
    for (;;)
        rig_poll_and_sleep(&node, -1);
}

static void a_child_that_lives_on_hides_no_death(void)
{
    pid_t orphan = 0;
    directory = rig_make_directory();
    struct rig_node node;
    struct pst_shm_config config = config_of(2, 7);
    CU_ASSERT_EQUAL_FATAL(pipe2(orphan_told, O_CLOEXEC), 0);
    rig_open(&node, &config);
    pid_t child = start(orphan_leaver, 1, 50);
    CU_ASSERT_TRUE(rig_until(&node, 1, &node.joined[1], 1));
    CU_ASSERT_EQUAL_FATAL(read(orphan_told[0], &orphan, sizeof(orphan)), (ssize_t)sizeof(orphan));
    kill_and_reap(child);
    CU_ASSERT_TRUE(rig_until(&node, 1, &node.failed[1], 1));
    CU_ASSERT_EQUAL(node.failure[1], PST_FABRIC_DIED);
    child = start(chatter, 1, 51); /* the id is free again */
    CU_ASSERT_TRUE(rig_until(&node, 1, &node.joined[1], 2));
    kill_and_reap(child);
    CU_ASSERT_EQUAL(kill(orphan, SIGKILL), 0); /* it did live on */
    close(orphan_told[0]);
    close(orphan_told[1]);
    rig_close(&node);
    rig_remove_directory(directory);
}

/* ---- stopped, and resumed ---- */

/* Rejoins under the next incarnation whenever it finds out that it was declared dead. */
static void comes_back(uint32_t id, uint64_t incarnation)
{
    struct rig_node node;
    struct pst_shm_config config = config_of(id, incarnation);
    uint64_t sent = 0;
    uint32_t expelled = 0;
    config.failure_ns = STOPPED_NS;
    rig_open(&node, &config);
    for (;;) {
        rig_poll_and_sleep(&node, -1);
        (void)send_more(&node, 2, &sent, UINT64_MAX);
        if (node.expelled == expelled)
            continue;
        expelled = node.expelled;
        sent = 0;
        if (pst_fabric_rejoin(node.fabric, incarnation + expelled) < 0)
            _exit(4);
    }
}

static void stopped_nodes_are_suspected_and_find_out(void)
{
    for (uint32_t id = 1; id <= 3; id += 2) {
        directory = rig_make_directory();
        struct rig_node node;
        struct pst_shm_config config = config_of(2, 7);
        config.failure_ns = STOPPED_NS;
        rig_open(&node, &config);
        pid_t child = start(comes_back, id, 100);
        CU_ASSERT_TRUE_FATAL(rig_until(&node, 1, &node.joined[id], 1));
        CU_ASSERT_TRUE(rig_until_received(&node, 1, &node.received[id], 1));
        kill(child, SIGSTOP);
        CU_ASSERT_EQUAL(waitpid(child, NULL, WUNTRACED), child); /* it takes no more */
        /* It never blocks us: its ring fills up, and then it is no more. */
        uint64_t sent = 0;
        while (node.failed[id] == 0) {
            (void)send_more(&node, id, &sent, UINT64_MAX);
            rig_poll_and_sleep(&node, -1);
        }
        CU_ASSERT_EQUAL(node.failure[id], PST_FABRIC_SUSPECTED);
        CU_ASSERT_EQUAL(sent, 255);
        struct pst_signal signal = rig_signal(0);
        CU_ASSERT_EQUAL(pst_fabric_send(node.fabric, id, &signal), -ENOTCONN);
        CU_ASSERT_EQUAL(node.misplaced[id], 0);
        kill(child, SIGCONT);
        CU_ASSERT_TRUE(rig_until(&node, 1, &node.joined[id], 2));
        CU_ASSERT_EQUAL(node.incarnation, 101);
        CU_ASSERT_TRUE(rig_until_received(&node, 1, &node.received[id], 1));
        CU_ASSERT_EQUAL(node.misplaced[id], 0);
        CU_ASSERT_EQUAL(node.expelled, 0);
        kill_and_reap(child);
        rig_close(&node);
        rig_remove_directory(directory);
    }
}

/* ---- gone wild ---- */

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Random bytes over one of the rings that this process has mapped. */
static void scribble(uint64_t *random)
{
    char line[256];
    uint64_t chosen = next_random(random) % 2;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof(line), maps)) {
        unsigned long begin, end;
        if (!strstr(line, "memfd:penstock-ring") || sscanf(line, "%lx-%lx", &begin, &end) != 2 ||
            chosen-- > 0)
            continue;
        unsigned char *bytes = (unsigned char *)begin;
        uint64_t area = next_random(random) % 2 ? 2048 : end - begin; /* indexes, or all of it */
        for (uint64_t i = next_random(random) % 256; i > 0; i--)
            bytes[next_random(random) % area] = (unsigned char)next_random(random);
        break;
    }
    if (maps)
        (void)fclose(maps);
}

/* Talks like a sane node for a random while, then also overwrites the rings it shares with node 2.
 * Its own fabric may notice first, and declare node 2 dead; it then goes on until it is killed. */
static void go_wild(uint32_t id, uint64_t incarnation)
{
    struct rig_node node;
    struct pst_shm_config config = config_of(id, incarnation);
    uint64_t sent = 0, random = incarnation, calm = next_random(&random) % 3000;
    rig_open(&node, &config);
    for (uint64_t step = 0;; step++) {
        rig_poll(&node);
        (void)send_more(&node, 2, &sent, sent + next_random(&random) % 50);
        if (node.joined[2] && calm > 0)
            calm--;
        else if (node.joined[2])
            scribble(&random);
    }
}

static void wild_nodes_do_no_harm(void)
{
    directory = rig_make_directory();
    struct rig_node node;
    struct pst_shm_config config = config_of(2, 7);
    uint32_t detected = 0;
    rig_open(&node, &config);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint32_t id = round % 2 ? 1 : 3;
        uint32_t joined = node.joined[id], expelled = node.expelled;
        uint64_t sent = 0, deadline_ns = pst_monotonic_ns() + RIG_PATIENCE_NS;
        pid_t child = start(go_wild, id, 1000 + round);
        node.misplaced[id] = 0;
        CU_ASSERT_TRUE_FATAL(rig_until(&node, 1, &node.joined[id], joined + 1));
        uint32_t failed = node.failed[id];
        while (node.failed[id] == failed && pst_monotonic_ns() < deadline_ns) {
            (void)send_more(&node, id, &sent, sent + 20);
            rig_poll(&node);
        }
        CU_ASSERT_EQUAL(node.failed[id], failed + 1);
        CU_ASSERT_EQUAL(node.misplaced[id], 0); /* nothing but what was sent, in order */
        CU_ASSERT_TRUE(node.failure[id] == PST_FABRIC_DAMAGED ||
                       node.failure[id] == PST_FABRIC_LOST);
        detected += node.failure[id] == PST_FABRIC_DAMAGED;
        kill_and_reap(child);
        rig_poll(&node);
        if (node.expelled > expelled)
            CU_ASSERT_EQUAL(pst_fabric_rejoin(node.fabric, 10000 + round), 0);
    }
    (void)printf("(%u of %u seen first here) ", detected, ROUNDS);
    rig_close(&node);
    rig_remove_directory(directory);
}

/* A child of the program's own, which has open what the process had when it was forked. */
static void a_child_that_lives_on_keeps_no_place(void)
{
    directory = rig_make_directory();
    struct rig_node node;
    struct pst_shm_config config = config_of(1, 1);
    rig_open(&node, &config);
    pid_t child = fork();
    if (child == 0) {
        alarm(60); /* where this test fails, it ends the process */
        _exit(pause());
    }
    rig_close(&node);
    rig_open(&node, &config);
    rig_close(&node);
    kill_and_reap(child);
    rig_remove_directory(directory);
}

static CU_TestInfo tests[] = {
    {"nothing is lost among three processes", nothing_is_lost_among_three_processes},
    {"killed nodes are missed and come again", killed_nodes_are_missed_and_come_again},
    {"a child that lives on hides no death", a_child_that_lives_on_hides_no_death},
    {"a child that lives on keeps no place", a_child_that_lives_on_keeps_no_place},
    {"stopped nodes are suspected and find out", stopped_nodes_are_suspected_and_find_out},
    {"wild nodes do no harm", wild_nodes_do_no_harm},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net shm_process", tests);
}
