/*
 * What only the mixed fabric has: which of its two carries what, who is no node of it, and that
 * whoever is declared dead on its host leaves the nodes elsewhere too. The nodes take turns in one
 * thread, in a time of the test's own; nodes 1 and 3 are on one host, node 2 on another, with a
 * relay between it and node 1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/fabric_ops.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/mixed_rig.h"
#include "tests/unit/net/quic_rig.h"

#define NODES 3u
#define FAILURE_NS UINT64_C(450000000)
#define MS UINT64_C(1000000)

static const char *directories[2];               /* of the hosts */
static struct pst_quic_network *networks[NODES]; /* as each node knows it */
static struct quic_rig_relay *relay;
static struct rig_node nodes[NODES];
static uint32_t expelled[NODES]; /* how often each has rejoined for that */
static uint64_t seeds;

static const uint32_t host_of[NODES] = {0, 1, 0};
static const uint64_t near_of[NODES] = {4, 0, 1};

static struct pst_fabric *open_in(const char *directory, uint32_t node, uint64_t incarnation)
{
    const struct pst_fabric_hello hello = rig_config("", node, incarnation, 0).hello;
    nodes[node - 1] =
        (struct rig_node){.node = node,
                          .fabric = mixed_rig_open(directory, near_of[node - 1], networks[node - 1],
                                                   &hello, FAILURE_NS)};
    expelled[node - 1] = 0;
    return nodes[node - 1].fabric;
}

static void open_node(uint32_t node, uint64_t incarnation)
{
    (void)open_in(directories[host_of[node - 1]], node, incarnation);
}

static void begin(uint64_t seed)
{
    rig_set_clock(UINT64_C(1000000000));
    for (uint32_t i = 0; i < 2; i++)
        directories[i] = rig_make_directory();
    for (uint32_t i = 0; i < NODES; i++)
        networks[i] = quic_rig_network(NODES);
    relay = quic_rig_place(networks, seed);
}

static void end(void)
{
    for (uint32_t i = 0; i < NODES; i++) {
        rig_close(&nodes[i]);
        free(networks[i]);
    }
    quic_rig_remove(relay);
    for (uint32_t i = 0; i < 2; i++)
        rig_remove_directory(directories[i]);
}

static void one_round(void)
{
    quic_rig_carry(relay);
    rig_round(nodes, NODES);
}

static void rounds(uint64_t duration_ns)
{
    for (uint64_t passed_ns = 0; passed_ns < duration_ns; passed_ns += RIG_ROUND_NS)
        one_round();
}

static bool until(const uint32_t *value, uint32_t wanted)
{
    for (uint32_t i = 0; i < 30000 && *value < wanted; i++)
        one_round();
    return *value >= wanted;
}

static bool is_whole(void)
{
    bool is = true;
    for (uint32_t i = 0; i < NODES; i++)
        is = is && pst_fabric_live(nodes[i].fabric).words[0] == 7;
    return is;
}

static bool become_whole(void)
{
    for (uint32_t i = 0; i < 30000 && !is_whole(); i++)
        one_round();
    return is_whole();
}

