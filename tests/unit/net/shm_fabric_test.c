/* What only the shm fabric has, its nodes driven by turns in one process: who may join, what its
 * messages and rings may be, and expulsion. What it has in common with other fabrics:
 * fabric_contract_test.c; with processes of their own: shm_process_test.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "net/shm/shared_ring.h"
#include "net/shm/shm_wire.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/net/fabric_rig.h"

static const char *directory;
static struct rig_node nodes[2]; /* ids 1, 2 */

static void open_nodes(uint32_t count)
{
    directory = rig_make_directory();
    for (uint32_t i = 0; i < count; i++) {
        struct pst_shm_config config = rig_config(directory, i + 1, 1000 + i, 0);
        rig_open(&nodes[i], &config);
    }
}

static void close_nodes(void)
{
    for (uint32_t i = 0; i < 2; i++)
        rig_close(&nodes[i]);
    rig_remove_directory(directory);
}

static void open_joined(uint32_t count)
{
    open_nodes(count);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t other = 1; other <= count; other++) {
            if (other != i + 1)
                CU_ASSERT_TRUE_FATAL(rig_until(nodes, count, &nodes[i].joined[other], 1));
        }
    }
}

static int try_open(const struct pst_shm_config *config, char message[256])
{
    struct pst_fabric *fabric = NULL;
    int error = pst_shm_fabric_open(config, &fabric, message, 256);
    pst_fabric_close(fabric);
    return error;
}

static void the_dead_are_not_heard_again(void)
{
    open_joined(2);
    rig_close(&nodes[1]);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].failed[2], 1));
    /* On the side that accepts, by the incarnation alone. */
    struct pst_shm_config config = rig_config(directory, 2, 1001, 0);
    rig_open(&nodes[1], &config);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].expelled, 1));
    CU_ASSERT_EQUAL(nodes[1].expelled_by, 1);
    CU_ASSERT_EQUAL(nodes[0].joined[2], 1);
    CU_ASSERT_EQUAL(pst_fabric_rejoin(nodes[1].fabric, 1002), 0);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].joined[2], 2));
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].joined[1], 1));
    /* And on the side that connects. */
    rig_close(&nodes[0]);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].failed[1], 1));
    config = rig_config(directory, 1, 1000, 0);
    rig_open(&nodes[0], &config);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].expelled, 1));
    CU_ASSERT_EQUAL(nodes[0].expelled_by, 2);
    CU_ASSERT_EQUAL(nodes[1].joined[1], 1);
    close_nodes();
}

static void node_id_runs_only_once(void)
{
    char message[256];
    open_nodes(1);
    struct pst_shm_config config = rig_config(directory, 1, 5, 0);
    CU_ASSERT_EQUAL(try_open(&config, message), -EEXIST);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "node 1 of this cluster runs already, as process "));
    rig_close(&nodes[0]);
    CU_ASSERT_EQUAL(try_open(&config, message), 0);
    close_nodes();
}

static void open_refuses_what_is_not_sound(void)
{
    char message[256];
    directory = rig_make_directory();
    struct pst_shm_config config = rig_config(directory, 0, 5, 0);
    CU_ASSERT_EQUAL(try_open(&config, message), -EINVAL);
    config = rig_config(directory, PST_NODES_MAX + 1, 5, 0);
    CU_ASSERT_EQUAL(try_open(&config, message), -EINVAL);
    config = rig_config(directory, 1, 5, 0);
    config.hello.cluster[0] = '\0';
    CU_ASSERT_EQUAL(try_open(&config, message), -EINVAL);
    config = rig_config(directory, 1, 5, 1);
    CU_ASSERT_EQUAL(try_open(&config, message), -EINVAL);
    config = rig_config(directory, 1, 5, 0);
    config.ring_signals = 3;
    CU_ASSERT_EQUAL(try_open(&config, message), -EINVAL);
    config = rig_config("/proc/no/such/place", 1, 5, 0);
    CU_ASSERT_EQUAL(try_open(&config, message), -ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "/proc/no/such/place"));
    config = rig_config(directory, 1, 5, 0);
    CU_ASSERT_EQUAL(chmod(directory, 0750), 0);
    CU_ASSERT_EQUAL(try_open(&config, message), -EPERM);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "chmod 0700"));
    rig_remove_directory(directory);
}

