/*
 * The contract of net/fabric.h, for every fabric: the nodes take turns in one thread, in a time of
 * the test's own. What only the shm fabric has: shm_fabric_test.c, shm_process_test.c; what only
 * the quic fabric has: quic_fabric_test.c; the mixed one: mixed_fabric_test.c.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/eal/eal_start.h"
#include "net/fabric_ops.h"
#include "net/shm/shm_fabric.h"
#include "tests/suite.h"
#include "tests/support/loop_fabric.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/memif_switch.h"
#include "tests/unit/net/mixed_rig.h"
#include "tests/unit/net/quic_rig.h"

#define NODES 3u
#define FAILURE_NS UINT64_C(600000000)

/* Whatever a fabric tries again, it has tried by then. */
#define LONG_NS UINT64_C(5000000000)

#define NAP_MS_MAX 1000

/* The fabric that the suite is about. */
struct kind {
    bool counts_wakes; /* it wakes a sleeper by a call of its own */
    bool expels;       /* nodes 1 and 2 do each other */
    void (*begin)(void);
    struct pst_fabric *(*open)(const struct pst_fabric_hello *hello);
    void (*end)(void);
    bool naps; /* nobody wakes a sleeper: it looks by itself, before long */
};

static const struct kind *kind;
static struct rig_node nodes[NODES]; /* ids 1, 2, 3 */

/* ---- the kinds ---- */

static const char *directory;

static void shm_begin(void)
{
    directory = rig_make_directory();
}

static struct pst_fabric *shm_open_one(const struct pst_fabric_hello *hello)
{
    struct rig_node node;
    struct pst_shm_config config = rig_config(directory, 1, 1, FAILURE_NS);
    config.hello = *hello;
    rig_open(&node, &config);
    return node.fabric;
}

static void shm_end(void)
{
    rig_remove_directory(directory);
}

static struct loop_network *network;

static void loop_begin(void)
{
    network = loop_network_open();
}

static struct pst_fabric *loop_open_one(const struct pst_fabric_hello *hello)
{
    return loop_fabric_open(network, hello, FAILURE_NS);
}

static void loop_end(void)
{
    loop_network_close(network);
}

static int choose_shm(void)
{
    static const struct kind shm = {true, true, shm_begin, shm_open_one, shm_end, false};
    kind = &shm;
    return 0;
}

static int choose_loop(void)
{
    static const struct kind loop = {true, false, loop_begin, loop_open_one, loop_end, false};
    kind = &loop;
    return 0;
}

static struct pst_quic_network *hosts;

static void quic_begin(void)
{
    hosts = quic_rig_network(NODES);
}

static struct pst_fabric *quic_open_one(const struct pst_fabric_hello *hello)
{
    const struct pst_quic_config config = {
        .network = hosts, .hello = *hello, .ring_signals = 64, .failure_ns = FAILURE_NS};
    return quic_rig_open(&config);
}

static void quic_end(void)
{
    free(hosts);
}

static int choose_quic(void)
{
    static const struct kind quic = {false, false, quic_begin, quic_open_one, quic_end, false};
    kind = &quic;
    return 0;
}

/* Two hosts: node 1 shares one with node 2, or with node 3. */
static const char *host_directories[2];
static uint64_t near_one; /* by id - 1: the nodes of the first host */

static void mixed_begin(void)
{
    quic_begin();
    for (uint32_t i = 0; i < 2; i++)
        host_directories[i] = rig_make_directory();
}

static struct pst_fabric *mixed_open_one(const struct pst_fabric_hello *hello)
{
    uint64_t self = UINT64_C(1) << (hello->node - 1);
    uint64_t near = near_one & self ? near_one : ~near_one;
    return mixed_rig_open(host_directories[near != near_one], near & ~self, hosts, hello,
                          FAILURE_NS);
}

static void mixed_end(void)
{
    for (uint32_t i = 0; i < 2; i++)
        rig_remove_directory(host_directories[i]);
    quic_end();
}

static int choose_mixed_near(void)
{
    static const struct kind near = {true, true, mixed_begin, mixed_open_one, mixed_end, false};
    kind = &near;
    near_one = 3;
    return 0;
}

static int choose_mixed_far(void)
{
    static const struct kind far = {false, false, mixed_begin, mixed_open_one, mixed_end, false};
    kind = &far;
    near_one = 5;
    return 0;
}

