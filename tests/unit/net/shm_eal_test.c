/* The shm fabric on rings in the memory of DPDK's EAL, a primary in each process. Run by
 * shm_eal_test.sh, which reserves hugepages. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "net/eal/eal_start.h"
#include "tests/unit/net/fabric_rig.h"

#define SIGNALS 50000u

static const char *directory;

static void begin(struct rig_node *node, uint32_t id, uint64_t incarnation)
{
    static const struct pst_eal_config eal = {.has_hugepages = true};
    char message[256];
    if (pst_eal_ops.open(&eal, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "%s\n", message);
        _exit(10);
    }
    struct pst_shm_config config = rig_config(directory, id, incarnation, 0);
    config.memory = PST_SHM_EAL;
    config.eal = &pst_eal_ops;
    config.ring_signals = 1024;
    rig_open(node, &config);
}

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    (void)fprintf(stderr, "FAILED: %s\n", what);
    _exit(11);
}

/* Whether this process maps the ring from hugepages. */
static bool rings_are_huge(void)
{
    char line[256];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && fgets(line, sizeof(line), maps)) {
        must(!strstr(line, "penstock-ring"), "no ring lies in a memfd of ours");
        found |= strstr(line, "hugetlb") || strstr(line, "hugepage") || strstr(line, "seg_");
    }
    if (maps)
        (void)fclose(maps);
    return found;
}

static void send_from(struct rig_node *node, uint32_t to, uint64_t total)
{
    uint64_t sent = 0;
    while (sent < total) {
        struct pst_signal signal = rig_signal(sent);
        if (pst_fabric_send(node->fabric, to, &signal) == 0)
            sent++;
        else
            rig_poll_and_sleep(node, -1);
    }
}

/* Node 2, twice: the first life sends until it is killed, the second so many and waits for as many
 * in return. */
static void guest(uint64_t incarnation)
{
    struct rig_node node;
    begin(&node, 2, incarnation);
    must(rig_until(&node, 1, &node.joined[1], 1), "node 1 joins");
    must(rings_are_huge(), "the rings lie in hugepages");
    send_from(&node, 1, incarnation == 1 ? UINT64_MAX : SIGNALS);
    must(rig_until_received(&node, 1, &node.received[1], SIGNALS), "node 1 answers");
    must(node.misplaced[1] == 0, "in order");
    rig_close(&node);
    pst_eal_ops.close();
    _exit(0);
}

/* Node 1 hears the first life out, and then the second. ready: told when the first can be killed.
 */
static void host(int ready)
{
    struct rig_node node;
    begin(&node, 1, 500);
    must(rig_until(&node, 1, &node.joined[2], 1), "node 2 joins");
    must(rig_until_received(&node, 1, &node.received[2], SIGNALS), "node 2 sends");
    must(write(ready, "k", 1) == 1, "the test listens");
    must(rig_until(&node, 1, &node.failed[2], 1), "node 2 dies");
    must(node.failure[2] == PST_FABRIC_DIED, "for certain");
    must(node.misplaced[2] == 0, "what it sent is whole, although its EAL is gone");
    must(rig_until(&node, 1, &node.joined[2], 2), "node 2 comes again");
    must(node.incarnation == 2, "under a new incarnation");
    must(rig_until_received(&node, 1, &node.received[2], SIGNALS), "node 2 sends again");
    send_from(&node, 2, SIGNALS);
    must(rig_until(&node, 1, &node.failed[2], 2), "node 2 leaves");
    must(node.failure[2] == PST_FABRIC_LEFT, "in order");
    must(node.misplaced[2] == 0, "in order again");
    rig_close(&node);
    pst_eal_ops.close();
    _exit(0);
}

static void expect(pid_t child, int code, const char *who)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != code) {
        (void)fprintf(stderr, "FAILED: %s ended with status %x\n", who, (unsigned)status);
        exit(1);
    }
}

static pid_t start_guest(uint64_t incarnation)
{
    pid_t child = fork();
    if (child == 0)
        guest(incarnation);
    return child;
}

int main(void)
{
    int ready[2];
    char byte;
    directory = rig_make_directory();
    if (pipe(ready) < 0)
        return 1;
    pid_t first = fork();
    if (first == 0) {
        close(ready[0]);
        host(ready[1]);
    }
    close(ready[1]);
    pid_t second = start_guest(1);
    bool is_ready = read(ready[0], &byte, 1) == 1;
    kill(second, SIGKILL);
    (void)waitpid(second, NULL, 0);
    if (is_ready)
        expect(start_guest(2), 0, "node 2");
    expect(first, 0, "node 1");
    rig_remove_directory(directory);
    (void)printf("two nodes, three lives, %u signals each way on rings of the EAL\n", SIGNALS);
    return 0;
}
