/*
 * What only the quic fabric has: who is refused and with which line, what it makes of bad networks
 * and of attackers, and how a life that ended without a word is found out. Nodes 1 and 2 take turns
 * in one thread, in a time of the test's own, with a relay between them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/quic/quic_parts.h"
#include "tests/suite.h"
#include "tests/support/stderr_capture.h"
#include "tests/unit/net/fabric_rig.h"
#include "tests/unit/net/quic_rig.h"

#define FAILURE_NS UINT64_C(450000000)
#define MS UINT64_C(1000000)

static struct pst_quic_network *networks[2]; /* as nodes 1 and 2 know it */
static struct quic_rig_relay *relay;
static struct rig_node nodes[2];
static uint64_t seeds; /* runs of each test that takes one from a seed */

static void open_as(const struct pst_fabric_hello *hello)
{
    const struct pst_quic_config config = {.network = networks[hello->node - 1],
                                           .hello = *hello,
                                           .ring_signals = 64,
                                           .failure_ns = FAILURE_NS};
    nodes[hello->node - 1] =
        (struct rig_node){.node = hello->node, .fabric = quic_rig_open(&config)};
}

static void open_node(uint32_t node, uint64_t incarnation)
{
    const struct pst_fabric_hello hello = rig_config("", node, incarnation, 0).hello;
    open_as(&hello);
}

static void begin(uint64_t seed)
{
    rig_set_clock(UINT64_C(1000000000));
    for (uint32_t i = 0; i < 2; i++)
        networks[i] = quic_rig_network(3);
    relay = quic_rig_place(networks, seed);
}

static void end(void)
{
    rig_close(&nodes[0]);
    rig_close(&nodes[1]);
    quic_rig_remove(relay);
    free(networks[0]);
    free(networks[1]);
}

static void one_round(void)
{
    quic_rig_carry(relay);
    rig_round(nodes, 2);
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

static bool are_joined(uint32_t times)
{
    return until(&nodes[0].joined[2], times) && until(&nodes[1].joined[1], times);
}

static uint64_t failures(void)
{
    return pst_fabric_counters(nodes[0].fabric, 0).failures +
           pst_fabric_counters(nodes[1].fabric, 0).failures;
}

/* So many signals each way, as fast as they go. */
static void exchange(uint64_t count)
{
    uint64_t sent[2] = {0};
    for (uint32_t i = 0; i < 60000; i++) {
        for (uint32_t from = 0; from < 2; from++) {
            struct pst_signal signal = rig_signal(sent[from]);
            while (sent[from] < count &&
                   pst_fabric_send(nodes[from].fabric, 2 - from, &signal) == 0)
                signal = rig_signal(++sent[from]);
        }
        one_round();
        if (nodes[0].received[2] == count && nodes[1].received[1] == count)
            break;
    }
    rounds(20 * MS); /* nothing comes twice */
    CU_ASSERT_EQUAL(nodes[0].received[2], count);
    CU_ASSERT_EQUAL(nodes[1].received[1], count);
    CU_ASSERT_EQUAL(nodes[0].misplaced[2] + nodes[1].misplaced[1], 0);
}

/* ---- networks ---- */

/* A tenth is lost, repeated, overtaken: every signal arrives, once and in order, in every run. */
static void a_bad_network_is_made_good(void)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        begin(seed);
        relay->lost = relay->copied = relay->overtaken = 100;
        open_node(1, 1001);
        open_node(2, 1002);
        CU_ASSERT_TRUE_FATAL(are_joined(1));
        exchange(150);
        CU_ASSERT_EQUAL(failures(), 0);
        end();
    }
}

static void a_short_outage_is_survived(void)
{
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    relay->lost = 1000;
    rounds(250 * MS);
    relay->lost = 0;
    exchange(100);
    rounds(1000 * MS);
    CU_ASSERT_EQUAL(failures(), 0);
    end();
}

static void a_long_outage_ends_the_link_at_both_ends(void)
{
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    relay->lost = 1000;
    rounds(525 * MS);
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_SUSPECTED);
    CU_ASSERT_EQUAL(nodes[1].failure[1], PST_FABRIC_SUSPECTED);
    relay->lost = 0;
    CU_ASSERT_TRUE(are_joined(2));
    nodes[0].received[2] = nodes[1].received[1] = 0;
    exchange(100);
    end();
}