static uint32_t subnet = 0x0a4f0000u;            /* of addresses that the kernel does not have */
static struct pst_quic_network *networks[NODES]; /* by id - 1: each has a device of its own */

static void make_networks(const char *const devices[NODES])
{
    for (uint32_t i = 0; i < NODES; i++) {
        networks[i] = quic_rig_network(NODES);
        for (uint32_t node = 1; node <= NODES; node++)
            networks[i]->members[node].sin_addr.s_addr = htonl(subnet + node);
        networks[i]->prefix_bits = 24;
        networks[i]->device = devices[i];
    }
}

/* Interfaces that are there: ethdev_contract_test.sh. */
static void af_packet_begin(void)
{
    static const char *const devices[NODES] = {"af_packet:pst1", "af_packet:pst2",
                                               "af_packet:pst3"};
    make_networks(devices);
}

static struct pst_fabric *ethdev_open_one(const struct pst_fabric_hello *hello)
{
    const struct pst_quic_config config = {.network = networks[hello->node - 1],
                                           .hello = *hello,
                                           .ring_signals = 64,
                                           .failure_ns = FAILURE_NS};
    return quic_rig_open(&config);
}

static void ethdev_end(void)
{
    for (uint32_t i = 0; i < NODES; i++)
        free(networks[i]);
}

static int choose_af_packet(void)
{
    static const struct kind af_packet = {false,           false,      af_packet_begin,
                                          ethdev_open_one, ethdev_end, false};
    kind = &af_packet;
    return 0;
}

static void memif_begin(void)
{
    const char *devices[NODES];
    directory = rig_make_directory();
    memif_switch_open(directory);
    for (uint32_t i = 0; i < NODES; i++)
        devices[i] = memif_switch_device(i + 1);
    make_networks(devices);
}

static void memif_end(void)
{
    ethdev_end();
    memif_switch_close();
    rig_remove_directory(directory);
}

static int choose_memif(void)
{
    static const struct kind memif = {false, false, memif_begin, ethdev_open_one, memif_end, true};
    subnet = 0x0a000000u | ((uint32_t)getpid() & 0xffffu) << 8;
    kind = &memif;
    return 0;
}

/* ---- nodes ---- */

static struct pst_fabric_hello hello_of(uint32_t node, uint64_t incarnation)
{
    struct pst_fabric_hello hello = rig_config("", node, incarnation, 0).hello;
    return hello;
}

static void open_as(const struct pst_fabric_hello *hello)
{
    nodes[hello->node - 1] = (struct rig_node){.node = hello->node, .fabric = kind->open(hello)};
}

static void open_node(uint32_t node, uint64_t incarnation)
{
    struct pst_fabric_hello hello = hello_of(node, incarnation);
    open_as(&hello);
}

static void begin(void)
{
    rig_set_clock(UINT64_C(1000000000));
    kind->begin();
}

static void end(void)
{
    for (uint32_t i = 0; i < NODES; i++)
        rig_close(&nodes[i]);
    kind->end();
}

static void open_joined(uint32_t count)
{
    begin();
    for (uint32_t node = 1; node <= count; node++)
        open_node(node, 1000 + node);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t other = 1; other <= count; other++) {
            if (other != i + 1)
                CU_ASSERT_TRUE_FATAL(rig_until(nodes, count, &nodes[i].joined[other], 1));
        }
    }
}

static void rounds(uint64_t duration_ns)
{
    for (uint64_t passed_ns = 0; passed_ns < duration_ns; passed_ns += RIG_ROUND_NS)
        rig_round(nodes, NODES);
}

/* What joining has left to be acknowledged. */
static void settle(void)
{
    rounds(FAILURE_NS / 20);
}

static int send_one(uint32_t from, uint32_t to, uint64_t number)
{
    struct pst_signal signal = rig_signal(number);
    return pst_fabric_send(nodes[from - 1].fabric, to, &signal);
}

static struct pst_fabric_counters counters(uint32_t node, uint32_t peer)
{
    return pst_fabric_counters(nodes[node - 1].fabric, peer);
}

static bool is_woken(uint32_t node)
{
    struct pollfd readable = {.fd = pst_fabric_fd(nodes[node - 1].fabric), .events = POLLIN};
    return poll(&readable, 1, kind->naps ? NAP_MS_MAX : 0) == 1;
}

static bool sleeps_on(uint32_t node)
{
    return kind->naps || !is_woken(node);
}

