/*
 * Nodes that do not agree in what must agree, and two processes as one node: which line both ends
 * log, once, and what the fabric answers when it is asked. Nodes take turns in one thread, in a
 * time of the test's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/quic/quic_parts.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/quic_rig.h"

#define FAILURE_NS UINT64_C(450000000)
#define MS UINT64_C(1000000)

static struct pst_quic_network *networks[2]; /* as nodes 1 and 2 know it */
static struct rig_node nodes[2];

static void open_with(uint32_t node, const char *cluster, uint64_t failure_ns)
{
    struct pst_fabric_hello hello = rig_config("", node, 1000 + node, 0).hello;
    (void)snprintf(hello.cluster, sizeof(hello.cluster), "%s", cluster);
    const struct pst_quic_config config = {.network = networks[node - 1],
                                           .hello = hello,
                                           .ring_signals = 64,
                                           .failure_ns = failure_ns};
    nodes[node - 1] = (struct rig_node){.node = node, .fabric = quic_rig_open(&config)};
}

static void open_node(uint32_t node)
{
    open_with(node, "test", FAILURE_NS);
}

static void begin(void)
{
    rig_set_clock(UINT64_C(1000000000));
    networks[0] = quic_rig_network(3);
    networks[1] = quic_rig_network(3);
}

static void end(void)
{
    rig_close(&nodes[0]);
    rig_close(&nodes[1]);
    free(networks[0]);
    free(networks[1]);
    quic_rig_on_hello = NULL;
}

static void rounds(uint64_t duration_ns)
{
    for (uint64_t passed_ns = 0; passed_ns < duration_ns; passed_ns += RIG_ROUND_NS)
        rig_round(nodes, 2);
}

static uint32_t count(const char *text, const char *part)
{
    uint32_t found = 0;
    for (; (text = strstr(text, part)); text++)
        found++;
    return found;
}

/* A line of the log, with the address of a node by a list of members: once in so many bytes of it.
 */
static void check_line(const char *logged, uint32_t at, const struct pst_quic_network *network,
                       const char *what, const char *words)
{
    const uint8_t *bytes = (const uint8_t *)&network->members[at].sin_addr;
    char line[400];
    (void)snprintf(line, sizeof(line), "node %u at %u.%u.%u.%u:7420: %s: %s\n", at, bytes[0],
                   bytes[1], bytes[2], bytes[3], what, words);
    CU_ASSERT_EQUAL(count(logged, line), 1);
    if (count(logged, line) != 1)
        (void)printf("\n  not once: %s  in: %s", line, logged);
}

static void check_asked(const char *words)
{
    char text[QUIC_REASON_BYTES + 32];
    (void)snprintf(text, sizeof(text), "refused: %s", words);
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[0].fabric, 2), text);
    (void)snprintf(text, sizeof(text), "it refuses this node: %s", words);
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[1].fabric, 1), text);
}

/* Both are open, and try again and again. */
static void expect_refusal(const char *words)
{
    rounds(6000 * MS);
    char *logged = end_log_capture();
    check_line(logged, 2, networks[0], "refused", words);
    check_line(logged, 1, networks[1], "it refuses this node", words);
    CU_ASSERT_EQUAL(count(logged, "refuse"), 2);
    CU_ASSERT_TRUE(count(logged, "\n") <= 3); /* it may have had no answer first */
    free(logged);
    check_asked(words);
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[1].joined[1], 0);
    CU_ASSERT_TRUE(pst_fabric_counters(nodes[0].fabric, 0).refusals > 2);
}

static void another_setting_is_refused(void)
{
    begin();
    networks[1]->mtu_bytes = 9000;
    begin_log_capture();
    open_node(1);
    open_node(2);
    expect_refusal("--net-mtu differs: 1500 at node 1, 9000 at node 2");
    rig_close(&nodes[1]);
    networks[1]->mtu_bytes = 1500;
    begin_log_capture();
    open_with(2, "test", 1500 * MS); /* what is new is logged */
    expect_refusal("--failure differs: 450ms at node 1, 1500ms at node 2");
    rig_close(&nodes[1]);
    begin_log_capture();
    open_with(2, "toast", FAILURE_NS);
    expect_refusal("--cluster differs: test at node 1, toast at node 2");
    rig_close(&nodes[1]);
    open_node(2); /* and it is over when they agree */
    rounds(1000 * MS);
    CU_ASSERT_EQUAL(nodes[0].joined[2], 1);
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[0].fabric, 2), "");
    CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[1].fabric, 1), "");
    end();
}

