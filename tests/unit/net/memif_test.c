/*
 * Two nodes in two processes, joined by DPDK's memif, which needs no root and has no interrupts:
 * they send as fast as they can, then one signal at a time, for which both sleep. No end is closed
 * while the other uses it: the driver would free, in a thread of its own, what is in use.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/eal/eal_start.h"
#include "tests/suite.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/quic_rig.h"

#define BULK 5000u
#define SINGLE 50u
#define TOTAL (BULK + SINGLE)

static const char *directory;
static uint32_t subnet; /* 10.x.y.0: of this process, for the host has each address once */

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    (void)fprintf(stderr, "FAILED: %s\n", what);
    _exit(1);
}

/* The driver gives up if the server is not there yet. */
static void await_server(void)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/socket", directory);
    while (access(path, F_OK) < 0)
        sched_yield();
}

static void open_node(struct rig_node *node, uint32_t id, const char *role)
{
    static const struct pst_eal_config eal = {.has_hugepages = false};
    static char device[512];
    char message[256] = "";
    must(pst_eal_ops.open(&eal, message, sizeof(message)) == 0, message);
    (void)snprintf(device, sizeof(device),
                   "memif:role=%s,socket=%s/socket,socket-abstract=no,mac=02:00:00:00:00:%02x",
                   role, directory, id);
    struct pst_quic_network *network = quic_rig_network(2);
    for (uint32_t i = 1; i <= 2; i++)
        network->members[i].sin_addr.s_addr = htonl(subnet + i);
    network->prefix_bits = 24;
    network->device = device;
    const struct pst_shm_config patient = rig_config("", id, 1000 + id, 0);
    const struct pst_quic_config config = {.network = network,
                                           .hello = patient.hello,
                                           .ring_signals = 64,
                                           .failure_ns = patient.failure_ns};
    *node = (struct rig_node){.node = id, .fabric = quic_rig_open(&config)};
}

/* In bulk both at once; then each signal answers one. */
static void exchange(struct rig_node *node, uint32_t other)
{
    for (uint64_t sent = 0; sent < TOTAL;) {
        uint64_t wanted = node->node == 1 ? sent : sent + 1;
        struct pst_signal signal = rig_signal(sent);
        if (sent >= BULK && node->received[other] < wanted)
            rig_poll_and_sleep(node, -1);
        else if (pst_fabric_send(node->fabric, other, &signal) == 0)
            sent++;
        else
            rig_poll_and_sleep(node, -1);
    }
    while (node->received[other] < TOTAL)
        rig_poll_and_sleep(node, -1);
    must(node->misplaced[other] == 0, "signals come in order");
    must(node->failed[other] == 0, "the link stays");
    must(pst_fabric_counters(node->fabric, 0).packets_received > 0, "packets are counted");
}

static void run(uint32_t id, const char *role, int mine, int theirs)
{
    struct rig_node node;
    char byte = 0;
    if (id == 2)
        await_server();
    open_node(&node, id, role);
    must(rig_until(&node, 1, &node.joined[3 - id], 1), "the other joins");
    exchange(&node, 3 - id);
    must(write(mine, "x", 1) == 1, "the other listens");
    for (ssize_t got = -1; got < 0;) { /* it may still want an acknowledgement */
        rig_poll_and_sleep(&node, theirs);
        got = read(theirs, &byte, 1);
    }
    _exit(byte == 'x' ? 0 : 1);
}

static void signals_cross(void)
{
    int ways[2][2];
    directory = rig_make_directory();
    subnet = 0x0a000000u | ((uint32_t)getpid() & 0xffffu) << 8;
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(pipe2(ways[i], O_NONBLOCK | O_CLOEXEC), 0);
    pid_t children[2];
    for (uint32_t i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0)
            run(i + 1, i == 0 ? "server" : "client", ways[i][1], ways[1 - i][0]);
    }
    for (uint32_t i = 0; i < 2; i++) {
        int status = -1;
        pid_t ended = waitpid(-1, &status, 0);
        bool is_good = ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        CU_ASSERT_TRUE(is_good);
        if (!is_good) /* the other would wait for it */
            (void)kill(children[ended == children[0]], SIGKILL);
    }
    rig_remove_directory(directory);
}

static CU_TestInfo tests[] = {{"signals cross", signals_cross}, CU_TEST_INFO_NULL};

int main(void)
{
    return suite_run("net memif", tests);
}