static void open_all(void)
{
    for (uint32_t node = 1; node <= NODES; node++)
        open_node(node, 1000 + node);
    CU_ASSERT_TRUE_FATAL(become_whole());
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

/* ---- who carries what ---- */

static void each_pair_has_its_fabric(void)
{
    begin(1);
    open_all();
    for (uint32_t from = 1; from <= NODES; from++) {
        for (uint32_t to = 1; to <= NODES; to++) {
            if (from == to)
                continue;
            bool is_far = host_of[from - 1] != host_of[to - 1];
            CU_ASSERT_EQUAL(counters(from, to).ring_bytes == MIXED_RIG_FAR_RING_BYTES, is_far);
            CU_ASSERT_EQUAL(send_one(from, to, 0), 0);
        }
    }
    rounds(20 * MS);
    for (uint32_t node = 1; node <= NODES; node++) {
        for (uint32_t peer = 1; peer <= NODES; peer++)
            CU_ASSERT_EQUAL(nodes[node - 1].received[peer], node != peer);
        CU_ASSERT_EQUAL(counters(node, 0).signals_received, NODES - 1);
    }
    end();
}

/* Node 3 answers node 2 in the round in which it is asked, without another call. */
static void an_answer_leaves_with_the_round(void)
{
    struct pst_fabric_event event = {0};
    begin(1);
    open_all();
    CU_ASSERT_EQUAL(send_one(2, 1, 0), 0);
    rounds(2 * MS);
    nodes[0].received[2] = 0;
    CU_ASSERT_EQUAL(send_one(2, 1, 0), 0);
    pst_fabric_publish(nodes[1].fabric);
    quic_rig_carry(relay);
    int status;
    uint64_t now_ns = pst_fabric_deadline_ns(nodes[0].fabric); /* the last time in this test */
    while ((status = pst_fabric_poll(nodes[0].fabric, now_ns, &event)) > 0) {
        if (event.type == PST_FABRIC_SIGNALS)
            CU_ASSERT_EQUAL(send_one(1, 3, 0), 0);
    }
    CU_ASSERT_EQUAL(status, 0);
    while (pst_fabric_poll(nodes[2].fabric, now_ns, &event) > 0)
        nodes[2].received[1] += event.type == PST_FABRIC_SIGNALS && event.node == 1;
    CU_ASSERT_EQUAL(nodes[2].received[1], 1);
    end();
}

/* Node 2 runs on the host of node 1, where that does not look for it, and is not on its network;
 * and the other way round: a node of the host is not found on the network. */
static void a_stranger_is_not_let_in(void)
{
    begin(1);
    networks[0]->members[2].sin_family = 0;
    open_node(1, 1001);
    open_in(directories[0], 2, 1002);
    rounds(3000 * MS);
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[1].joined[1], 0);
    open_in(directories[1], 3, 1003); /* node 1 is near, it is told, and is not */
    rounds(3000 * MS);
    CU_ASSERT_EQUAL(nodes[0].joined[3] + nodes[2].joined[1], 0);
    CU_ASSERT_EQUAL(nodes[2].joined[2], 1);
    end();
}

/* ---- who fails ---- */

static void a_far_death_concerns_one_link(void)
{
    begin(1);
    open_all();
    relay->lost = 1000;
    rounds(600 * MS);
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_SUSPECTED);
    CU_ASSERT_EQUAL(nodes[1].failure[1], PST_FABRIC_SUSPECTED);
    CU_ASSERT_EQUAL(nodes[2].failed[1] + nodes[2].failed[2], 0);
    CU_ASSERT_EQUAL(nodes[0].failed[3] + nodes[1].failed[3], 0);
    relay->lost = 0;
    CU_ASSERT_TRUE(become_whole());
    CU_ASSERT_EQUAL(nodes[0].expelled + nodes[1].expelled + nodes[2].expelled, 0);
    end();
}

/* Node 1 is declared dead by node 3: it reports all as failed, then that; and comes back to both.
 */
static void who_is_expelled_leaves_the_far_nodes_too(void)
{
    begin(1);
    open_all();
    nodes[0].mourns = true;
    pst_fabric_cut_off(nodes[2].fabric, 1, "the test does");
    CU_ASSERT_TRUE_FATAL(until(&nodes[0].expelled, 1));
    CU_ASSERT_EQUAL(nodes[0].expelled_by, 3);
    for (uint32_t peer = 2; peer <= 3; peer++) {
        CU_ASSERT_EQUAL(nodes[0].failed[peer], 1);
        CU_ASSERT_EQUAL(nodes[0].failure[peer], PST_FABRIC_LOST);
        CU_ASSERT_EQUAL(counters(1, peer).failures, 1);
        CU_ASSERT_EQUAL(send_one(1, peer, 0), -ENOTCONN);
        CU_ASSERT_EQUAL(pst_fabric_room(nodes[0].fabric, peer), 0);
    }
    CU_ASSERT_EQUAL(pst_fabric_live(nodes[0].fabric).words[0], 1);
    CU_ASSERT_TRUE(pst_fabric_is_quiet(nodes[0].fabric));
    rounds(50 * MS);
    CU_ASSERT_EQUAL(nodes[1].failed[1], 0); /* it knows of nothing */
    CU_ASSERT_EQUAL(pst_fabric_rejoin(nodes[0].fabric, 2001), 0);
    CU_ASSERT_TRUE(until(&nodes[1].failed[1], 1));
    CU_ASSERT_EQUAL(nodes[1].failure[1], PST_FABRIC_LEFT);
    rounds(3000 * MS);
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[0].joined[3], 2); /* they are kept out */
    pst_fabric_readmit(nodes[0].fabric, 2);
    pst_fabric_readmit(nodes[0].fabric, 3);
    CU_ASSERT_TRUE(become_whole());
    CU_ASSERT_EQUAL(nodes[1].incarnation, 2001);
    CU_ASSERT_EQUAL(nodes[2].incarnation, 2001);
    CU_ASSERT_EQUAL(counters(2, 1).joins, 2);
    end();
}