/* Whichever has the larger packets. Those of the lower id are answers. */
static void another_mtu_is_refused(void)
{
    begin();
    networks[0]->mtu_bytes = 9000;
    begin_log_capture();
    open_node(1);
    open_node(2);
    expect_refusal("--net-mtu differs: 9000 at node 1, 1500 at node 2");
    end();
}

/* The two agree, and their network carries less. */
static void an_mtu_that_is_too_large_is_named(void)
{
    begin();
    struct quic_rig_relay *relay = quic_rig_place(networks, 1);
    relay->size_bytes_max = 1400;
    begin_log_capture();
    open_node(1);
    open_node(2);
    for (uint32_t i = 0; i < 12000; i++) {
        quic_rig_carry(relay);
        rig_round(nodes, 2);
    }
    char *logged = end_log_capture();
    CU_ASSERT_EQUAL(count(logged,
                          "no answer: packets of 1500 bytes do not get through: --net-mtu is "
                          "more than a network on the way can carry"),
                    1);
    CU_ASSERT_EQUAL(count(logged, "cannot join: packets of 1500 bytes do not get through: "), 1);
    CU_ASSERT_EQUAL(count(logged, "\n"), 3);
    free(logged);
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[1].joined[1], 0);
    relay->size_bytes_max = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        quic_rig_carry(relay);
        rig_round(nodes, 2);
    }
    CU_ASSERT_EQUAL(nodes[0].joined[2], 1);
    end();
    quic_rig_remove(relay);
}

/* What differs in the list of members, the other way round too. */
static void another_list_is_refused(void)
{
    char words[QUIC_REASON_BYTES], address[32];
    for (uint32_t i = 0; i < 2; i++) {
        begin();
        struct sockaddr_in *third = &networks[i]->members[3];
        const uint8_t *bytes = (const uint8_t *)&third->sin_addr;
        (void)snprintf(address, sizeof(address), "%u.%u.%u.%u:7420", bytes[0], bytes[1], bytes[2],
                       bytes[3]);
        third->sin_family = 0;
        (void)snprintf(words, sizeof(words), "--member 3 differs: %s at node 1, %s at node 2",
                       i == 0 ? "none" : address, i == 0 ? address : "none");
        begin_log_capture();
        open_node(1);
        open_node(2);
        expect_refusal(words);
        rig_close(&nodes[1]);
        third->sin_family = AF_INET;
        third->sin_port = htons(7421);
        address[strlen(address) - 1] = '\0';
        (void)snprintf(words, sizeof(words), "--member 3 differs: %s%c at node 1, %s%c at node 2",
                       address, i == 0 ? '1' : '0', address, i == 0 ? '0' : '1');
        rig_close(&nodes[0]);
        begin_log_capture();
        open_node(1);
        open_node(2);
        expect_refusal(words);
        end();
    }
}

/* A neighbour of node 1, without an address: node 2 must know of it, and what address is its own
 * affair. */
static void a_member_without_an_address_is_compared(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        begin();
        networks[0]->members[3] = (struct sockaddr_in){0};
        pst_set_add(&networks[0]->near, 2);
        if (i == 1)
            networks[1]->members[3].sin_family = 0;
        begin_log_capture();
        open_node(1);
        open_node(2);
        if (i == 1) {
            expect_refusal("--member 3 differs: on its host at node 1, none at node 2");
        } else {
            rounds(1000 * MS);
            CU_ASSERT_EQUAL(nodes[1].joined[1], 1);
            free(end_log_capture());
        }
        end();
    }
}

static void a_list_of_all_nodes_is_compared(void)
{
    begin();
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t node = 4; node <= PST_NODES_MAX; node++) {
            networks[i]->members[node] = networks[i]->members[3];
            networks[i]->members[node].sin_port = htons((uint16_t)(8000 + node));
        }
    }
    open_node(1);
    open_node(2);
    rounds(1000 * MS);
    CU_ASSERT_EQUAL_FATAL(nodes[1].joined[1], 1);
    rig_close(&nodes[1]);
    rounds(100 * MS);
    networks[1]->members[PST_NODES_MAX].sin_family = 0;
    begin_log_capture();
    open_node(2);
    rounds(1000 * MS);
    char *logged = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(logged, "refused: --member 255 differs: 127."));
    CU_ASSERT_PTR_NOT_NULL(strstr(logged, "it refuses this node: --member 255 differs: 127."));
    free(logged);
    end();
}