/* ---- who is there ---- */

static void nodes_join_and_introduce_themselves(void)
{
    open_joined(3);
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(pst_fabric_live(nodes[i].fabric).words[0], 7);
        for (uint32_t other = 1; other <= 3; other++)
            CU_ASSERT_EQUAL(nodes[i].joined[other], other != i + 1);
        CU_ASSERT_TRUE(nodes[i].incarnation >= 1001 && nodes[i].incarnation <= 1003);
        CU_ASSERT_NOT_EQUAL(nodes[i].incarnation, 1001 + i);
        CU_ASSERT_EQUAL(nodes[i].option, 100 + nodes[i].incarnation - 1000);
        CU_ASSERT_EQUAL(counters(i + 1, 0).joins, 2);
        CU_ASSERT_NOT_EQUAL(counters(i + 1, (i + 1) % 3 + 1).joined_since, 0);
        CU_ASSERT_EQUAL(nodes[i].failed[(i + 1) % 3 + 1], 0);
        CU_ASSERT_STRING_EQUAL(pst_fabric_refusal(nodes[i].fabric, (i + 1) % 3 + 1), "");
    }
    end();
}

static void another_cluster_is_turned_away(void)
{
    begin();
    open_node(1, 1001);
    struct pst_fabric_hello hello = hello_of(2, 1002);
    hello.cluster_id++;
    open_as(&hello);
    hello = hello_of(3, 1003);
    hello.cluster[0] = 'b';
    open_as(&hello);
    rounds(LONG_NS);
    for (uint32_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(pst_fabric_live(nodes[i].fabric).words[0], 1u << i);
        CU_ASSERT_EQUAL(counters(i + 1, 0).joins, 0);
    }
    CU_ASSERT_TRUE(counters(1, 0).refusals >= 2);
    CU_ASSERT_EQUAL(send_one(1, 2, 0), -ENOTCONN);
    CU_ASSERT_EQUAL(pst_fabric_room(nodes[0].fabric, 2), 0);
    end();
}

static void a_new_life_joins_again(void)
{
    open_joined(2);
    for (uint64_t life = 2; life < 5; life++) {
        uint32_t i = life % 2; /* the lower id, the higher id */
        struct rig_node *other = &nodes[1 - i];
        uint32_t joined = other->joined[i + 1], failed = other->failed[i + 1];
        rig_close(&nodes[i]);
        open_node(i + 1, 1000 * life);
        CU_ASSERT_TRUE(rig_until(nodes, 2, &other->joined[i + 1], joined + 1));
        CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[i].joined[2 - i], 1));
        CU_ASSERT_EQUAL(other->incarnation, 1000 * life);
        CU_ASSERT_EQUAL(other->failed[i + 1], failed + 1);
    }
    end();
}

/* ---- what is carried ---- */

static void signals_arrive_in_order(void)
{
    open_joined(3);
    for (uint64_t sent = 0; sent < 1000;) {
        if (send_one(3, 1, sent) == 0)
            sent++;
        else
            rig_round(nodes, NODES);
    }
    CU_ASSERT_TRUE(rig_until_received(nodes, 3, &nodes[0].received[3], 1000));
    CU_ASSERT_EQUAL(nodes[0].misplaced[3], 0);
    CU_ASSERT_EQUAL(nodes[1].received[3], 0);
    CU_ASSERT_EQUAL(counters(3, 1).signals_sent, 1000);
    CU_ASSERT_EQUAL(counters(3, 2).signals_sent, 0);
    CU_ASSERT_EQUAL(counters(1, 3).signals_received, 1000);
    CU_ASSERT_EQUAL(counters(1, 0).signals_received, 1000);
    end();
}