/* Whoever hears nothing says so; the other hears it, and believes it. */
static void a_cut_one_way_ends_the_link_at_both_ends(void)
{
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    relay->ways[0].is_cut = true;
    rounds(525 * MS);
    CU_ASSERT_EQUAL(nodes[1].failure[1], PST_FABRIC_SUSPECTED);
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_LOST);
    CU_ASSERT_STRING_EQUAL(nodes[0].reason, "it gave no sign of life");
    relay->ways[0].is_cut = false;
    CU_ASSERT_TRUE(are_joined(2));
    end();
}

/* Both ends of a link begin to count with it. */
static void send_some(uint64_t sent[2], uint32_t sessions[2])
{
    for (uint32_t from = 0; from < 2; from++) {
        if (nodes[from].joined[2 - from] != sessions[from])
            sent[from] = 0;
        sessions[from] = nodes[from].joined[2 - from];
        struct pst_signal signal = rig_signal(sent[from]);
        if (nodes[from].fabric && pst_fabric_send(nodes[from].fabric, 2 - from, &signal) == 0)
            sent[from]++;
    }
}

static void stop(struct rig_node *stopped, uint32_t which)
{
    *stopped = nodes[which];
    nodes[which].fabric = NULL;
}

static void go_on(struct rig_node *stopped)
{
    if (stopped->fabric)
        nodes[stopped->node - 1] = *stopped;
    stopped->fabric = NULL;
}

/* Cuts that begin and end, either way; and a node that stops and goes on. */
static void stir(struct rig_node *stopped, uint64_t random)
{
    uint32_t which = random >> 8 & 1;
    if (random % 100 == 0)
        relay->ways[which].is_cut ^= true;
    if (random % 400 == 1 && stopped->fabric)
        go_on(stopped);
    else if (random % 400 == 1)
        stop(stopped, which);
}

static bool is_whole(void)
{
    return pst_fabric_live(nodes[0].fabric).words[0] == 3 &&
           pst_fabric_live(nodes[1].fabric).words[0] == 3;
}

static void heal(struct rig_node *stopped)
{
    go_on(stopped);
    relay->lost = relay->copied = relay->overtaken = relay->flipped = relay->replayed = 0;
    relay->ways[0].is_cut = relay->ways[1].is_cut = false;
    rounds(2 * FAILURE_NS); /* what is broken is found to be */
    for (uint32_t i = 0; i < 30000 && !is_whole(); i++)
        one_round();
}

/* Whatever a network and the nodes do for two seconds: no signal is lost, repeated or out of order
 * within a session, none of an earlier session arrives, and when it is over the nodes meet. */
static void whatever_happens_the_nodes_meet_again(void)
{
    uint64_t failed = 0;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct rig_node stopped = {0};
        uint64_t sent[2] = {0}, random = seed * UINT64_C(0x9e3779b97f4a7c15);
        uint32_t sessions[2] = {0};
        begin(seed);
        relay->lost = (uint32_t)(seed % 200);
        relay->copied = relay->overtaken = relay->flipped = relay->replayed = 100;
        open_node(1, 1001);
        open_node(2, 1002);
        for (uint32_t i = 0; i < 2000; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            stir(&stopped, random);
            send_some(sent, sessions);
            one_round();
        }
        heal(&stopped);
        CU_ASSERT_TRUE(is_whole());
        CU_ASSERT_EQUAL(nodes[0].misplaced[2] + nodes[1].misplaced[1], 0);
        failed += failures();
        end();
    }
    CU_ASSERT_TRUE(failed > seeds); /* or nothing was tried */
}

/* ---- attackers ---- */

/* Flipped, old and made-up datagrams between good ones change nothing, and end no link. */
static void what_is_not_authentic_changes_nothing(void)
{
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        begin(seed);
        open_node(1, 1001);
        open_node(2, 1002);
        CU_ASSERT_TRUE_FATAL(are_joined(1));
        relay->flipped = relay->replayed = relay->forged = 300;
        exchange(500);
        CU_ASSERT_EQUAL(failures(), 0);
        CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[1].joined[1], 2);
        end();
    }
}