static void (*change)(struct quic_hello *hello);

static void change_node_2(struct quic_hello *hello)
{
    if (hello->node == 2)
        change(hello);
}

static void another_fabric(struct quic_hello *hello)
{
    hello->version = 9;
    memset(&hello->failure_ns, 0xff, sizeof(*hello) - offsetof(struct quic_hello, failure_ns));
}

static void another_protocol(struct quic_hello *hello)
{
    hello->signal_version = 77;
}

static void more_members_than_can_be(struct quic_hello *hello)
{
    hello->members_count = UINT32_MAX;
}

static void no_hello(struct quic_hello *hello)
{
    hello->magic[7] = 'x';
}

/* Of another version only the first fields mean anything. */
static void another_version_is_refused(void)
{
    char protocol[QUIC_REASON_BYTES];
    (void)snprintf(protocol, sizeof(protocol),
                   "the version of the protocol differs: %u at node 1, 77 at node 2",
                   PST_SIGNAL_VERSION);
    const struct {
        void (*change)(struct quic_hello *hello);
        const char *words;
    } cases[] = {
        {another_fabric, "the version of the fabric differs: 2 at node 1, 9 at node 2"},
        {another_protocol, protocol},
        {no_hello, "its first record is no HELLO"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        begin();
        change = cases[i].change;
        quic_rig_on_hello = change_node_2;
        begin_log_capture();
        open_node(1);
        open_node(2);
        expect_refusal(cases[i].words);
        end();
    }
    begin();
    change = more_members_than_can_be;
    quic_rig_on_hello = change_node_2;
    begin_log_capture();
    open_node(1);
    open_node(2);
    rounds(1000 * MS);
    free(end_log_capture());
    CU_ASSERT_EQUAL(nodes[0].joined[2], 0);
    end();
}

/* ---- two processes as one node ---- */

/* Node 1 has members[2] in sight, where two processes are that are both called 2: as if their hosts
 * had one address. What it sends comes to whom it is meant for. */
struct twins {
    int seen;                 /* the socket at the address that node 1 knows node 2 by */
    int sockets[2];           /* at the addresses that they know node 1 by */
    struct sockaddr_in to[3]; /* node 1, the first, the second */
    struct pst_quic_network *networks[2];
    struct rig_node processes[2];
};

static int bind_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        abort();
    return fd;
}

static void move(struct sockaddr_in *address, uint32_t by)
{
    address->sin_addr.s_addr = htonl(ntohl(address->sin_addr.s_addr) + by);
}

static void twins_begin(struct twins *twins)
{
    begin();
    quic_rig_hides_members = true;
    twins->to[0] = networks[0]->members[1];
    twins->seen = bind_to(&networks[0]->members[2]);
    for (uint32_t i = 0; i < 2; i++) {
        twins->networks[i] = quic_rig_network(3);
        move(&twins->networks[i]->members[1], 20 * (i + 1));
        move(&twins->networks[i]->members[2], 20 * (i + 1));
        twins->to[i + 1] = twins->networks[i]->members[2];
        twins->sockets[i] = bind_to(&twins->networks[i]->members[1]);
        twins->processes[i] = (struct rig_node){.node = 2};
    }
    open_node(1);
}

static void twins_open(struct twins *twins, uint32_t which)
{
    const struct pst_quic_config config = {.network = twins->networks[which],
                                           .hello = rig_config("", 2, 2000 + which, 0).hello,
                                           .ring_signals = 64,
                                           .failure_ns = FAILURE_NS};
    twins->processes[which].fabric = quic_rig_open(&config);
}

static void twins_end(struct twins *twins)
{
    for (uint32_t i = 0; i < 2; i++) {
        rig_close(&twins->processes[i]);
        close(twins->sockets[i]);
        free(twins->networks[i]);
    }
    close(twins->seen);
    quic_rig_hides_members = false;
    end();
}