/* Whoever takes signals answers them meanwhile, and may find one that no sound node sends. */
static void what_was_polled_is_whole_until_the_next_poll(void)
{
    struct pst_fabric_event event = {0};
    open_joined(3);
    struct pst_fabric *fabric = nodes[1].fabric;
    for (uint64_t sent = 0; sent < 10; sent++)
        CU_ASSERT_EQUAL(send_one(1, 2, sent), 0);
    pst_fabric_publish(nodes[0].fabric);
    uint64_t now_ns = pst_fabric_deadline_ns(fabric); /* the last time in this test */
    while (event.signals_count == 0)
        CU_ASSERT_TRUE_FATAL(pst_fabric_poll(fabric, now_ns, &event) >= 0);
    for (uint64_t i = 0; i < event.signals_count; i++) {
        struct pst_signal sent = rig_signal(i);
        CU_ASSERT_EQUAL(memcmp(&event.signals[i].payload, &sent.payload, sent.length), 0);
        CU_ASSERT_EQUAL(send_one(2, 3, 1000 + i), 0);
        CU_ASSERT_EQUAL(send_one(2, 1, 1000 + i), i < 5 ? 0 : -ENOTCONN);
        pst_fabric_publish(fabric);
        if (i == 4)
            pst_fabric_cut_off(fabric, 1, "the test does");
    }
    CU_ASSERT_EQUAL(event.signals_count, 10);
    end();
}

/* In one round. */
static void what_all_have_sent_is_found(void)
{
    open_joined(3);
    settle();
    for (uint64_t i = 0; i < 10; i++) {
        rig_poll(&nodes[0]);
        for (uint32_t from = 2; from <= 3; from++) {
            CU_ASSERT_EQUAL(send_one(from, 1, i), 0);
            pst_fabric_publish(nodes[from - 1].fabric);
        }
        rig_poll(&nodes[0]);
        CU_ASSERT_EQUAL(nodes[0].received[2], i + 1);
        CU_ASSERT_EQUAL(nodes[0].received[3], i + 1);
    }
    end();
}

static void nothing_is_seen_before_it_is_published(void)
{
    open_joined(2);
    CU_ASSERT_EQUAL(send_one(1, 2, 0), 0);
    rig_poll(&nodes[1]);
    CU_ASSERT_EQUAL(nodes[1].received[1], 0);
    pst_fabric_publish(nodes[0].fabric);
    rig_poll(&nodes[1]);
    CU_ASSERT_EQUAL(nodes[1].received[1], 1);
    CU_ASSERT_EQUAL(send_one(1, 2, 1), 0);
    rig_poll(&nodes[0]);
    rig_poll(&nodes[1]);
    CU_ASSERT_EQUAL(nodes[1].received[1], 2);
    CU_ASSERT_EQUAL(send_one(1, 2, 2), 0);
    pst_fabric_announce(nodes[0].fabric);
    pst_fabric_cancel(nodes[0].fabric);
    rig_poll(&nodes[1]);
    CU_ASSERT_EQUAL(nodes[1].received[1], 3);
    end();
}

/* A full ring refuses; the sender sleeps, and is woken when there is room again. */
static void a_full_ring_refuses(void)
{
    open_joined(2);
    settle();
    uint32_t room = pst_fabric_room(nodes[0].fabric, 2);
    CU_ASSERT_TRUE_FATAL(room >= 2);
    for (uint32_t i = 0; i < room; i++) {
        CU_ASSERT_EQUAL(pst_fabric_room(nodes[0].fabric, 2), room - i);
        CU_ASSERT_EQUAL(send_one(1, 2, i), 0);
    }
    CU_ASSERT_EQUAL(pst_fabric_room(nodes[0].fabric, 2), 0);
    CU_ASSERT_EQUAL(counters(1, 2).full, 0);
    CU_ASSERT_EQUAL(send_one(1, 2, room), -EAGAIN);
    CU_ASSERT_EQUAL(counters(1, 2).full, 1);
    pst_fabric_announce(nodes[0].fabric);
    CU_ASSERT_TRUE(pst_fabric_is_quiet(nodes[0].fabric));
    CU_ASSERT_TRUE(sleeps_on(1));
    rig_poll(&nodes[1]);
    CU_ASSERT_TRUE(is_woken(1));
    pst_fabric_cancel(nodes[0].fabric);
    rig_poll(&nodes[0]);
    CU_ASSERT_EQUAL(send_one(1, 2, room), 0);
    CU_ASSERT_TRUE(rig_until_received(nodes, 2, &nodes[1].received[1], room + 1));
    CU_ASSERT_EQUAL(nodes[1].misplaced[1], 0);
    CU_ASSERT_EQUAL(counters(1, 2).signals_sent, room + 1);
    end();
}