/* Old and made-up datagrams alone are no sign of life of a node that is gone. */
static void noise_is_no_sign_of_life(void)
{
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    exchange(50);
    rounds(200 * MS);
    struct rig_node stopped = nodes[1];
    nodes[1].fabric = NULL;
    for (uint32_t i = 0; i < 525; i++) {
        uint8_t noise[200];
        memset(noise, (int)i, sizeof(noise));
        noise[0] = 0x40; /* of a connection that is there */
        memcpy(noise + 1, &((struct quic_fabric *)nodes[0].fabric)->mark, sizeof(uint32_t));
        quic_rig_inject(relay, noise, sizeof(noise));
        const struct quic_rig_datagram *old = &relay->ways[1].kept[i % QUIC_RIG_KEPT];
        quic_rig_inject(relay, old->bytes, old->size_bytes);
        one_round();
    }
    CU_ASSERT_EQUAL(nodes[0].failure[2], PST_FABRIC_SUSPECTED);
    nodes[1] = stopped;
    end();
}

/* Of node 2's address anybody can write: nothing is kept of who does not hear the answer. */
static void an_address_is_proved_first(void)
{
    begin(1);
    relay->ways[0].is_cut = true;
    open_node(1, 1001);
    open_node(2, 1002);
    rounds(1000 * MS);
    CU_ASSERT_TRUE(relay->ways[1].carried > 0);
    CU_ASSERT_PTR_NULL(((struct quic_fabric *)nodes[0].fabric)->peers[2].link);
    relay->ways[0].is_cut = false;
    CU_ASSERT_TRUE(are_joined(1));
    end();
}

/* All that node 2 has sent so far. */
static void repeat_all(void)
{
    for (uint64_t i = 0; i < relay->ways[1].carried && i < QUIC_RIG_KEPT; i++)
        quic_rig_inject(relay, relay->ways[1].kept[i].bytes, relay->ways[1].kept[i].size_bytes);
    one_round();
}

static bool holds_a_place(void)
{
    return pst_set_has(&((struct quic_fabric *)nodes[0].fabric)->linked, 1);
}

/* A token that has opened the door opens it no more, nor that of node 1's next life: who repeats it
 * would hold node 2's place. */
static void an_old_token_opens_no_door(void)
{
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    rig_close(&nodes[1]);
    CU_ASSERT_TRUE_FATAL(until(&nodes[0].failed[2], 1));
    CU_ASSERT_FALSE(holds_a_place());
    repeat_all();
    CU_ASSERT_FALSE(holds_a_place());
    rig_close(&nodes[0]);
    open_node(1, 2001);
    repeat_all();
    CU_ASSERT_FALSE(holds_a_place());
    open_node(2, 2002);
    CU_ASSERT_TRUE(until(&nodes[0].joined[2], 1));
    end();
}

/* Who forges a packet of another life gets one reset sent, and that is all. */
static void a_reset_is_not_answered(void)
{
    uint8_t packet[200] = {0x40};
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    uint64_t before = relay->ways[0].carried + relay->ways[1].carried;
    for (uint32_t i = 0; i < 300; i++) {
        quic_rig_inject(relay, packet, sizeof(packet));
        one_round();
    }
    rounds(10 * MS);
    uint64_t carried = relay->ways[0].carried + relay->ways[1].carried - before;
    CU_ASSERT_TRUE(carried >= 300 && carried < 500); /* BEATs, too */
    CU_ASSERT_EQUAL(failures(), 0);
    end();
}