/* Whose connection id a datagram has; 0: the first's. */
static uint32_t addressee(const struct twins *twins, const uint8_t *bytes)
{
    const struct quic_fabric *second = (const struct quic_fabric *)twins->processes[1].fabric;
    const uint8_t *cid = bytes + (bytes[0] & 0x80 ? 6 : 1);
    return second && memcmp(cid, &second->mark, sizeof(second->mark)) == 0;
}

static void carry(const struct twins *twins)
{
    uint8_t bytes[QUIC_RIG_DATAGRAM_BYTES];
    ssize_t got;
    for (uint32_t i = 0; i < 2; i++) {
        while ((got = recv(twins->sockets[i], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            (void)sendto(twins->seen, bytes, (size_t)got, MSG_DONTWAIT,
                         (const struct sockaddr *)&twins->to[0], sizeof(twins->to[0]));
    }
    while ((got = recv(twins->seen, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        uint32_t which = addressee(twins, bytes);
        (void)sendto(twins->sockets[which], bytes, (size_t)got, MSG_DONTWAIT,
                     (const struct sockaddr *)&twins->to[which + 1], sizeof(twins->to[0]));
    }
}

static void twins_rounds(struct twins *twins, uint64_t duration_ns)
{
    for (uint64_t passed_ns = 0; passed_ns < duration_ns; passed_ns += RIG_ROUND_NS) {
        carry(twins);
        rig_round(nodes, 1);
        rig_round(twins->processes, 2);
    }
}

static void a_second_process_is_refused(void)
{
    static struct twins twins;
    twins_begin(&twins);
    twins_open(&twins, 0);
    twins_rounds(&twins, 500 * MS);
    CU_ASSERT_EQUAL_FATAL(nodes[0].joined[2], 1);
    begin_log_capture();
    twins_open(&twins, 1);
    twins_rounds(&twins, 6000 * MS);
    char *logged = end_log_capture();
    check_line(logged, 2, networks[0], "refused",
               "it is up, and another process at its address wants to join");
    CU_ASSERT_EQUAL(
        count(logged, "it refuses this node: node 2 is up already: another process has its id and "
                      "address, 127."),
        1);
    CU_ASSERT_EQUAL(count(logged, "refuse"), 2);
    free(logged);
    CU_ASSERT_EQUAL(nodes[0].failed[2], 0);
    CU_ASSERT_EQUAL(twins.processes[1].joined[1], 0);
    CU_ASSERT_NOT_EQUAL(*pst_fabric_refusal(nodes[0].fabric, 2), '\0');
    CU_ASSERT_NOT_EQUAL(*pst_fabric_refusal(twins.processes[1].fabric, 1), '\0');
    twins_end(&twins);
}

/* The first is stopped for good when the second begins: that joins when the first counts as dead.
 */
static void a_process_that_died_makes_room(void)
{
    static struct twins twins;
    twins_begin(&twins);
    twins_open(&twins, 0);
    twins_rounds(&twins, 500 * MS);
    CU_ASSERT_EQUAL_FATAL(nodes[0].joined[2], 1);
    struct pst_fabric *dead = twins.processes[0].fabric;
    twins.processes[0].fabric = NULL;
    begin_log_capture();
    twins_open(&twins, 1);
    twins_rounds(&twins, FAILURE_NS + 200 * MS);
    char *logged = end_log_capture();
    CU_ASSERT_EQUAL(count(logged, "refuse"), 0);
    free(logged);
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_SUSPECTED);
    CU_ASSERT_EQUAL(nodes[0].joined[2], 2);
    CU_ASSERT_EQUAL(nodes[0].incarnation, 2001);
    twins.processes[0].fabric = dead;
    twins_end(&twins);
}

static CU_TestInfo tests[] = {
    {"another setting is refused", another_setting_is_refused},
    {"another mtu is refused", another_mtu_is_refused},
    {"an mtu that is too large is named", an_mtu_that_is_too_large_is_named},
    {"another list is refused", another_list_is_refused},
    {"a member without an address is compared", a_member_without_an_address_is_compared},
    {"a list of all nodes is compared", a_list_of_all_nodes_is_compared},
    {"another version is refused", another_version_is_refused},
    {"a second process is refused", a_second_process_is_refused},
    {"a process that died makes room", a_process_that_died_makes_room},
    CU_TEST_INFO_NULL,
};

int main(void)
{
    return suite_run("net quic refusal", tests);
}