static void only_a_sleeper_is_woken(void)
{
    open_joined(2);
    settle();
    CU_ASSERT_EQUAL(send_one(1, 2, 0), 0);
    pst_fabric_publish(nodes[0].fabric);
    CU_ASSERT_EQUAL(counters(1, 2).wakes_sent, 0);
    rig_poll(&nodes[1]);
    pst_fabric_announce(nodes[1].fabric);
    CU_ASSERT_TRUE(pst_fabric_is_quiet(nodes[1].fabric));
    CU_ASSERT_EQUAL(send_one(1, 2, 1), 0);
    CU_ASSERT_TRUE(pst_fabric_is_quiet(nodes[1].fabric));
    CU_ASSERT_TRUE(sleeps_on(2));
    pst_fabric_announce(nodes[0].fabric); /* publishes, as poll does */
    CU_ASSERT_EQUAL(send_one(1, 2, 2), 0);
    pst_fabric_publish(nodes[0].fabric);
    pst_fabric_cancel(nodes[0].fabric);
    CU_ASSERT_EQUAL(counters(1, 2).wakes_sent, kind->counts_wakes); /* once for both */
    CU_ASSERT_FALSE(pst_fabric_is_quiet(nodes[1].fabric));
    CU_ASSERT_TRUE(is_woken(2));
    pst_fabric_cancel(nodes[1].fabric);
    CU_ASSERT_TRUE(rig_until_received(nodes, 2, &nodes[1].received[1], 3));
    CU_ASSERT_TRUE(sleeps_on(2));
    end();
}

/* ---- who fails ---- */

static void what_a_leaver_sent_is_delivered(void)
{
    open_joined(2);
    for (uint64_t i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(send_one(2, 1, i), 0);
    pst_fabric_announce(nodes[0].fabric);
    rig_close(&nodes[1]);
    CU_ASSERT_TRUE(is_woken(1));
    pst_fabric_cancel(nodes[0].fabric);
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].failed[2], 1));
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_LEFT);
    CU_ASSERT_EQUAL(nodes[0].received[2], 50);
    CU_ASSERT_EQUAL(nodes[0].misplaced[2], 0);
    CU_ASSERT_EQUAL(send_one(1, 2, 0), -ENOTCONN);
    CU_ASSERT_EQUAL(pst_fabric_live(nodes[0].fabric).words[0], 1);
    CU_ASSERT_EQUAL(counters(1, 2).failures, 1);
    CU_ASSERT_EQUAL(counters(1, 2).joined_since, 0);
    CU_ASSERT_EQUAL(counters(1, 0).ring_bytes, 0);
    end();
}

static void a_failed_node_waits_to_be_readmitted(void)
{
    open_joined(2);
    for (uint32_t i = 0; i < 2; i++) { /* the one that is looked for, the one that looks */
        struct rig_node *mourner = &nodes[i];
        uint32_t other = 2 - i;
        mourner->mourns = true;
        rig_close(&nodes[1 - i]);
        CU_ASSERT_TRUE(rig_until(nodes, 2, &mourner->failed[other], 1));
        open_node(other, 2000 + other);
        rounds(LONG_NS);
        CU_ASSERT_EQUAL(mourner->joined[other], 1);
        CU_ASSERT_EQUAL(nodes[other - 1].joined[i + 1], 0);
        pst_fabric_readmit(mourner->fabric, other);
        CU_ASSERT_TRUE(rig_until(nodes, 2, &mourner->joined[other], 2));
        CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[other - 1].joined[i + 1], 1));
    }
    end();
}

/* After node 1 has declared node 2 dead: both report it, and they meet again. */
static void expect_to_meet_again(enum pst_fabric_failure failure)
{
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].failed[2], 1));
    CU_ASSERT_EQUAL(nodes[0].failure[2], failure);
    CU_ASSERT_FALSE(pst_fabric_failure_is_certain(failure));
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].failed[1], 1));
    CU_ASSERT_EQUAL(nodes[1].failure[1], PST_FABRIC_LOST);
    if (kind->expels) {
        CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].expelled, 1));
        CU_ASSERT_EQUAL(nodes[1].expelled_by, 1);
        rounds(LONG_NS);
        CU_ASSERT_EQUAL(nodes[0].joined[2], 1);
        CU_ASSERT_EQUAL(pst_fabric_rejoin(nodes[1].fabric, 2002), 0);
    }
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[0].joined[2], 2));
    CU_ASSERT_TRUE(rig_until(nodes, 2, &nodes[1].joined[1], 2));
    CU_ASSERT_EQUAL(send_one(2, 1, 0), 0);
    CU_ASSERT_EQUAL(send_one(1, 2, 0), 0);
    CU_ASSERT_TRUE(rig_until_received(nodes, 2, &nodes[0].received[2], 1));
    CU_ASSERT_TRUE(rig_until_received(nodes, 2, &nodes[1].received[1], 1));
    CU_ASSERT_EQUAL(nodes[0].misplaced[2] + nodes[1].misplaced[1], 0); /* nothing stale */
}