/* A peer that speaks by hand. */
static int dial(uint32_t node)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/node-%u.sock", directory, node);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* What node 1 answers: the refusal's code; 0: something else; -1: nothing but the end. */
static int refusal_of(int fd)
{
    union shm_message message;
    uint64_t deadline_ns = pst_monotonic_ns() + RIG_PATIENCE_NS;
    int bytes, with;
    do {
        rig_poll(&nodes[0]);
        bytes = shm_receive(fd, &message, &with);
    } while (bytes == -EAGAIN && pst_monotonic_ns() < deadline_ns);
    if (with >= 0)
        close(with);
    close(fd);
    if (bytes == 0)
        return -1;
    CU_ASSERT_TRUE(bytes > 0);
    CU_ASSERT_EQUAL(shm_check(&message, (uint32_t)bytes), SHM_REFUSE_NONE);
    return message.header.type == SHM_REFUSE ? (int)message.notice.code : 0;
}

static struct shm_hello hello_make(void)
{
    struct shm_hello hello = {
        .header = {SHM_MAGIC, SHM_VERSION, SHM_HELLO},
        .signal_version = PST_SIGNAL_VERSION,
        .ring_signals = 64,
        .node = {.cluster = "test", .node = 2, .incarnation = 77},
        .ring_bytes = 16384,
        .failure_us = (uint32_t)(rig_config("", 1, 1, 0).failure_ns / 1000),
    };
    hello.node.cluster_id = 9;
    return hello;
}

static int answer_to(const struct shm_hello *hello, uint32_t bytes, int with)
{
    int fd = dial(1);
    CU_ASSERT_EQUAL_FATAL(shm_send(fd, hello, bytes, with), 0);
    return refusal_of(fd);
}

static void strange_hellos_are_refused(void)
{
    open_nodes(1);
    uint32_t whole = sizeof(struct shm_hello);
    struct shm_hello hello = hello_make();
    CU_ASSERT_EQUAL(answer_to(&hello, whole / 2, -1), SHM_REFUSE_MALFORMED);
    CU_ASSERT_EQUAL(answer_to(&hello, 3, -1), SHM_REFUSE_MALFORMED);
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_MEMORY); /* without a ring */
    hello.header.version++;
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_VERSION);
    hello = hello_make();
    hello.signal_version++;
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_VERSION);
    hello = hello_make();
    hello.header.magic++;
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_MALFORMED);
    hello = hello_make();
    hello.node.cluster[0] = 'b';
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_CLUSTER);
    hello = hello_make();
    hello.node.cluster_id = 10;
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_CLUSTER);
    for (uint32_t node = 0; node < 2; node++) {
        hello = hello_make();
        hello.node.node = node;
        CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_NODE);
    }
    hello = hello_make();
    hello.node.node = PST_NODES_MAX + 1;
    CU_ASSERT_EQUAL(answer_to(&hello, whole, -1), SHM_REFUSE_NODE);
    hello = hello_make();
    hello.header.type = SHM_READY;
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello.header), -1), SHM_REFUSE_MALFORMED);
    CU_ASSERT_EQUAL(nodes[0].joined[2], 0);
    CU_ASSERT_TRUE(pst_fabric_counters(nodes[0].fabric, 0).refusals >= 10);
    close_nodes();
}

static void make_ring_in(int fd)
{
    struct shared_ring_end *out;
    void *memory = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(memory, MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(shared_ring_make(&out, memory, 64, 77), 0);
    shared_ring_free(out);
    (void)munmap(memory, 16384);
}

/* A ring that could shrink, or is not there, would be a SIGBUS later. */
static void unsafe_rings_are_refused(void)
{
    open_nodes(1);
    struct shm_hello hello = hello_make();
    int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 16384), 0);
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    make_ring_in(fd);
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    hello.ring_signals = 32;
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    hello = hello_make();
    hello.ring_bytes = 32768;
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    hello = hello_make();
    hello.ring_offset = UINT64_MAX;
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    for (uint32_t slots = 0; slots < 64; slots = 2 * slots + 1) {
        hello = hello_make();
        hello.ring_signals = slots;
        CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    }
    hello = hello_make();
    hello.ring_signals = 1u << 31;
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), SHM_REFUSE_MEMORY);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    hello = hello_make();
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), null), SHM_REFUSE_MEMORY);
    close(null);
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), fd), 0); /* HELLO: nothing is wrong with it */
    close(fd);
    close_nodes();
}

/* Those who only connect do not keep a node out. */
static void many_silent_connections_do_no_harm(void)
{
    int silent[50];
    open_nodes(1);
    for (uint32_t i = 0; i < 50; i++) {
        silent[i] = dial(1);
        rig_poll(&nodes[0]);
    }
    struct pst_shm_config config = rig_config(directory, 2, 7, 0);
    rig_open(&nodes[1], &config);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].joined[1], 1));
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].joined[2], 1));
    for (uint32_t i = 0; i < 50; i++)
        close(silent[i]);
    close_nodes();
}