/* Headers of all kinds that QUIC has, and bytes that mean nothing, to a node with no link. */
static void noise_at_the_door_changes_nothing(void)
{
    uint64_t random = 1;
    begin(1);
    open_node(1, 1001);
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t noise[1300];
        for (size_t k = 0; k < sizeof(noise); k++) {
            random = random * UINT64_C(6364136223846793005) + 1;
            noise[k] = (uint8_t)(random >> 33);
        }
        if (i % 2 == 0) /* a long header of version 1 with connection ids of 8 bytes */
            memcpy(noise + 1, (uint8_t[]){0, 0, 0, 1, 8}, 5);
        if (i % 2 == 0)
            noise[14] = 8;
        quic_rig_inject(relay, noise, i % 3 == 0 ? 1200 + i % 100 : 1 + (random >> 33) % 1300);
        if (i % 100 == 0)
            one_round();
    }
    rounds(10 * MS);
    CU_ASSERT_PTR_NULL(((struct quic_fabric *)nodes[0].fabric)->peers[2].link);
    open_node(2, 1002);
    CU_ASSERT_TRUE(are_joined(1));
    end();
}

/* ---- who is refused ---- */

/* Opens both, and looks at what they log in a second: texts, NULL at the end. */
static void expect_refusal(const struct pst_fabric_hello *hello, const char *const *texts)
{
    begin_log_capture();
    open_node(1, 1001);
    open_as(hello);
    rounds(1000 * MS);
    char *logged = end_log_capture();
    for (; *texts; texts++)
        CU_ASSERT_PTR_NOT_NULL(strstr(logged, *texts));
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[1].joined[1], 0);
    CU_ASSERT_NOT_EQUAL(pst_fabric_counters(nodes[0].fabric, 0).refusals, 0);
    /* Once, though it is tried again and again. */
    CU_ASSERT_PTR_NULL(strstr(strstr(logged, "refused: ") + 1, "refused: "));
    free(logged);
}

static void another_key_is_refused(void)
{
    static const char *const texts[] = {"refused: it has another cluster key: ",
                                        "it refuses this node: it has another cluster key than ",
                                        NULL};
    begin(1);
    networks[1]->keys[0][31] ^= 1;
    struct pst_fabric_hello hello = rig_config("", 2, 1002, 0).hello;
    expect_refusal(&hello, texts);
    end();
}

static void another_cluster_is_refused(void)
{
    static const char *const id[] = {
        "refused: it is of a cluster with another id: 0000000a there, 00000009 here",
        "it refuses this node: it is of a cluster with another id than 0000000a, this node's",
        NULL};
    static const char *const name[] = {
        "refused: --cluster differs: ", "it refuses this node: --cluster differs: ", NULL};
    begin(1);
    struct pst_fabric_hello hello = rig_config("", 2, 1002, 0).hello;
    hello.cluster_id++;
    expect_refusal(&hello, id);
    end();
    begin(1);
    hello = rig_config("", 2, 1002, 0).hello;
    hello.cluster[0] = 'x';
    expect_refusal(&hello, name);
    end();
}

/* Node 3 is at the address that node 1 knows node 2 by. */
static void another_node_at_an_address_is_refused(void)
{
    static const char *const texts[] = {
        "refused: its --id is 3, and the address is that of node 2 by --member of node 1",
        "it refuses this node: its --id is 3, and the address is that of node 2", NULL};
    begin(1);
    networks[1]->members[3] = networks[1]->members[2];
    networks[1]->members[2].sin_family = 0;
    const struct pst_fabric_hello hello = rig_config("", 3, 1003, 0).hello;
    const struct pst_quic_config config = {
        .network = networks[1], .hello = hello, .ring_signals = 64, .failure_ns = FAILURE_NS};
    begin_log_capture();
    open_node(1, 1001);
    nodes[1] = (struct rig_node){.node = 3, .fabric = quic_rig_open(&config)};
    rounds(1000 * MS);
    char *logged = end_log_capture();
    for (uint32_t i = 0; texts[i]; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(logged, texts[i]));
    free(logged);
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[0].joined[3] + nodes[1].joined[1], 0);
    end();
}