static void a_node_that_is_cut_off_begins_anew(void)
{
    open_joined(2);
    CU_ASSERT_EQUAL(send_one(1, 2, 77), 0);
    CU_ASSERT_EQUAL(send_one(2, 1, 77), 0);
    pst_fabric_publish(nodes[1].fabric);
    pst_fabric_cut_off(nodes[0].fabric, 2, "it is a test");
    CU_ASSERT_FALSE(pst_fabric_is_quiet(nodes[0].fabric));
    CU_ASSERT_EQUAL(send_one(1, 2, 78), -ENOTCONN);
    pst_fabric_cut_off(nodes[0].fabric, 2, "twice is as good as once");
    rig_poll(&nodes[0]);
    CU_ASSERT_EQUAL(nodes[0].failed[2], 1);
    CU_ASSERT_STRING_EQUAL(nodes[0].reason, "it is a test");
    CU_ASSERT_EQUAL(nodes[0].received[2], 0);
    CU_ASSERT_EQUAL(counters(1, 2).failures, 1);
    expect_to_meet_again(PST_FABRIC_CUT_OFF);
    end();
}

/* Not even what has come already: more than one event brings. */
static void nothing_more_comes_of_a_node_that_is_cut_off(void)
{
    struct pst_fabric_event event = {0};
    open_joined(2);
    for (uint64_t i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(send_one(2, 1, i), 0);
    pst_fabric_publish(nodes[1].fabric);
    uint64_t now_ns = pst_fabric_deadline_ns(nodes[0].fabric); /* the last time in this test */
    while (event.signals_count == 0)
        CU_ASSERT_TRUE_FATAL(pst_fabric_poll(nodes[0].fabric, now_ns, &event) >= 0);
    CU_ASSERT_EQUAL(event.signals_count, PST_FABRIC_BURST);
    pst_fabric_cut_off(nodes[0].fabric, 2, "the test does");
    event.type = PST_FABRIC_JOINED;
    while (event.type == PST_FABRIC_JOINED)
        CU_ASSERT_TRUE_FATAL(pst_fabric_poll(nodes[0].fabric, now_ns, &event) >= 0);
    CU_ASSERT_EQUAL(event.type, PST_FABRIC_FAILED);
    end();
}

/* Node 2 is not polled: it has stopped. Then it goes on. */
static void a_silent_node_is_suspected(void)
{
    open_joined(2);
    struct rig_node stopped = nodes[1];
    nodes[1].fabric = NULL;
    rounds(FAILURE_NS / 2);
    CU_ASSERT_EQUAL(nodes[0].failed[2], 0);
    rounds(FAILURE_NS);
    CU_ASSERT_EQUAL_FATAL(nodes[0].failed[2], 1);
    nodes[1] = stopped;
    expect_to_meet_again(PST_FABRIC_SUSPECTED);
    end();
}

/* Node 1 was stopped itself: that it has not looked is no reason to suspect others. */
static void a_node_that_was_stopped_suspects_nobody(void)
{
    open_joined(3);
    rig_set_clock(UINT64_C(900000000000));
    rounds(FAILURE_NS);
    for (uint32_t i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(pst_fabric_live(nodes[i].fabric).words[0], 7);
    CU_ASSERT_EQUAL(counters(1, 0).failures, 0);
    end();
}

static void rejoining_is_leaving_and_coming_back(void)
{
    open_joined(3);
    CU_ASSERT_EQUAL(send_one(2, 1, 0), 0);
    CU_ASSERT_EQUAL(pst_fabric_rejoin(nodes[1].fabric, 2002), 0);
    CU_ASSERT_EQUAL(pst_fabric_live(nodes[1].fabric).words[0], 2);
    for (uint32_t i = 0; i < 3; i += 2) {
        CU_ASSERT_TRUE(rig_until(nodes, 3, &nodes[i].joined[2], 2));
        CU_ASSERT_EQUAL(nodes[i].failed[2], 1);
        CU_ASSERT_EQUAL(nodes[i].failure[2], PST_FABRIC_LEFT);
        CU_ASSERT_EQUAL(nodes[i].incarnation, 2002);
        CU_ASSERT_TRUE(rig_until(nodes, 3, &nodes[1].joined[i + 1], 2));
        CU_ASSERT_EQUAL(nodes[1].failed[i + 1], 0);
    }
    CU_ASSERT_EQUAL(counters(1, 2).signals_received, 1); /* what it sent before it left */
    CU_ASSERT_EQUAL(nodes[0].joined[3], 1);
    end();
}

static void the_next_heartbeat_is_the_deadline(void)
{
    open_joined(2);
    uint64_t now_ns = UINT64_C(2000000000);
    rig_set_clock(now_ns);
    for (uint32_t i = 0; i < 2; i++)
        rig_poll(&nodes[i]);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t deadline_ns = pst_fabric_deadline_ns(nodes[i].fabric);
        CU_ASSERT_TRUE(deadline_ns > now_ns && deadline_ns <= now_ns + FAILURE_NS / 6);
    }
    /* Woken at the deadlines alone, they live. */
    for (uint32_t beats = 0; beats < 100; beats++) {
        rig_set_clock(pst_fabric_deadline_ns(nodes[0].fabric));
        rig_round(nodes, 2);
    }
    CU_ASSERT_EQUAL(counters(1, 0).failures + counters(2, 0).failures, 0);
    end();
}

static CU_TestInfo tests[] = {
    {"nodes join and introduce themselves", nodes_join_and_introduce_themselves},
    {"another cluster is turned away", another_cluster_is_turned_away},
    {"a new life joins again", a_new_life_joins_again},
    {"signals arrive in order", signals_arrive_in_order},
    {"what was polled is whole until the next poll", what_was_polled_is_whole_until_the_next_poll},
    {"what all have sent is found", what_all_have_sent_is_found},
    {"nothing is seen before it is published", nothing_is_seen_before_it_is_published},
    {"a full ring refuses", a_full_ring_refuses},
    {"only a sleeper is woken", only_a_sleeper_is_woken},
    {"what a leaver sent is delivered", what_a_leaver_sent_is_delivered},
    {"a failed node waits to be readmitted", a_failed_node_waits_to_be_readmitted},
    {"a node that is cut off begins anew", a_node_that_is_cut_off_begins_anew},
    {"nothing more comes of a node that is cut off", nothing_more_comes_of_a_node_that_is_cut_off},
    {"a silent node is suspected", a_silent_node_is_suspected},
    {"a node that was stopped suspects nobody", a_node_that_was_stopped_suspects_nobody},
    {"rejoining is leaving and coming back", rejoining_is_leaving_and_coming_back},
    {"the next heartbeat is the deadline", the_next_heartbeat_is_the_deadline},
    CU_TEST_INFO_NULL,
};

static CU_SuiteInfo suites[] = {
    {"net fabric contract: shm", choose_shm, NULL, NULL, NULL, tests},
    {"net fabric contract: loop", choose_loop, NULL, NULL, NULL, tests},
    {"net fabric contract: quic over udp", choose_quic, NULL, NULL, NULL, tests},
    {"net fabric contract: mixed, on a host", choose_mixed_near, NULL, NULL, NULL, tests},
    {"net fabric contract: mixed, between hosts", choose_mixed_far, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

static CU_SuiteInfo af_packet[] = {
    {"net fabric contract: quic over af_packet", choose_af_packet, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

static CU_SuiteInfo memif[] = {
    {"net fabric contract: quic over memif", choose_memif, NULL, NULL, NULL, tests},
    CU_SUITE_INFO_NULL,
};

/* fabric_contract_test [af_packet|memif] */
int main(int argc, char **argv)
{
    static const struct pst_eal_config eal = {.has_hugepages = false};
    char message[256];
    if (argc == 1)
        return suites_run(suites);
    bool is_memif = strcmp(argv[1], "memif") == 0;
    assert(is_memif || strcmp(argv[1], "af_packet") == 0);
    if (pst_eal_ops.open(&eal, message, sizeof(message)) < 0) {
        (void)fprintf(stderr, "%s\n", message);
        return 1;
    }
    int failed = suites_run(is_memif ? memif : af_packet);
    if (!is_memif) /* whose thread may still be about to return: EAL does not wait for it */
        pst_eal_ops.close();
    return failed;
}