static void other_users_are_refused(void)
{
    if (geteuid() != 0) {
        (void)printf("not run: only root can become another user ");
        return;
    }
    open_nodes(1);
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    (void)snprintf(path, sizeof(path), "%s/node-1.sock", directory);
    int ends[2];
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    /* Twice: kept out by the permissions; and with these out of the way, by its credentials. */
    for (int opened = 0; opened < 2; opened++) {
        if (opened) {
            CU_ASSERT_EQUAL(chmod(directory, 0755), 0);
            CU_ASSERT_EQUAL(chmod(path, 0666), 0);
        }
        pid_t child = fork();
        CU_ASSERT_NOT_EQUAL_FATAL(child, -1);
        if (child == 0) {
            struct sockaddr_un address = {.sun_family = AF_UNIX};
            memcpy(address.sun_path, path, sizeof(path));
            int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
            if (setgid(65534) < 0 || setuid(65534) < 0)
                _exit(100);
            if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                _exit(errno == EACCES ? 101 : 102);
            struct shm_notice notice = {.code = 99};
            ssize_t bytes = read(fd, &notice, sizeof(notice));
            _exit(bytes == (ssize_t)sizeof(notice) ? (int)notice.code : 103);
        }
        int status = 0;
        while (waitpid(child, &status, WNOHANG) == 0)
            rig_poll(&nodes[0]);
        CU_ASSERT_TRUE(WIFEXITED(status));
        CU_ASSERT_EQUAL(WEXITSTATUS(status), opened ? SHM_REFUSE_STRANGER : 101);
    }
    close_nodes();
}

static void a_node_that_is_kept_out_is_told_to_come_later(void)
{
    struct shm_hello hello = hello_make();
    open_joined(2);
    nodes[0].mourns = true;
    rig_close(&nodes[1]);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].failed[2], 1));
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), -1), SHM_REFUSE_LATER);
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), -1), SHM_REFUSE_LATER);
    pst_fabric_readmit(nodes[0].fabric, 2);
    CU_ASSERT_EQUAL(answer_to(&hello, sizeof(hello), -1), SHM_REFUSE_MEMORY); /* without a ring */
    close_nodes();
}

/* How often a line with these words is in the log. */
static uint32_t count_lines(const char *logged, const char *words)
{
    uint32_t count = 0;
    for (; (logged = strstr(logged, words)); logged++)
        count++;
    return count;
}

/* Both ends name both values, once, though they meet again and again; and when they agree, that is
 * over. */
static void nodes_that_disagree_say_so_once(void)
{
    static const char words[] = "--failure differs: 450ms at node 1, 1500ms at node 2";
    directory = rig_make_directory();
    rig_set_clock(UINT64_C(1000000000));
    struct pst_shm_config config = rig_config(directory, 1, 1001, UINT64_C(450000000));
    rig_open(&nodes[0], &config);
    config = rig_config(directory, 2, 1002, UINT64_C(1500000000));
    begin_log_capture();
    rig_open(&nodes[1], &config);
    for (uint32_t i = 0; i < 10000; i++)
        rig_round(nodes, 2);
    char *logged = end_log_capture();
    CU_ASSERT_EQUAL(count_lines(logged, "node 1 turned away node 2: "), 1);
    CU_ASSERT_EQUAL(count_lines(logged, "node 2 is not let in by node 1: "), 1);
    CU_ASSERT_EQUAL(count_lines(logged, words), 2);
    free(logged);
    CU_ASSERT_TRUE(pst_fabric_counters(nodes[0].fabric, 0).refusals > 2);
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[0].fabric, 2), words);
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[1].fabric, 1), words);
    rig_close(&nodes[1]);
    config = rig_config(directory, 2, 1003, UINT64_C(450000000));
    rig_open(&nodes[1], &config);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].joined[2], 1));
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[0].fabric, 2), "");
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[1].fabric, 1), "");
    rig_set_clock(0);
    close_nodes();
}

static CU_TestInfo tests[] = {
    {"the dead are not heard again", the_dead_are_not_heard_again},
    {"a node that is kept out is told to come later",
     a_node_that_is_kept_out_is_told_to_come_later},
    {"nodes that disagree say so once", nodes_that_disagree_say_so_once},
    {"a node id runs only once", node_id_runs_only_once},
    {"open refuses what is not sound", open_refuses_what_is_not_sound},
    {"strange hellos are refused", strange_hellos_are_refused},
    {"unsafe rings are refused", unsafe_rings_are_refused},
    {"many silent connections do no harm", many_silent_connections_do_no_harm},
    {"other users are refused", other_users_are_refused},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net shm_fabric", tests);
}