/* Node 2 calls from an address that node 1 was not told. */
static void a_stranger_is_refused(void)
{
    begin(1);
    networks[0]->members[2].sin_addr.s_addr ^= htonl(64);
    begin_log_capture();
    open_node(1, 1001);
    open_node(2, 1002);
    rounds(2500 * MS);
    char *logged = end_log_capture();
    CU_ASSERT_PTR_NOT_NULL(strstr(logged, "or knows no member at this node's address, 127."));
    const char *line = strstr(logged, ":7420: refused: no member of the cluster has this address");
    CU_ASSERT_PTR_NOT_NULL_FATAL(line);
    CU_ASSERT_PTR_NULL(strstr(line + sizeof(":7420: refused"), "refused"));
    free(logged);
    CU_ASSERT_NOT_EQUAL(pst_fabric_counters(nodes[0].fabric, 0).refusals, 0);
    CU_ASSERT_EQUAL(nodes[0].joined[2] + nodes[1].joined[1], 0);
    end();
}

/* A key is changed by adding the new one, restarting the nodes one by one, and removing the old. */
static void two_keys_are_accepted_while_one_is_changed(void)
{
    for (uint32_t newer = 0; newer < 2; newer++) { /* the server, the client */
        begin(1);
        struct pst_quic_network *changed = networks[newer];
        changed->keys_count = 2;
        memset(changed->keys[newer == 0 ? 0 : 1], 8, PST_CLUSTER_KEY_BYTES);
        memset(changed->keys[newer == 0 ? 1 : 0], 7, PST_CLUSTER_KEY_BYTES);
        open_node(1, 1001);
        open_node(2, 1002);
        CU_ASSERT_TRUE(are_joined(1));
        end();
    }
}

static void an_address_serves_one_process(void)
{
    char message[256] = "";
    struct pst_fabric *second = NULL;
    begin(1);
    open_node(1, 1001);
    const struct pst_quic_config config = {.network = networks[0],
                                           .hello = rig_config("", 1, 1002, 0).hello};
    CU_ASSERT_EQUAL(pst_quic_fabric_open(&config, &second, message, sizeof(message)), -EADDRINUSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(message, "cannot bind 127."));
    end();
}

/* ---- lives ---- */

/* Node 1 is killed: nobody says a word. Its next life does, to who still talks to the last one. */
static void a_life_that_ended_without_a_word_is_found_out(void)
{
    begin(1);
    open_node(1, 1001);
    open_node(2, 1002);
    CU_ASSERT_TRUE_FATAL(are_joined(1));
    rounds(200 * MS);
    relay->lost = 1000;
    rig_close(&nodes[0]);
    one_round();
    relay->lost = 0;
    open_node(1, 2001);
    rounds(150 * MS);
    CU_ASSERT_EQUAL(nodes[1].failed[1], 1);
    CU_ASSERT_EQUAL(nodes[1].failure[1], PST_FABRIC_DIED);
    CU_ASSERT_TRUE(until(&nodes[1].joined[1], 2));
    CU_ASSERT_EQUAL(nodes[1].incarnation, 2001);
    end();
}

static CU_TestInfo tests[] = {
    {"a bad network is made good", a_bad_network_is_made_good},
    {"a short outage is survived", a_short_outage_is_survived},
    {"a long outage ends the link at both ends", a_long_outage_ends_the_link_at_both_ends},
    {"a cut one way ends the link at both ends", a_cut_one_way_ends_the_link_at_both_ends},
    {"whatever happens the nodes meet again", whatever_happens_the_nodes_meet_again},
    {"what is not authentic changes nothing", what_is_not_authentic_changes_nothing},
    {"noise is no sign of life", noise_is_no_sign_of_life},
    {"an address is proved first", an_address_is_proved_first},
    {"an old token opens no door", an_old_token_opens_no_door},
    {"a reset is not answered", a_reset_is_not_answered},
    {"noise at the door changes nothing", noise_at_the_door_changes_nothing},
    {"another key is refused", another_key_is_refused},
    {"another cluster is refused", another_cluster_is_refused},
    {"another node at an address is refused", another_node_at_an_address_is_refused},
    {"a stranger is refused", a_stranger_is_refused},
    {"two keys are accepted while one is changed", two_keys_are_accepted_while_one_is_changed},
    {"an address serves one process", an_address_serves_one_process},
    {"a life that ended without a word is found out",
     a_life_that_ended_without_a_word_is_found_out},
    CU_TEST_INFO_NULL,
};

/* quic_fabric_test [SEEDS] */
int main(int argc, char **argv)
{
    seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 25;
    return suite_run("net quic fabric", tests);
}