/* ---- whatever happens ---- */

static void rejoin_expelled(void)
{
    for (uint32_t i = 0; i < NODES; i++) {
        if (!nodes[i].fabric || nodes[i].expelled == expelled[i])
            continue;
        expelled[i] = nodes[i].expelled;
        CU_ASSERT_EQUAL_FATAL(
            pst_fabric_rejoin(nodes[i].fabric, 1000 * (1 + (uint64_t)expelled[i]) + i + 1), 0);
    }
}

/* Both ends of a link begin to count with it. */
static void send_some(uint64_t sent[NODES][NODES], uint32_t sessions[NODES][NODES])
{
    for (uint32_t i = 0; i < NODES * NODES; i++) {
        uint32_t from = i / NODES, to = i % NODES;
        if (from == to || !nodes[from].fabric)
            continue;
        if (nodes[from].joined[to + 1] != sessions[from][to])
            sent[from][to] = 0;
        sessions[from][to] = nodes[from].joined[to + 1];
        sent[from][to] += send_one(from + 1, to + 1, sent[from][to]) == 0;
    }
}

static void go_on(struct rig_node *stopped)
{
    if (stopped->fabric)
        nodes[stopped->node - 1] = *stopped;
    stopped->fabric = NULL;
}

/* Cuts that begin and end, either way; a node that stops and goes on; one that is cut off. */
static void stir(struct rig_node *stopped, uint64_t random)
{
    uint32_t which = (uint32_t)(random >> 8) % NODES;
    if (random % 100 == 0)
        relay->ways[which & 1].is_cut ^= true;
    if (random % 400 == 2 && nodes[which].fabric)
        pst_fabric_cut_off(nodes[which].fabric, (which + 1) % NODES + 1, "a seed does");
    if (random % 300 != 1)
        return;
    if (stopped->fabric) {
        go_on(stopped);
        return;
    }
    *stopped = nodes[which];
    nodes[which].fabric = NULL;
}

static void heal(struct rig_node *stopped)
{
    go_on(stopped);
    relay->lost = relay->copied = relay->overtaken = 0;
    relay->ways[0].is_cut = relay->ways[1].is_cut = false;
    for (uint64_t i = 0; i < 30000 && (i < 2 * FAILURE_NS / RIG_ROUND_NS || !is_whole()); i++) {
        rejoin_expelled();
        one_round();
    }
}

/* Two seconds of it: no signal is lost, repeated or out of order within a session, none of an
 * earlier session arrives, and when it is over all nodes meet. */
static void whatever_happens_the_nodes_meet_again(void)
{
    uint64_t far = 0, near = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rig_node stopped = {0};
        uint64_t sent[NODES][NODES] = {{0}}, random = seed * UINT64_C(0x9e3779b97f4a7c15);
        uint32_t sessions[NODES][NODES] = {{0}};
        begin(seed);
        relay->lost = (uint32_t)(seed % 100);
        relay->copied = relay->overtaken = 50;
        for (uint32_t node = 1; node <= NODES; node++)
            open_node(node, 1000 + node);
        for (uint32_t i = 0; i < 2000; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            stir(&stopped, random);
            rejoin_expelled();
            send_some(sent, sessions);
            one_round();
        }
        heal(&stopped);
        CU_ASSERT_TRUE(is_whole());
        for (uint32_t i = 0; i < NODES * NODES; i++)
            CU_ASSERT_EQUAL(nodes[i / NODES].misplaced[i % NODES + 1], 0);
        far += nodes[1].failed[1];
        near += nodes[0].expelled + nodes[2].expelled;
        end();
    }
    CU_ASSERT_TRUE(far > seeds && near > seeds / 4); /* or nothing was tried */
}

static CU_TestInfo tests[] = {
    {"each pair has its fabric", each_pair_has_its_fabric},
    {"an answer leaves with the round", an_answer_leaves_with_the_round},
    {"a stranger is not let in", a_stranger_is_not_let_in},
    {"a far death concerns one link", a_far_death_concerns_one_link},
    {"who is expelled leaves the far nodes too", who_is_expelled_leaves_the_far_nodes_too},
    {"whatever happens the nodes meet again", whatever_happens_the_nodes_meet_again},
    CU_TEST_INFO_NULL,
};

/* mixed_fabric_test [SEEDS] */
int main(int argc, char **argv)
{
    seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 20;
    return suite_run("net mixed fabric", tests);
}
